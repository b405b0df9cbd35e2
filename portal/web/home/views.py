from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from clusters.instances import price_book
from endpoints.models import Endpoint
from portal.tenancy.roles import Verb

from ..models.listing import places_of
from ..visit import Visit, page
from . import needs
from .capacity import shares_of
from .month import month_of
from .rows import SHOWN, Tally, in_order, rows_of, tally_of, urgent_first


@require_safe
@page
def home(visit: Visit) -> HttpResponse:
    tally = tally_of(_mine(visit))
    return visit.render("web/home/home.html", area="home", **_everything(visit, tally, *_found(visit, tally)))


@require_safe
@page
def home_live(visit: Visit) -> HttpResponse:
    """For the open page: the cells that change; all of it again where other rows are shown, or need somebody."""
    tally = tally_of(_mine(visit))
    found, has_more = _found(visit, tally)
    if visit.request.GET.get("needs", "") != _mark(found):
        return visit.render("web/home/again.html", **_everything(visit, tally, found, has_more=has_more))
    rows = rows_of(found[:SHOWN], timezone.now(), {})
    return visit.render("web/home/live.html", rows=rows, tally=tally)


def _mine(visit: Visit) -> QuerySet[Endpoint]:
    """With the scope as a plain id: a subquery makes databases sort all rows for a page."""
    rows: QuerySet[Endpoint] = Endpoint.objects.all()
    return rows if visit.workspace is None else rows.filter(workspace=visit.workspace.pk)


def _found(visit: Visit, tally: Tally) -> tuple[list[Endpoint], bool]:
    """The first endpoints by urgency, a few more than are shown, and whether there are still more."""
    keys, has_more = urgent_first(_mine(visit), tally)
    return in_order(_mine(visit), keys), has_more


def _mark(endpoints: list[Endpoint]) -> str:
    """Changes when other endpoints are shown, or one needs somebody that did not before."""
    return "-".join(f"{row.pk}{'n' if needs.needs_somebody(row) else ''}" for row in endpoints)


def _everything(visit: Visit, tally: Tally, found: list[Endpoint], has_more: bool) -> dict[str, Any]:
    """Eleven queries at most beside those of limits."""
    now = timezone.now()
    places, limits = places_of(visit.workspaces), needs.limits_of(visit)
    month = month_of(visit.workspace, limits, now)
    of_limits = list(needs.of_limits(visit, limits, month, now))
    shown = [*needs.of_endpoints(visit, found), *of_limits][:needs.MOST_SHOWN]
    count = tally.urgent + len(of_limits)
    rows = rows_of(found[:SHOWN], now, {place.pk: place.aws.region for place in places if hasattr(place, "aws")})
    return {
        "rows": rows, "has_more": has_more, "needs": shown, "tally": tally,
        "more_needs": count - needs.MOST_SHOWN, "title": needs.title_of(count, len(rows)),
        "total": sum(row.cost or 0 for row in rows), "has_costs": any(row.cost is not None for row in rows),
        "currency": price_book().currency, "month": month, "shares": shares_of(places, _mine(visit)), "now": now,
        "mark": _mark(found), "may_deploy": visit.workspace is not None and visit.may(Verb.DEPLOY),
        "calm": tally.total - tally.urgent,
    }
