"""What was used on each day, or in each month, by each subject: of what is over from sums that were made once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import CharField, F, Max, QuerySet, Sum
from django.db.models.functions import Cast, Left
from django.utils.translation import gettext as _

from endpoints.models import GpuHour, UsageDay, UsageHour
from portal.tenancy.errors import Invalid

from .day_sums import GPUS, MONTH, Held, held, subject_of
from .usage import COUNTS, MOST_LINES, SUBJECTS, TIMES, Line

# What is told apart, and its name. A place is that of the endpoint.
BY = {**{name: SUBJECTS[name] for name in ("model", "endpoint", "key", "member", "workspace")},
      "place": ("place_name", "place_name")}
GPUS_OF = ("model", "endpoint", "place", "workspace")  # keys and members have none

Cells = dict[tuple[date, object], Line]
Found = Iterator[tuple[object, date, Line]]


@dataclass(frozen=True)
class Asking:
    """Which usage: of a workspace (None is all), from the first to the last day, by one of BY, narrowed by columns' values.

    `by_month` asks for months, each named by its first day, in place of days.
    """

    workspace_id: int | None
    first: date
    last: date
    by: str
    filters: Mapping[str, str] = field(default_factory=dict)
    by_month: bool = False

    @property
    def has_gpus(self) -> bool:
        """GPUs belong to endpoints: where a filter asks for a key or a member, nobody can tell."""
        return not {"key_name", "member_name"} & self.filters.keys()


@dataclass
class Sums:
    """Sums of one span. `by_subject` has the name of a subject too, which another subject may have as well.

    What held GPUs and was not called has lines of zeros. A period is a day or a month, as it was asked for; `cells_of` reads
    a period's line of each of some subjects.
    """

    total: Line = field(default_factory=Line)
    by_period: dict[date, Line] = field(default_factory=dict)
    by_subject: dict[object, Line] = field(default_factory=dict)
    has_gpus: bool = False
    cells_of: Callable[[Collection[object]], Cells] = lambda _subjects: {}


def sums_of(ask: Asking) -> Sums:
    """Raises Invalid where that makes too many lines."""
    reader = _Reader(ask)
    sums = Sums(has_gpus=ask.has_gpus, cells_of=reader.cells)
    for subject, _day, line in reader.subjects():
        _grow(sums.by_subject, subject, line)
    for _subject, day, line in reader.days():
        period = reader.period(day)
        _grow(sums.by_period, period, Line([period.isoformat()], line.counts, line.gpu_seconds))
        sums.total.add(line)
    return sums


def calls_by_day(workspace_id: int | None, first: date, last: date) -> dict[date, Line]:
    """The calls of a workspace (None is all) on each day, without the GPUs that were held."""
    by_day: dict[date, Line] = {}
    for _subject, day, line in _Reader(Asking(workspace_id, first, last, "workspace")).calls():
        _grow(by_day, day, Line([day.isoformat()], line.counts))
    return by_day


def cells_of(ask: Asking) -> Cells:
    """The line of each subject in each period. Raises Invalid where that makes too many lines."""
    return _Reader(ask).cells()


def _grow(lines: dict[Any, Line], key: object, line: Line) -> None:
    there = lines.get(key)
    if there is None:
        lines[key] = Line(line.names, line.counts, line.gpu_seconds)
    else:
        there.add(line)


class _Reader:
    """Reads what has sums of months or days from these, and the rest by the hour, which it does once."""

    def __init__(self, ask: Asking) -> None:
        self.ask = ask
        self.column, self.name = BY[ask.by]

    def period(self, day: date) -> date:
        return day.replace(day=1) if self.ask.by_month else day

    def subjects(self) -> Found:
        """Each subject's line, in parts."""
        yield from self._by_hour()
        for kind, counts in self._kinds:
            for rows in self._sums(kind, by_month=True):
                yield from _found(rows, self.column, self.name, counts)

    @property
    def _kinds(self) -> list[tuple[str, Sequence[str]]]:
        """Which sums tell the subjects apart, with their counts."""
        kinds: list[tuple[str, Sequence[str]]] = [("all" if self.ask.filters else self.ask.by, COUNTS)]
        return [*kinds, ("gpus", GPUS)] if self.ask.by in GPUS_OF and self.ask.has_gpus else kinds

    def calls(self) -> Found:
        """The calls of each day, or of months, in parts."""
        yield from self._calls_by_hour
        yield from self._in_time("all" if self.ask.filters else "workspace", COUNTS)

    def days(self) -> Found:
        """The line of each day, or of months, in parts."""
        if not self.ask.filters:
            yield from self._calls_by_hour
            yield from self._gpus_by_hour
            yield from self._in_time("workspace", [*COUNTS, *GPUS])
            return
        yield from self.calls()
        if self.ask.has_gpus:
            yield from self._gpus_by_hour
            yield from self._in_time("gpus", GPUS)

    def _in_time(self, kind: str, counts: Sequence[str]) -> Found:
        for rows in self._sums(kind, by_month=self.ask.by_month):
            yield from _found(rows, "", "", counts, F("day"))

    def cells(self, subjects: Collection[object] | None = None) -> Cells:
        """Of these subjects; None is all of them."""
        cells: Cells = {}
        for subject, day, line in self._apart(subjects):
            if subjects is None or subject in subjects:
                _grow(cells, (self.period(day), subject), line)
        return cells

    def _apart(self, subjects: Collection[object] | None) -> Found:
        yield from self._by_hour()
        for kind, counts in self._kinds:
            for rows in self._sums(kind, by_month=self.ask.by_month):
                of_them = rows if subjects is None else rows.filter(**{f"{self.column}__in": list(subjects)})
                yield from _found(of_them, self.column, self.name, counts, F("day"))

    def _by_hour(self) -> Found:
        """What has no sums yet, with the GPUs where the subjects hold some."""
        yield from self._calls_by_hour
        if len(self._kinds) > 1:
            yield from self._gpus_by_hour

    @cached_property
    def _calls_by_hour(self) -> list[tuple[object, date, Line]]:
        return list(_found(self._hours(UsageHour), self.column, self.name, COUNTS, _day_of_hour()))

    @cached_property
    def _gpus_by_hour(self) -> list[tuple[object, date, Line]]:
        if not self.ask.has_gpus:
            return []
        column, name = (self.column, self.name) if self.ask.by in GPUS_OF else ("", "")
        return list(_found(self._hours(GpuHour), column, name, GPUS, _day_of_hour()))

    def _hours(self, model: type[UsageHour] | type[GpuHour]) -> QuerySet[Any]:
        rows: QuerySet[Any] = model._default_manager.filter(self._held.hours)
        return self._narrowed(rows)

    def _sums(self, kind: str, *, by_month: bool) -> list[QuerySet[Any]]:
        """The rows that have sums: of the days, or `by_month` of the months and of the days that are in none of them."""
        if not self._held.days:
            return []
        days = self._narrowed(UsageDay.objects.filter(kind=kind))
        if by_month and (months := self._held.months):
            of_months = self._narrowed(UsageDay.objects.filter(kind=f"{kind}{MONTH}", day__in=months))
            return [of_months, days.filter(day__in=self._days_apart)]
        days = days.filter(day__gte=self.ask.first, day__lte=self.ask.last)
        for first, last in self._held.missing:
            days = days.exclude(day__gte=first, day__lte=last)
        return [days]

    @property
    def _days_apart(self) -> list[date]:
        """The days with sums that are in no month with sums. By name, since databases read ranges that are left out."""
        return sorted(day for day in self._held.days if day.replace(day=1) not in self._held.months)

    def _narrowed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        own = self.ask.workspace_id
        if own is not None and self.ask.filters and rows.model is UsageDay:
            rows = rows.filter(workspace_id__gte=own, workspace_id__lte=own)  # so that SQLite takes the index by names
        elif own is not None:
            rows = rows.filter(workspace_id=own)
        return rows.filter(**self.ask.filters)

    @cached_property
    def _held(self) -> Held:
        return held(self.ask.first, self.ask.last)


