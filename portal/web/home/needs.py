"""What needs somebody, with its cause and the way to it; and the title that says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.humanize.templatetags.humanize import apnumber
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from endpoints.alerts import THRESHOLDS
from endpoints.models import Endpoint
from endpoints.services.alert_watch import Level, levels_of
from endpoints.states import Cause, Status
from portal.tenancy.models import Limit, LimitKind
from portal.tenancy.text import clean

from ..durations import whole
from ..visit import Visit
from .month import Month
from .rows import ILL

MOST_LIMITS, MOST_SHOWN, SAID = 200, 6, 300
NEARLY = THRESHOLDS[-2]


@dataclass(frozen=True)
class Need:
    """`look` is the class of the notice, `shape` its sign; `url` leads to who can do something about it."""

    look: str
    shape: str
    what: str
    why: str
    url: str
    link: str


def title_of(count: int, endpoints: int) -> str:
    """The page's title, made from what it shows."""
    if count:
        # Two or 2 is a matter of style in English; Chinese and Korean want the digit before their counters.
        number = apnumber(count) if (get_language() or "en").startswith("en") else count
        return capfirst(ngettext("%(n)s thing needs you", "%(n)s things need you", count) % {"n": number})
    return _("All is well") if endpoints else _("Nothing runs yet")


def of_endpoints(visit: Visit, endpoints: Iterable[Endpoint]) -> list[Need]:
    """Stalled, failed and degraded ones, and those that somebody outside changes again and again."""
    return [_of_endpoint(visit, row) for row in endpoints if needs_somebody(row)]


def needs_somebody(row: Endpoint) -> bool:
    return row.status in ILL or row.cause == Cause.CONTESTED or bool(row.drift)


def _of_endpoint(visit: Visit, row: Endpoint) -> Need:
    here = visit if visit.workspace else Visit(visit.request, visit.user, row.workspace)
    said = {"name": row.name, "time": whole(timezone.now() - row.status_since), "ready": row.ready_replicas,
            "wanted": row.replicas_now}
    why = clean(row.message or row.last_error, SAID)
    if row.status == Status.FAILED:
        return Need("is-failed", "failed", _("%(name)s failed %(time)s ago.") % said, why, here.url("endpoint-why", row.uid),
                    _("See the cause"))
    if row.status == Status.STALLED:
        return Need("is-stalled", "stalled", _("%(name)s has been stalled for %(time)s.") % said, why,
                    here.url("endpoint-why", row.uid), _("See the cause"))
    if row.status == Status.DEGRADED:
        return Need("is-degraded", "degraded", _("%(name)s runs with %(ready)d of %(wanted)d replicas.") % said, why,
                    here.url("endpoint-why", row.uid), _("See the cause"))
    return Need("is-degraded", "warn", _("%(name)s was changed outside the portal.") % said, why or _(
        "Decide whether it is put back or accepted."), here.url("endpoint", row.uid), _("See the changes"))


def limits_of(visit: Visit) -> list[Limit]:
    """What calls of a month are limited by, in these workspaces."""
    rows = Limit.objects.filter(Q(tokens_per_month__isnull=False) | Q(money_per_month__isnull=False))
    if visit.workspace is not None:
        rows = rows.filter(workspace=visit.workspace.pk)
    return list(rows.select_related("workspace", "member", "key")[:MOST_LIMITS])


def of_limits(visit: Visit, limits: Sequence[Limit], month: Month, now: datetime) -> Iterator[Need]:
    """Limits that are used up or nearly; the workspace's own also where it will not last for the month."""
    own = [limit for limit in limits if limit.kind == LimitKind.WORKSPACE and visit.workspace is not None]
    for level in levels_of([limit for limit in limits if limit not in own], now, places=False):
        if level.most and level.used * 100 >= level.most * NEARLY:
            yield _of_level(visit, level)
    if own and month.limit is not None:
        yield from _of_month(visit, month)


def _of_level(visit: Visit, level: Level) -> Need:
    said = {"limit": level.limit, "percent": level.used * 100 // level.most,
            "quantity": level.limit._meta.get_field(level.quantity).verbose_name}  # type: ignore[union-attr]
    used_up = level.used >= level.most
    what = _("%(limit)s has used %(percent)d %% of its %(quantity)s.")
    what = _("%(limit)s has used up its %(quantity)s.") if used_up else what
    why = _("Calls are refused until the month ends or the limit is raised.") if used_up else ""
    here = visit if visit.workspace else Visit(visit.request, visit.user, level.limit.workspace)
    return Need("is-failed" if used_up else "is-degraded", "no" if used_up else "warn", what % said, why, here.url("limits"),
                _("See the limits"))


def _of_month(visit: Visit, month: Month) -> Iterator[Need]:
    said = {"spent": month.spent, "limit": month.allowed, "each": month.each_day}
    if month.limit is not None and month.so_far >= month.limit:
        yield Need("is-failed", "no", _("The month's budget is used up."), _(
            "%(spent)s of %(limit)s: calls are refused until the month ends or the limit is raised.") % said,
            visit.url("limits"), _("See the limits"))
    elif month.runs_out is not None:
        day = date_format(month.runs_out, "MONTH_DAY_FORMAT")
        yield Need("is-degraded", "warn", _("The month's budget runs out on %(day)s.") % {"day": day}, _(
            "%(spent)s of %(limit)s are used, and the last days cost %(each)s a day.") % said, visit.url("usage"),
            _("See the usage"))
