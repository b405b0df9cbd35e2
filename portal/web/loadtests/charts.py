"""A run's points as charts for uPlot: plain values, with the words of the page's language."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from endpoints.models import LoadTest

from ..durations import took

Values = Sequence[float | None]
P50, P95, P99 = range(3)


@dataclass(frozen=True)
class Line:
    """A series: its colour is one of the tokens s1 to s5."""

    label: str
    colour: int
    values: Values
    at: Values = ()  # where it has times of its own


@dataclass(frozen=True)
class Chart:
    """`unit` is "s" for times, "/s" for rates, "calls" for counts of a distribution, whose axis is logarithmic time."""

    name: str
    title: str
    unit: str
    at: Values
    lines: Sequence[Line]
    limit: float | None = None
    limit_label: str = ""
    until: float | None = None  # how far the axis of time goes while the run does

    @property
    def is_empty(self) -> bool:
        return not any(value is not None for line in self.lines for value in line.values)

    @property
    def data(self) -> str:
        """What the page's script draws."""
        at, lines = _aligned(self.at, self.lines)
        return json.dumps({
            "unit": self.unit, "at": at, "limit": self.limit, "until": self.until,
            "lines": [{"label": line.label, "colour": line.colour, "values": values}
                      for line, values in zip(self.lines, lines, strict=True)]})

    @property
    def label(self) -> str:
        """The chart in words: its last values."""
        last = [(line.label, next((value for value in reversed(line.values) if value is not None), None))
                for line in self.lines]
        said = ", ".join(f"{label} {self._worded(value)}" for label, value in last if value is not None)
        goal = f"; {self.limit_label}" if self.limit is not None else ""
        return _("%(title)s, last values: %(values)s") % {"title": self.title, "values": said} + goal

    def _worded(self, value: float) -> str:
        return took(value) if self.unit == "s" else f"{value:g}"


def _aligned(at: Values, lines: Iterable[Line]) -> tuple[list[float | None], list[list[float | None]]]:
    """One axis for all lines: a line with times of its own has gaps elsewhere, which the script spans."""
    lines = list(lines)
    axis = sorted({one for one in (*at, *(own for line in lines for own in line.at)) if one is not None})
    aligned = []
    for line in lines:
        known = dict(zip(line.at or at, line.values, strict=True))
        aligned.append([known.get(one) for one in axis])
    return list(axis), aligned


def _points(run: LoadTest | None) -> list[dict[str, Any]]:
    return list(run.series.get("points", [])) if run else []


def _times(points: Sequence[dict[str, Any]], name: str, which: int) -> Values:
    return [point[name][which] if point[name] else None for point in points]


def _column(points: Sequence[dict[str, Any]], name: str) -> Values:
    return [max(0.0, point[name]) for point in points]


def charts_of(run: LoadTest, other: LoadTest | None) -> list[Chart]:
    """First token on top; then tokens, between tokens, calls, and how first tokens are spread."""
    points, others = _points(run), _points(other)
    at, at_other = _column(points, "t"), _column(others, "t")
    goals = run.goals
    ours, theirs = _name(run), _name(other) if other else ""

    def beside(values: Values, label: str = "") -> list[Line]:
        return [Line(label or theirs, 5, values, at_other)] if other else []

    first = [Line("p99", 1, _times(points, "first", P99)), Line("p95", 2, _times(points, "first", P95)),
             Line("p50", 3, _times(points, "first", P50))]
    width = float(run.series.get("width", 1) or 1)
    along = [
        Chart("first", _("Time to first token"), "s", at, [*first, *beside(_times(others, "first", P95), f"{theirs} p95")],
              goals.first, _goal(goals.first)),
        Chart("tokens", _("Tokens out each second"), "/s", at,
              [Line(ours, 1, _column(points, "tokens")), *beside(_column(others, "tokens"))]),
        Chart("between", _("Between tokens, p95"), "s", at,
              [Line(ours, 1, _times(points, "between", P95)), *beside(_times(others, "between", P95))],
              goals.between, _goal(goals.between)),
        Chart("calls", _("Calls answered and failed each second"), "/s", at,
              [Line(_("answered"), 1, [value / width for value in _column(points, "done") if value is not None]),
               Line(_("failed"), 2, [value / width for value in _column(points, "failed") if value is not None])]),
    ]
    until = float(run.seconds) if run.is_active else None
    return [*(replace(chart, until=until) for chart in along), _spread(run)]


def _spread(run: LoadTest) -> Chart:
    bars = run.series.get("bars", {}).get("first", [])
    return Chart("spread", _("How first tokens are spread"), "calls", [high for _low, high, _count in bars],
                 [Line(_("calls"), 1, [count for _low, _high, count in bars])], run.goals.first, _goal(run.goals.first))


def _name(run: LoadTest) -> str:
    return _("Run %(number)d") % {"number": run.number}


def _goal(seconds: float | None) -> str:
    return "" if seconds is None else _("Goal, %(time)s") % {"time": took(seconds)}