def _day_of_hour() -> Left:
    return Left(Cast("hour", CharField()), TIMES["day"])


def _found(rows: QuerySet[Any], column: str, name: str, counts: Sequence[str], day: Any = None) -> Found:
    """Subject, day and line: one for each subject ("" as `column`: for all together) and, with `day`, each day.

    Raises Invalid where that makes too many lines.
    """
    apart = {**({"by_subject": subject_of(rows.model, column)} if column else {}), **({} if day is None else {"by_day": day})}
    told = {"shown": Max(name)} if name not in ("", column) else {}
    found = rows.order_by().annotate(**apart).values(*apart).annotate(
        **told, **{f"sum_of_{count}": Sum(count) for count in counts}).values_list(
        *apart, *told, *(f"sum_of_{count}" for count in counts))
    lines = _rows(found[:MOST_LINES + 1])
    if len(lines) > MOST_LINES:
        raise Invalid(_("This makes more than %(count)d lines. Choose a shorter time, or fewer groups.") % {
            "count": MOST_LINES}, field="by")
    is_of_calls, width = counts[0] in COUNTS, len(apart) + len(told)
    for line in lines:
        subject = line[0] if column else None
        said = line[len(apart)] if told else subject
        sums = list(map(int, line[width:]))
        yield subject, _as_date(line[len(apart) - 1]) if day is not None else date.min, Line(
            [str(said)], sums[:len(COUNTS)] if is_of_calls else [0] * len(COUNTS),
            sums[-1] if counts[-1] == GPUS[0] else 0)


def _rows(found: QuerySet[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """As the database has them: for tens of thousands of sums Django's converters would take longer than the database."""
    try:
        sql, values = found.query.sql_with_params()
    except EmptyResultSet:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _as_date(day: date | str) -> date:
    return day if isinstance(day, date) else date.fromisoformat(day)
