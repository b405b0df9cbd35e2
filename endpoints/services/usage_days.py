"""What was used on each day by each subject: sums in the database, folded here into days, subjects and a total."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from operator import add
from typing import Any, TypeVar

from django.db.models import CharField, Max, QuerySet, Sum
from django.db.models.functions import Cast, Left
from django.utils.translation import gettext as _

from endpoints.models import Endpoint, GpuHour, UsageHour
from portal.tenancy.errors import Invalid

from .usage import COUNTS, MOST_LINES, SUBJECTS, TIMES, Line

K = TypeVar("K")
PLACE = "place"  # of the endpoint, as it is now
BY = ("model", "endpoint", PLACE, "key", "member", "workspace")
# What has GPUs, and its name; keys and members have none.
GPUS_OF = {
    "model": ("model_name", "model_name"), "endpoint": ("endpoint_id", "endpoint_name"),
    PLACE: ("place_name", "place_name"), "workspace": ("workspace_id", "workspace_name"),
}


@dataclass
class GpuSeconds:
    """How long GPUs were held in one span."""

    total: int = 0
    by_day: dict[date, int] = field(default_factory=dict)
    by_subject: dict[object, int] = field(default_factory=dict)
    cells: dict[tuple[date, object], int] = field(default_factory=dict)

    def add(self, day: date, subject: object, seconds: int) -> None:
        self.total += seconds
        self.by_day[day] = self.by_day.get(day, 0) + seconds
        self.by_subject[subject] = self.by_subject.get(subject, 0) + seconds
        self.cells[day, subject] = self.cells.get((day, subject), 0) + seconds


@dataclass
class Sums:
    """Sums of one span. `by_subject` has the name of a subject too, which another subject may have as well.

    What held GPUs and was not called has lines of zeros. `gpus` is None where the rows are not those of whole endpoints.
    """

    total: Line = field(default_factory=Line)
    by_day: dict[date, Line] = field(default_factory=dict)
    by_subject: dict[object, Line] = field(default_factory=dict)
    cells: dict[tuple[date, object], Line] = field(default_factory=dict)
    gpus: GpuSeconds | None = None

    def add(self, day: date, subject: object, name: str, counts: list[int]) -> None:
        _grow(self.by_day, day, day.isoformat(), counts)
        _grow(self.by_subject, subject, name, counts)
        _grow(self.cells, (day, subject), name, counts)


def _grow(lines: dict[K, Line], key: K, name: str, counts: list[int]) -> None:
    line = lines.get(key)
    if line is None:
        lines[key] = Line([name], counts)
    else:
        line.counts = list(map(add, line.counts, counts))


def sums_of(rows: QuerySet[UsageHour], by: str) -> Sums:
    """Sums of `rows` by day (UTC) and one of BY. Raises Invalid where that makes too many lines."""
    column, name = SUBJECTS["endpoint" if by == PLACE else by]
    shown = {} if column == name else {"shown": Max(name)}
    found = rows.order_by().annotate(day=Left(Cast("hour", CharField()), TIMES["day"])).values("day", column).annotate(
        **shown, **{f"sum_of_{count}": Sum(count) for count in COUNTS})
    lines = _bounded(found)
    places = _places({line[column] for line in lines}) if by == PLACE else None
    sums = Sums()
    for line in lines:
        subject = line[column] if places is None else places.get(line[column], "")
        said = subject if places is not None else line.get("shown", line[column])
        sums.add(date.fromisoformat(line["day"]), subject, str(said), [line[f"sum_of_{count}"] for count in COUNTS])
    for of_day in sums.by_day.values():
        sums.total.counts = list(map(add, sums.total.counts, of_day.counts))
    return sums


def add_gpus(sums: Sums, rows: QuerySet[GpuHour], by: str) -> None:
    """Add the GPU hours of `rows` to the sums that were made by the same one of BY. Raises Invalid for too many lines."""
    column, name = GPUS_OF.get(by, ("", ""))
    subject = {} if not column else {"subject": Max(column), "shown": Max(name)}
    found = rows.order_by().annotate(day=Left(Cast("hour", CharField()), TIMES["day"])).values(
        "day", *filter(None, [column])).annotate(**subject, held=Sum("gpu_seconds"))
    sums.gpus = GpuSeconds()
    for line in _bounded(found):
        day = date.fromisoformat(line["day"])
        sums.gpus.add(day, line.get("subject"), line["held"])
        if column:
            sums.add(day, line["subject"], str(line["shown"]), [0] * len(COUNTS))


def _bounded(found: QuerySet[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    lines = list(found[:MOST_LINES + 1])
    if len(lines) > MOST_LINES:
        raise Invalid(_("This makes more than %(count)d lines. Choose a shorter time, or fewer groups.") % {
            "count": MOST_LINES}, field="by")
    return lines


def _places(endpoints: set[int]) -> dict[int, str]:
    """Where these endpoints are; those that are gone have no place any more."""
    found = Endpoint.objects.filter(pk__in=endpoints).values_list("pk", "cluster__name")
    return dict(found.order_by())
