"""Spans of time that a page is about: whole days, UTC, named in the address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.tenancy.errors import Invalid

from .address import asked

LONGEST = timedelta(days=397)
QUARTER = 92  # days
DAY = timedelta(days=1)
DAYS_BACK = {"7d": 7, "30d": 30, "90d": 90}
TITLES: dict[str, str | Promise] = {
    "month": gettext_lazy("this month"), "last": gettext_lazy("last month"), "7d": gettext_lazy("the last 7 days"),
    "30d": gettext_lazy("the last 30 days"), "90d": gettext_lazy("the last 90 days"),
    "12m": gettext_lazy("the last 12 months"), "custom": gettext_lazy("from … to …"),
}


@dataclass(frozen=True)
class Span:
    """From the first to the last day, both in it. `today` may lie before the last day, of which nothing is known yet."""

    name: str
    first: date
    last: date
    today: date

    @property
    def begin(self) -> datetime:
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(self.last + DAY, time(), UTC)

    @property
    def days(self) -> list[date]:
        return list(_days(self.first, self.last))

    @property
    def is_long(self) -> bool:
        """Whether it is told by the month: nobody looks at the days of a year one by one."""
        return (self.last - self.first).days >= QUARTER

    @property
    def periods(self) -> list[date]:
        """Its days, or its months by their first days where it is long."""
        return sorted({day.replace(day=1) for day in self.days}) if self.is_long else self.days

    @property
    def title(self) -> str:
        if self.name != "custom":
            return str(TITLES[self.name])
        first, last = (date_format(day, "DATE_FORMAT") for day in (self.first, self.last))
        return _("%(first)s to %(last)s") % {"first": first, "last": last}


def span_of(request: HttpRequest, now: datetime, default: str = "month") -> Span:
    """What the address asks for by `span`, or by `from` and `to`.

    Raises Invalid, with the field, for days that are none, or too many.
    """
    name, today = asked(request, "span", default), now.astimezone(UTC).date()
    if name not in TITLES:
        name = default
    if name == "custom":
        return _custom(request, today)
    if name in DAYS_BACK:
        return Span(name, today - (DAYS_BACK[name] - 1) * DAY, today, today)
    first = today.replace(day=1)
    if name == "12m":
        return Span(name, month_end(first.replace(year=first.year - 1)) + DAY, today, today)
    if name == "last":
        return Span(name, (first - DAY).replace(day=1), first - DAY, today)
    return Span(name, first, month_end(first), today)


def month_end(day: date) -> date:
    return (day.replace(day=28) + 4 * DAY).replace(day=1) - DAY


def _custom(request: HttpRequest, today: date) -> Span:
    first, last = _day(request, "from", today.replace(day=1)), _day(request, "to", today)
    if not first <= last < first + LONGEST:
        raise Invalid(_("The first day lies before the last one, by 13 months at most."), field="from")
    return Span("custom", first, last, today)


def _day(request: HttpRequest, name: str, default: date) -> date:
    text = asked(request, name)
    if not text:
        return default
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise Invalid(_("Write a day as 2026-11-21."), field=name) from None
    if not date(2000, 1, 1) <= found <= date(2100, 1, 1):
        raise Invalid(_("Choose a day of this century."), field=name)
    return found


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY
