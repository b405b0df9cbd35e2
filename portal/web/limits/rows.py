"""Limits as the pages show them: of whom or what, and a bar for each quantity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from endpoints.models import Endpoint
from endpoints.services.limits import Use, may_change, uses_of
from endpoints.states import Wish
from portal.tenancy.models import Limit, LimitKind

from ..usage.figures import cash
from ..visit import Visit

# Counting what endpoints hold reads all of them; above this the list leaves it to the page of one limit.
MOST_ENDPOINTS = 1000
LIMIT_AT = 87  # percent of a bar's room: what lies behind it would be over the limit
NEAR = 80  # percent


@dataclass(frozen=True)
class Bar:
    """A quantity of a limit. `used` is empty where nobody can tell now."""

    title: str
    used: str
    limit: str
    share: float

    @property
    def width(self) -> float:
        return round(self.share * LIMIT_AT / 100, 2)

    @property
    def is_near(self) -> bool:
        return self.share >= NEAR


@dataclass(frozen=True)
class Line:
    """A limit with its bars. `others` are the quantities that are limited but not counted here."""

    limit: Limit
    bars: list[Bar]
    others: list[str]
    may_change: bool

    @property
    def subject(self) -> str:
        return subject_of(self.limit)

    @property
    def fullest(self) -> Bar | None:
        return max(self.bars, key=lambda bar: bar.share, default=None)


def subject_of(limit: Limit) -> str:
    named = {LimitKind.MEMBER: limit.member, LimitKind.KEY: limit.key, LimitKind.MODEL: limit.model_name}
    return str(named.get(LimitKind(limit.kind)) or limit.workspace)


def lines_of(visit: Visit, limits: Iterable[Limit], *, places: bool) -> list[Line]:
    """A handful of queries, however many limits. Without `places` nothing of endpoints is counted."""
    rows = list(limits)
    uses = uses_of(rows, places=places)
    managed: dict[tuple[int, str], bool] = {}
    for row in rows:
        where = row.workspace_id, row.kind
        managed[where] = managed[where] if where in managed else may_change(visit.actor, row)
    return [Line(row, [_bar(use) for use in uses[row.pk]], _uncounted(row, uses[row.pk]), managed[row.workspace_id, row.kind])
            for row in rows]


def counts_places(visit: Visit) -> bool:
    """Whether there are so few endpoints that a list may count what they hold."""
    if visit.workspace is None:
        return False
    rows = Endpoint.objects.filter(workspace=visit.workspace).exclude(wish=Wish.DELETED).order_by()
    return len(rows.values_list("pk", flat=True)[:MOST_ENDPOINTS + 1]) <= MOST_ENDPOINTS


def title_of(quantity: str) -> str:
    return capfirst(str(Limit._meta.get_field(quantity).verbose_name))  # type: ignore[union-attr]


def value_in_words(quantity: str, value: Decimal | int) -> str:
    if quantity == "money_per_month":
        return cash(value, 0 if value == int(value) else 2)
    return number_format(value, force_grouping=True)


def _bar(use: Use) -> Bar:
    used = "" if use.used is None else value_in_words(use.quantity, use.used)
    return Bar(title_of(use.quantity), used, value_in_words(use.quantity, use.limit), round(use.share, 2))


def _uncounted(row: Limit, uses: list[Use]) -> list[str]:
    shown = {use.quantity for use in uses}
    return [f"{title_of(name)}: {value_in_words(name, value)}" for name in Limit.QUANTITIES
            if name not in shown and (value := getattr(row, name)) is not None]


def title_for(lines: list[Line]) -> str:
    """What is closest to its limit."""
    full = [(line.fullest, line) for line in lines if line.fullest is not None and line.fullest.used]
    if not lines:
        return _("Nothing is limited")
    if not full:
        return _("Limits are set, and nothing of them is used now")
    bar, line = max(full, key=lambda pair: pair[0].share if pair[0] else 0)
    assert bar is not None
    values = {"what": bar.title, "whose": line.subject, "percent": number_format(bar.share, 0)}
    if bar.is_near:
        return _("Near its limit: %(what)s of %(whose)s, %(percent)s %%") % values
    return _("Nothing is near its limit: the fullest is at %(percent)s %%") % values
