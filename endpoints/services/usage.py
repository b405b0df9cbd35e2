"""What was used: sums over the hours, for the API, the page and their CSV; and what of it is forgotten."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from operator import add
from typing import Any

from django.db.models import CharField, Max, Model, QuerySet, Sum
from django.db.models.functions import Cast, Left
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.gateway.doors import DOORS
from endpoints.models import GpuHour, SpoolPosition, SummedDay, TrafficMinute, UsageDay, UsageHour
from portal.tenancy.errors import Invalid
from portal.tenancy.text import as_cell

COUNTS = ("requests", "errors", "refused", "partial", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_nano")
NANO = Decimal(10) ** -9
MOST_LINES = 10_000
KEPT_DAYS = 397  # 13 months, the longest of them
TRAFFIC_DAYS = 2
FORGOTTEN_AT_ONCE = 2_000

# How much of an hour's text (2026-11-21 20:00:00, UTC) tells it apart. Django's Trunc takes SQLite 14 µs a row.
TIMES = {"hour": 13, "day": 10, "month": 7}
# What is told apart, and the name that it had when it was first used in the hour.
SUBJECTS = {
    "workspace": ("workspace_id", "workspace_name"), "member": ("member_id", "member_name"), "key": ("key_id", "key_name"),
    "endpoint": ("endpoint_id", "endpoint_name"), "model": ("model_name", "model_name"), "address": ("door", "door"),
}
GROUPS = (*TIMES, *SUBJECTS)
NOT_OF_GPUS = ("member", "key", "address")  # GPUs belong to endpoints
ADDRESSES = {door.number: path for path, door in DOORS.items()}


@dataclass
class Line:
    """Sums over the hours that have `names` in common, in the order of the groups asked for."""

    names: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    gpu_seconds: int = 0

    def of(self, name: str) -> int:
        return self.counts[COUNTS.index(name)]

    @property
    def cost(self) -> Decimal:
        """In the currency of the price book."""
        return cost_of(self.of("cost_nano"))

    @property
    def gpu_hours(self) -> Decimal:
        return (Decimal(self.gpu_seconds) / 3600).quantize(Decimal("0.0001"))

    def add(self, more: Line) -> None:
        self.counts = list(map(add, self.counts, more.counts))
        self.gpu_seconds += more.gpu_seconds


def cost_of(nano: int) -> Decimal:
    return nano * NANO


def usage_by(rows: QuerySet[UsageHour], groups: Sequence[str], gpus: QuerySet[GpuHour] | None = None) -> list[Line]:
    """Sums of `rows` by one to three of GROUPS, ordered by them. Raises Invalid where that makes too many lines.

    An hour belongs to the day and the month in which it lies in UTC. With `gpus` the lines have GPU seconds too, and there
    are lines for what held GPUs and was not called, unless the groups have something to which no GPUs belong.
    """
    lines = _lines_by(rows, groups, COUNTS)
    if gpus is not None and not {*groups} & {*NOT_OF_GPUS}:
        for key, line in _lines_by(gpus, groups, ["gpu_seconds"]).items():
            lines.setdefault(key, Line(line.names)).gpu_seconds = line.gpu_seconds
        lines = dict(sorted(lines.items()))
    if len(lines) > MOST_LINES:
        raise Invalid(_("This makes more than %(count)d lines. Choose a shorter time, or fewer groups.") % {
            "count": MOST_LINES}, field="group")
    return list(lines.values())


def gpu_seconds(gpus: QuerySet[GpuHour]) -> list[tuple[str, str, int]]:
    """Of each day (UTC, as text) and model in one query: day, model, seconds."""
    rows = gpus.order_by().annotate(by_day=Left(Cast("hour", CharField()), TIMES["day"]))
    return list(rows.values_list("by_day", "model_name").annotate(seconds=Sum("gpu_seconds")))


def _lines_by(rows: QuerySet[Any], groups: Sequence[str], counts: Sequence[str]) -> dict[tuple[Any, ...], Line]:
    """By what they have in common; one more than there may be at most."""
    columns, names = {}, {}
    for group in groups:
        if group in TIMES:
            columns[f"by_{group}"] = Left(Cast("hour", CharField()), TIMES[group])
        else:
            column, name = SUBJECTS[group]
            names[group] = name if name == column else f"name_of_{group}"
    keys = [f"by_{group}" if group in TIMES else SUBJECTS[group][0] for group in groups]
    shown = {names[group]: Max(SUBJECTS[group][1]) for group in names if names[group] not in keys}
    found = rows.order_by().annotate(**columns).values(*keys).annotate(
        **shown, **{f"sum_of_{name}": Sum(name) for name in counts}).order_by(*keys)
    return {tuple(row[key] for key in keys): _line(row, groups, names, counts) for row in found[:MOST_LINES + 1]}


def _line(row: dict[str, Any], groups: Sequence[str], names: dict[str, str], counts: Sequence[str]) -> Line:
    said = []
    for group in groups:
        if group in TIMES:
            said.append(_time(row[f"by_{group}"]))
        else:
            value = row[names[group]]
            said.append(ADDRESSES.get(value, "") if group == "address" else value)
    sums = [row[f"sum_of_{name}"] for name in counts]
    return Line(said, sums) if len(sums) == len(COUNTS) else Line(said, gpu_seconds=sums[0])


def _time(text: str) -> str:
    day, _space, hour = text.partition(" ")
    return f"{day}T{hour}:00Z" if hour else day


def total_of(rows: QuerySet[UsageHour], gpus: QuerySet[GpuHour] | None = None) -> Line:
    sums = rows.order_by().aggregate(**{f"sum_of_{name}": Sum(name) for name in COUNTS})
    held = 0 if gpus is None else gpus.order_by().aggregate(held=Sum("gpu_seconds"))["held"] or 0
    return Line([], [sums[f"sum_of_{name}"] or 0 for name in COUNTS], held)


def as_csv(groups: Sequence[str], lines: Iterable[Line], *, has_gpus: bool) -> str:
    """A table for spreadsheets, in which no name is taken for a formula; GPU hours stay empty where nobody can tell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*groups, *COUNTS[:-1], "cost", "gpu_hours"])
    for line in lines:
        writer.writerow([*map(as_cell, line.names), *line.counts[:-1], f"{line.cost:f}", line.gpu_hours if has_gpus else ""])
    return text.getvalue()


def forget_old(now: datetime | None = None) -> int:
    """Drop what is older than it is kept; how many rows went.

    A position goes with the usage of its time: files of a spool that nobody booked for so long would be booked again.
    """
    now = now or timezone.now()
    return sum((
        _drop(UsageHour, hour__lt=now - timedelta(days=KEPT_DAYS)),
        _drop(GpuHour, hour__lt=now - timedelta(days=KEPT_DAYS)),
        _drop(UsageDay, day__lt=(now - timedelta(days=KEPT_DAYS)).date()),
        _drop(SummedDay, day__lt=(now - timedelta(days=KEPT_DAYS)).date()),
        _drop(TrafficMinute, minute__lt=now - timedelta(days=TRAFFIC_DAYS)),
        _drop(SpoolPosition, moved_at__lt=now - timedelta(days=KEPT_DAYS)),
    ))


def _drop(model: type[Model], **old: Any) -> int:
    """In short transactions, so that whoever books meanwhile need not wait."""
    gone, ids = 0, [0]
    while ids:
        ids = list(model._default_manager.filter(**old).order_by("pk").values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
        gone += model._default_manager.filter(pk__in=ids).delete()[0] if ids else 0
    return gone
