"""Lines drawn by the server: a spark of 24 hours, and the sum of a month. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.formats import number_format
from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Spark:
    """A path in a box of 100 to 24, and the same in words."""

    path: str
    words: str


def spark(values: Sequence[int], title: str) -> Spark:
    most = max([*values, 1])
    step = 100 / max(len(values) - 1, 1)
    words = _("%(title)s: %(last)s in this hour, %(most)s at most") % {
        "title": title, "last": number_format(values[-1], force_grouping=True),
        "most": number_format(max(values), force_grouping=True)}
    return Spark(_path((at * step, 24 - 24 * value / most) for at, value in enumerate(values)), words)


@dataclass(frozen=True)
class MonthLine:
    """The sum of a month in a box of 100 to 100: what was seen, what is expected, the limit; and its scale."""

    seen: str
    area: str
    expected: str
    limit: str
    top: float


def month_line(days: Sequence[date], sums: Sequence[float], expected: float | None, limit: float | None) -> MonthLine:
    """`sums` are the running sums of the first days; `expected` is the sum at the end of `days`."""
    top = nice(max([*sums, expected or 0, limit or 0]))

    def at(day: int, value: float) -> tuple[float, float]:
        return 100 * day / len(days), 100 - 100 * value / top

    points = [at(0, 0), *(at(number, value) for number, value in enumerate(sums, 1))]
    end = points[-1]
    return MonthLine(
        _path(points), f"{_path(points)} V100 H0Z", _path([end, at(len(days), expected)]) if expected is not None else "",
        f"{100 - 100 * limit / top:.1f}" if limit is not None else "", top)


def nice(most: float) -> float:
    """A round figure that is not lower, for the top of a scale."""
    size = 1.0
    while size * 10 <= most:
        size *= 10
    while size > most > 0:
        size /= 10
    return next((step * size for step in (1, 2, 2.5, 5, 10) if step * size >= most), size) or 1.0


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{x:.1f} {y:.1f}" for x, y in points)
