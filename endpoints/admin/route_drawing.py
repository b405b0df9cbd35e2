"""The picture of a route as numbers for SVG: how calls flow to endpoints, and small charts of what became of them.

Solid is what was counted, dashed what is wished, dash-dot a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

LANE = 100.0  # the height of a lane in the flow's own units
THICK = 72.0  # of a ribbon with all calls
LEFT, RIGHT = 0.0, 100.0
STEP = 4.0  # the width of a minute
TALL = 28.0  # the height of a small chart


@dataclass(frozen=True)
class Ribbon:
    """One endpoint's part of the flow: the outline of its wished share and the area of what was seen; "" for none."""

    wished: str
    seen: str
    middle: str


def ribbons(wished: Sequence[float], seen: Sequence[float]) -> list[Ribbon]:
    """Shares from 0 to 1 of each lane; both stacks begin around the same middle."""
    height = LANE * len(wished)
    areas = [_stack(shares, height) for shares in (wished, seen)]
    lines = [f"M{LEFT} {height / 2:.1f}C50 {height / 2:.1f} 50 {middle:.1f} {RIGHT} {middle:.1f}"
             for middle in (LANE * (number + 0.5) for number in range(len(wished)))]
    return [Ribbon(*parts) for parts in zip(*areas, lines, strict=True)]


def _stack(shares: Sequence[float], height: float) -> list[str]:
    top = (height - THICK * sum(shares)) / 2
    paths = []
    for number, share in enumerate(shares):
        thick = THICK * share
        paths.append(_band(top, LANE * (number + 0.5) - thick / 2, thick) if share > 0 else "")
        top += thick
    return paths


def _band(left: float, right: float, thick: float) -> str:
    """A band of even thickness from the left edge to the right one."""
    return (f"M{LEFT} {left:.1f}C50 {left:.1f} 50 {right:.1f} {RIGHT} {right:.1f}V{right + thick:.1f}"
            f"C50 {right + thick:.1f} 50 {left + thick:.1f} {LEFT} {left + thick:.1f}Z")


def bars(values: Sequence[float | None], most: float) -> str:
    """One bar a minute, from the bottom; a minute without a value stays empty, one of 0 gets a hair."""
    parts = []
    for number, value in enumerate(values):
        if value is not None:
            tall = max(0.6, _height(value, most))
            parts.append(f"M{STEP * number + 0.4:.1f} {TALL}v{-tall:.1f}h{STEP - 0.8:.1f}v{tall:.1f}z")
    return "".join(parts)


def steps(values: Sequence[float | None], most: float) -> str:
    """A line with one step a minute; gaps stay gaps."""
    parts = []
    for is_there, run in groupby(enumerate(values), key=lambda one: one[1] is not None):
        if is_there:
            points = [(STEP * number, TALL - _height(value or 0.0, most)) for number, value in run]
            parts.append(f"M{points[0][0]:.1f} {points[0][1]:.1f}" + "".join(
                f"V{y:.1f}H{x + STEP:.1f}" for x, y in points))
    return "".join(parts)


def level(value: float | None, most: float) -> float | None:
    """Where a limit is drawn; None where it lies outside."""
    return None if value is None or value > most else round(TALL - _height(value, most), 1)


def scale(values: Iterable[float | None], least: float) -> float:
    """The upper end of an axis from 0: the next of 1, 2, 5 times a power of ten."""
    most = max([least, *[value for value in values if value is not None]])
    power = 1e-3
    while True:
        for factor in (1, 2, 5):
            if most <= factor * power * 1.0000001:
                return factor * power
        power *= 10


def _height(value: float, most: float) -> float:
    return TALL * min(1.0, value / most)
