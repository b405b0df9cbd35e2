"""Days that are over, summed up once, so that a page over a year of usage reads days instead of hours.

A day's row in SummedDay is made while the day lasts. When the day is over, its sums are made in one transaction, which
takes effect only if nobody booked into the day meanwhile; who books later makes the sums of that day hold no longer, in the
transaction of the booking (`SummedDay.reopen`), and they are made anew. A day without sums that hold is read hour by
hour. Months that are over are summed up from their days.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import (
    BigIntegerField,
    Case,
    Expression,
    F,
    Max,
    Min,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from endpoints.models import Endpoint, GpuHour, SummedDay, UsageDay, UsageHour
from portal.tenancy.models import ApiKey
from portal.tenancy.page_keys import PLAYGROUND

from .usage import COUNTS

DAY = timedelta(days=1)
SETTLES = timedelta(hours=2)  # after its end: what is booked by then need not be summed up twice
NOTED_BEFORE = timedelta(minutes=5)  # any booking that did not find the day's row has ended by then
MOST_AT_ONCE = 100  # days
MOST_SPANS = 20  # of days without sums; where they lie in more pieces, all is read by the hour
DRAWN_KEY = -1  # the id under which all keys of the playground are one
# What is told apart in a workspace's sums of each kind, beside the workspace itself.
KINDS: Mapping[str, tuple[str, ...]] = {
    "workspace": (), "model": ("model_name",), "endpoint": ("endpoint_id",), "place": ("place_name",), "key": ("key_id",),
    "member": ("member_id",), "all": ("member_id", "key_id", "endpoint_id", "model_name", "place_name"),
}
GPU_KINDS: Mapping[str, tuple[str, ...]] = {"workspace": (), "gpus": ("endpoint_id", "model_name", "place_name")}
GPUS = ("gpu_seconds",)
MONTH = "-month"
# Each kind with its columns and what is summed up.
SUMMED = [*((kind, columns, COUNTS) for kind, columns in KINDS.items()),
          *((kind, columns, GPUS) for kind, columns in GPU_KINDS.items())]
NAMES = {"workspace_id": "workspace_name", "member_id": "member_name", "key_id": "key_name", "endpoint_id": "endpoint_name"}
WRITTEN = [field.name for field in UsageDay._meta.concrete_fields if field.name not in ("id", "day", "kind")]


def subject_of(model: type[Model], column: str) -> Expression | F:
    """The value by which rows of usage are told apart.

    All keys that the playground drew are one; a person's own key by that name is not among them. The place of a call is
    that of its endpoint, "" where that is gone.
    """
    if model is UsageHour and column == "key_id":
        own = list(ApiKey.objects.of_people().filter(name=PLAYGROUND).values_list("pk", flat=True))
        drawn = Q(key_name=PLAYGROUND) & ~Q(key_id__in=own)
        return Case(When(drawn, then=Value(DRAWN_KEY)), default=F("key_id"), output_field=BigIntegerField())
    if model is UsageHour and column == "place_name":
        return Coalesce(Subquery(Endpoint.objects.filter(pk=OuterRef("endpoint_id")).values("cluster__name")), Value(""))
    if model is UsageDay and connection.vendor == "sqlite":
        # Not the bare column: it would read the index that has the groups in order instead of the one that finds the rows.
        return Coalesce(F(column), Value("" if column.endswith("_name") else 0))
    return F(column)


@dataclass(frozen=True)
class Held:
    """Days whose sums hold, and the first days of the months, wholly within the span, whose sums hold.

    `missing` are the days without sums, as spans from the first to the last one.
    """

    days: frozenset[date]
    months: tuple[date, ...]
    missing: Sequence[tuple[date, date]]

    @property
    def hours(self) -> Q:
        """The hours of the days without sums. No rows have them where there is no such day."""
        within = Q(pk__in=())
        for first, last in self.missing:
            within |= Q(hour__gte=_begin(first), hour__lt=_begin(last + DAY))
        return within


def held(first: date, last: date) -> Held:
    """What there is from the first to the last day. One query."""
    rows = list(SummedDay.objects.filter(day__gte=first, day__lte=last))
    days = frozenset(row.day for row in rows if row.summed == row.version)
    missing = _missing(first, last, days)
    if len(missing) > MOST_SPANS:
        return Held(frozenset(), (), [(first, last)])
    return Held(days, tuple(begin for begin, version, made in _months(rows) if version == made), missing)


def _missing(first: date, last: date, there: Collection[date]) -> list[tuple[date, date]]:
    spans: list[tuple[date, date]] = []
    for number in range((last - first).days + 1):
        day = first + number * DAY
        if day in there:
            continue
        if spans and spans[-1][1] == day - DAY:
            spans[-1] = spans[-1][0], day
        else:
            spans.append((day, day))
    return spans


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _months(rows: Iterable[SummedDay]) -> Iterator[tuple[date, int, int | None]]:
    """Of each month whose days all have sums that hold: its first day, the version of now, and that of its own sums."""
    by_month: dict[date, list[SummedDay]] = defaultdict(list)
    for row in rows:
        if row.summed == row.version:
            by_month[row.day.replace(day=1)].append(row)
    for begin, days in by_month.items():
        if len(days) == monthrange(begin.year, begin.month)[1]:
            yield begin, sum(row.version for row in days), next(row.month for row in days if row.day == begin)


def sum_up(now: datetime | None = None) -> int:
    """Note the days that have begun, and sum up those that are over; how many were summed up."""
    now = now or timezone.now()
    _note(now)
    over = (now - SETTLES).astimezone(UTC).date()
    rows = SummedDay.objects.filter(Q(summed=None) | ~Q(summed=F("version")), day__lt=over, noted_at__lte=now - NOTED_BEFORE)
    count = sum(map(_sum_up, rows.order_by("-day")[:MOST_AT_ONCE]))
    for begin, version, made in _months(SummedDay.objects.all()):
        if version != made:
            _sum_up_month(begin, version)
    return count


def _note(now: datetime) -> None:
    """Make the rows of today and of every day with usage."""
    today = now.astimezone(UTC).date()
    first = [found for model in (UsageHour, GpuHour) if (found := _first_hour(model))]
    day = min([today, *(hour.astimezone(UTC).date() for hour in first)])
    known = set(SummedDay.objects.filter(day__gte=day).values_list("day", flat=True))
    missing = [day + number * DAY for number in range((today - day).days + 1) if day + number * DAY not in known]
    SummedDay.objects.bulk_create([SummedDay(day=each, noted_at=now) for each in missing], ignore_conflicts=True)


def _first_hour(model: type[Model]) -> datetime | None:
    found: datetime | None = model._default_manager.order_by().aggregate(first=Min("hour"))["first"]
    return found


def _sum_up(row: SummedDay) -> bool:
    """Whether nobody booked into the day meanwhile."""
    hours = {"hour__gte": _begin(row.day), "hour__lt": _begin(row.day + DAY)}
    with transaction.atomic():
        UsageDay.objects.filter(day=row.day, kind__in={kind for kind, *_rest in SUMMED}).delete()
        for kind, columns, counts in SUMMED:
            model: type[UsageHour] | type[GpuHour] = GpuHour if counts == GPUS else UsageHour
            _insert(row.day, kind, model._default_manager.filter(**hours), columns, counts)
        holds = SummedDay.objects.filter(pk=row.pk, version=row.version).update(summed=row.version)
        if not holds:
            transaction.set_rollback(True)
    return bool(holds)


def _sum_up_month(begin: date, version: int) -> None:
    """From its days. Where one of them is opened meanwhile, its version has grown, so these sums do not hold."""
    last = begin.replace(day=monthrange(begin.year, begin.month)[1])
    with transaction.atomic():
        UsageDay.objects.filter(day=begin, kind__in={f"{kind}{MONTH}" for kind, *_rest in SUMMED}).delete()
        for kind, columns, counts in SUMMED:
            _insert(begin, f"{kind}{MONTH}", UsageDay.objects.filter(kind=kind, day__gte=begin, day__lte=last), columns, counts)
        SummedDay.objects.filter(day=begin).update(month=version)


def _insert(day: date, kind: str, rows: QuerySet[Any], columns: Collection[str], counts: Sequence[str]) -> None:
    """One statement: the sums of the hours, with every column of the day's table, of which many are empty."""
    apart = ["workspace_id", *columns]
    names = {NAMES[column] for column in apart if column in NAMES}
    told = {f"its_{column}": subject_of(rows.model, column) for column in apart}
    sums = {**{f"its_{name}": Max(name) for name in names}, **{f"its_{name}": Sum(name) for name in counts}}
    found = rows.order_by().annotate(**told).values(*told).annotate(**sums).values(*told, *sums)
    sql, values = found.query.sql_with_params()
    quote, known = connection.ops.quote_name, {*told, *sums}
    picked = [f"found.{quote(f'its_{column}')}" if f"its_{column}" in known else "''" if column.endswith("_name") else "0"
              for column in WRITTEN]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(UsageDay._meta.db_table)} ({', '.join(map(quote, ['day', 'kind', *WRITTEN]))}) "  # noqa: S608  Only names of ours.
            f"SELECT %s, %s, {', '.join(picked)} FROM ({sql}) AS found",
            [connection.ops.adapt_datefield_value(day), kind, *values])
