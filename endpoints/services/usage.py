"""What was used: sums over the hours, for the API, the page and their CSV; and what of it is forgotten."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import CharField, Max, Model, QuerySet, Sum
from django.db.models.functions import Cast, Left
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.gateway.doors import DOORS
from endpoints.models import GpuHour, SpoolPosition, TrafficMinute, UsageHour
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
ADDRESSES = {door.number: path for path, door in DOORS.items()}


@dataclass
class Line:
    """Sums over the hours that have `names` in common, in the order of the groups asked for."""

    names: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))

    def of(self, name: str) -> int:
        return self.counts[COUNTS.index(name)]

    @property
    def cost(self) -> Decimal:
        """In the currency of the price book."""
        return cost_of(self.of("cost_nano"))


def cost_of(nano: int) -> Decimal:
    return nano * NANO


def usage_by(rows: QuerySet[UsageHour], groups: Sequence[str]) -> list[Line]:
    """Sums of `rows` by one to three of GROUPS, ordered by them. Raises Invalid where that makes too many lines.

    An hour belongs to the day and the month in which it lies in UTC.
    """
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
        **shown, **{f"sum_of_{name}": Sum(name) for name in COUNTS}).order_by(*keys)
    lines = [_line(row, groups, names) for row in found[:MOST_LINES + 1]]
    if len(lines) > MOST_LINES:
        raise Invalid(_("This makes more than %(count)d lines. Choose a shorter time, or fewer groups.") % {
            "count": MOST_LINES}, field="group")
    return lines


def _line(row: dict[str, Any], groups: Sequence[str], names: dict[str, str]) -> Line:
    said = []
    for group in groups:
        if group in TIMES:
            said.append(_time(row[f"by_{group}"]))
        else:
            value = row[names[group]]
            said.append(ADDRESSES.get(value, "") if group == "address" else value)
    return Line(said, [row[f"sum_of_{name}"] for name in COUNTS])


def _time(text: str) -> str:
    day, _space, hour = text.partition(" ")
    return f"{day}T{hour}:00Z" if hour else day


def total_of(rows: QuerySet[UsageHour]) -> Line:
    sums = rows.order_by().aggregate(**{f"sum_of_{name}": Sum(name) for name in COUNTS})
    return Line([], [sums[f"sum_of_{name}"] or 0 for name in COUNTS])


def as_csv(groups: Sequence[str], lines: Iterable[Line]) -> str:
    """A table for spreadsheets, in which no name is taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*groups, *COUNTS[:-1], "cost"])
    for line in lines:
        writer.writerow([*map(as_cell, line.names), *line.counts[:-1], f"{line.cost:f}"])
    return text.getvalue()


def forget_old(now: datetime | None = None) -> int:
    """Drop what is older than it is kept; how many rows went.

    A position goes with the usage of its time: files of a spool that nobody booked for so long would be booked again.
    """
    now = now or timezone.now()
    return sum((
        _drop(UsageHour, hour__lt=now - timedelta(days=KEPT_DAYS)),
        _drop(GpuHour, hour__lt=now - timedelta(days=KEPT_DAYS)),
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
