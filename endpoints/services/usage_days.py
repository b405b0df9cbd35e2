"""What was used on each day by each subject: sums in the database, of days that are over from sums that were made once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from django.db.models import CharField, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Cast, Left
from django.utils.translation import gettext as _

from endpoints.models import GpuHour, UsageDay, UsageHour
from portal.tenancy.errors import Invalid

from .day_sums import MONTH, MONTHLY, Held, held, subject_of
from .usage import COUNTS, MOST_LINES, SUBJECTS, TIMES, Line

# What is told apart, and its name. A place is that of the endpoint.
BY = {**{name: SUBJECTS[name] for name in ("model", "endpoint", "key", "member", "workspace")},
      "place": ("place_name", "place_name")}
GPUS_OF = ("model", "endpoint", "place", "workspace")  # keys and members have none
GPUS = ("gpu_seconds",)
MOST_SPANS = 20  # of days without sums; where they lie in more pieces, all is read by the hour
DAY = timedelta(days=1)

Cells = dict[tuple[date, object], Line]
Found = Iterator[tuple[object, date, Line]]


@dataclass(frozen=True)
class Asking:
    """Which usage: of a workspace (None is all), from the first to the last day, by one of BY, narrowed by columns' values."""

    workspace_id: int | None
    first: date
    last: date
    by: str
    filters: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_gpus(self) -> bool:
        """GPUs belong to endpoints: where a filter asks for a key or a member, nobody can tell."""
        return not {"key_name", "member_name"} & self.filters.keys()


@dataclass
class Sums:
    """Sums of one span. `by_subject` has the name of a subject too, which another subject may have as well.

    What held GPUs and was not called has lines of zeros. `cells_of` reads a day's line of each of some subjects.
    """

    total: Line = field(default_factory=Line)
    by_day: dict[date, Line] = field(default_factory=dict)
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
        _grow(sums.by_day, day, Line([day.isoformat()], line.counts, line.gpu_seconds))
        sums.total.add(line)
    return sums


def calls_by_day(workspace_id: int | None, first: date, last: date) -> dict[date, Line]:
    """The calls of a workspace (None is all) on each day, without the GPUs that were held."""
    by_day: dict[date, Line] = {}
    for _subject, day, line in _Reader(Asking(workspace_id, first, last, "workspace")).calls():
        _grow(by_day, day, Line([day.isoformat()], line.counts))
    return by_day


def cells_of(ask: Asking) -> Cells:
    """The line of each subject on each day. Raises Invalid where that makes too many lines."""
    return _Reader(ask).cells()


def _grow(lines: dict[Any, Line], key: object, line: Line) -> None:
    there = lines.get(key)
    if there is None:
        lines[key] = Line(line.names, line.counts, line.gpu_seconds)
    else:
        there.add(line)


class _Reader:
    """Reads the days that have sums from these, and the others by the hour, which it does once."""

    def __init__(self, ask: Asking) -> None:
        self.ask = ask
        self.column, self.name = BY[ask.by]

    def subjects(self) -> Found:
        """Each subject's line, in parts: of whole months where there are sums, else of days, else of hours."""
        yield from self._by_hour()
        for kind, counts in self._kinds:
            rows = self._sums(kind)
            if kind in MONTHLY and not self.ask.filters and self._held.months:
                rows = rows.filter(day__in=self._days_apart)
                months = UsageDay.objects.filter(kind=f"{kind}{MONTH}", day__in=self._held.months)
                yield from _found(self._narrowed(months), self.column, self.name, counts)
            yield from _found(rows, self.column, self.name, counts)

    @property
    def _days_apart(self) -> list[date]:
        """The days with sums that are in no month with sums. By name, since databases read ranges that are left out."""
        return sorted(day for day in self._held.days if day.replace(day=1) not in self._held.months)

    @property
    def _kinds(self) -> list[tuple[str, Sequence[str]]]:
        """Which sums tell the subjects apart, with their counts."""
        kinds: list[tuple[str, Sequence[str]]] = [("all" if self.ask.filters else self.ask.by, COUNTS)]
        return [*kinds, ("gpus", GPUS)] if self.ask.by in GPUS_OF and self.ask.has_gpus else kinds

    def calls(self) -> Found:
        """Each day's calls, in parts."""
        yield from self._calls_by_hour
        yield from _found(self._sums("all" if self.ask.filters else "workspace"), "", "", COUNTS, F("day"))

    def days(self) -> Found:
        """Each day's line, in parts."""
        if not self.ask.filters:
            yield from self._calls_by_hour
            yield from self._gpus_by_hour
            yield from _found(self._sums("workspace"), "", "", [*COUNTS, *GPUS], F("day"))
            return
        yield from self.calls()
        if self.ask.has_gpus:
            yield from self._gpus_by_hour
            yield from _found(self._sums("gpus"), "", "", GPUS, F("day"))

    def cells(self, subjects: Collection[object] | None = None) -> Cells:
        """Of these subjects; None is all of them."""
        cells: Cells = {}
        for subject, day, line in self._apart(subjects):
            if subjects is None or subject in subjects:
                _grow(cells, (day, subject), line)
        return cells

    def _apart(self, subjects: Collection[object] | None) -> Found:
        yield from self._by_hour()
        for kind, counts in self._kinds:
            rows = self._sums(kind)
            rows = rows if subjects is None else rows.filter(**{f"{self.column}__in": list(subjects)})
            yield from _found(rows, self.column, self.name, counts, F("day"))

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
        within = Q()
        for first, last in self._missing:
            within |= Q(hour__gte=_begin(first), hour__lt=_begin(last + DAY))
        rows: QuerySet[Any] = model._default_manager.filter(within) if within else model._default_manager.none()
        return self._narrowed(rows)

    def _sums(self, kind: str) -> QuerySet[Any]:
        if self._missing == [(self.ask.first, self.ask.last)]:
            return UsageDay.objects.none()
        rows = UsageDay.objects.filter(kind=kind, day__gte=self.ask.first, day__lte=self.ask.last)
        for first, last in self._missing:
            rows = rows.exclude(day__gte=first, day__lte=last)
        return self._narrowed(rows)

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

    @cached_property
    def _missing(self) -> list[tuple[date, date]]:
        """The days without sums, as spans from the first to the last one."""
        first, last = self.ask.first, self.ask.last
        there, spans = self._held.days, list[tuple[date, date]]()
        for number in range((last - first).days + 1):
            day = first + number * DAY
            if day in there:
                continue
            if spans and spans[-1][1] == day - DAY:
                spans[-1] = spans[-1][0], day
            else:
                spans.append((day, day))
        return spans if len(spans) <= MOST_SPANS else [(first, last)]


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


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
    lines = list(found[:MOST_LINES + 1])
    if len(lines) > MOST_LINES:
        raise Invalid(_("This makes more than %(count)d lines. Choose a shorter time, or fewer groups.") % {
            "count": MOST_LINES}, field="by")
    is_of_calls, width = counts[0] in COUNTS, len(apart) + len(told)
    for line in lines:
        subject = line[0] if column else None
        said = line[len(apart)] if told else subject
        sums = list(line[width:])
        yield subject, _as_date(line[len(apart) - 1]) if day is not None else date.min, Line(
            [str(said)], sums[:len(COUNTS)] if is_of_calls else [0] * len(COUNTS),
            sums[-1] if counts[-1] == GPUS[0] else 0)


def _as_date(day: date | str) -> date:
    return day if isinstance(day, date) else date.fromisoformat(day)
