"""What DESIGN section 6 asks of the gateway, as data, and what a run has to say to it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .load import Line, Measured

# The portal as one process, its gateway in a process of its own, the gateway’s parts alone, the engine itself.
OURS, WORKER, BARE, DIRECT = "portal", "worker", "bare", "direct"
PLAIN_1, PLAIN_16, PLAIN_64 = "plain1", "plain16", "plain64"
STREAM_1, STREAMS_200, STREAMS_16 = "s1", "s200", "s16"
Round = Mapping[str, Measured]


class Verdict(StrEnum):
    GOAL = "goal"
    FLOOR = "floor"
    MISSED = "missed"
    UNKNOWN = "not measured"


def lines(seconds: float) -> tuple[Line, ...]:
    """Each kind of load. Paced streams send a chunk each 5 ms; unpaced ones come as fast as they are taken."""
    return (
        Line(PLAIN_1, 1, seconds), Line(PLAIN_16, 16, seconds), Line(PLAIN_64, 64, seconds),
        Line(STREAM_1, 1, seconds, chunks=16, pace=5000), Line(STREAMS_200, 200, seconds, chunks=64, pace=5000),
        Line(STREAMS_16, 16, seconds, chunks=64),
    )


@dataclass(frozen=True)
class Figure:
    """One demand: a field of what was measured, ours over another's; the other's over ours where more of it is worse
    (`inverse`); above what the engine takes by itself (`added`). Without `other` it is our own figure as it is."""

    what: str
    line: str
    field: str
    other: str
    floor: float
    goal: float
    at_least: bool = False
    inverse: bool = False
    added: bool = False
    whose: str = OURS
    binds: bool = True  # False: of performance.md alone, or too noisy to end a release

    def of(self, measured: Round) -> float | None:
        """None where one of the two was not measured, or did not answer as it should."""
        needed = [self.whose, *filter(None, [self.other]), *([DIRECT] if self.added else [])]
        if any(name not in measured or not measured[name].is_sound for name in needed):
            return None
        base = self._value(measured[DIRECT]) if self.added else 0.0
        ours = self._value(measured[self.whose]) - base
        if not self.other:
            return ours
        theirs = self._value(measured[self.other]) - base
        above, below = (theirs, ours) if self.inverse else (ours, theirs)
        return above / below if below > 0 else None

    def _value(self, measured: Measured) -> float:
        return float(getattr(measured, self.field))

    def verdict(self, value: float | None) -> Verdict:
        if value is None:
            return Verdict.UNKNOWN
        if self._holds(value, self.goal):
            return Verdict.GOAL
        return Verdict.FLOOR if self._holds(value, self.floor) else Verdict.MISSED

    def _holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


@dataclass(frozen=True)
class Outcome:
    """A figure with its value in each round that had one; the median counts."""

    figure: Figure
    values: tuple[float, ...]

    @property
    def value(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> Verdict:
        return self.figure.verdict(self.value)

    @property
    def missed_by(self) -> str:
        """How far the goal is: “1.34 times”; "" where it is reached or nothing was measured."""
        if self.value is None or self.verdict is Verdict.GOAL:
            return ""
        goal = self.figure.goal
        return f"{goal / self.value if self.figure.at_least else self.value / goal:.2f} times"


def judge(figure: Figure, rounds: Mapping[str, Sequence[Round]]) -> Outcome:
    """`rounds`: by line, what each target did in each round."""
    values = [figure.of(one) for one in rounds.get(figure.line, ())]
    return Outcome(figure, tuple(value for value in values if value is not None))


def _against(other: str, floor: float, goal: float) -> tuple[Figure, ...]:
    return (Figure("calls per second", PLAIN_64, "per_second", other, floor, goal, at_least=True),
            Figure("CPU per call", PLAIN_64, "cpu", other, floor, goal, at_least=True, inverse=True))


FIGURES = (
    Figure("CPU per call", PLAIN_64, "cpu", "nginx", 4, 2),
    Figure("calls per second", PLAIN_64, "per_second", "nginx", 0.25, 0.5, at_least=True),
    Figure("calls per second", PLAIN_16, "per_second", "nginx", 0.25, 0.5, at_least=True),
    Figure("added time to answer, median", PLAIN_1, "p50", "nginx", 2.0, 1.4, added=True, binds=False),
    Figure("99 % of answers within", PLAIN_64, "p99", "nginx", 3.5, 1.5, binds=False),
    *_against("litellm", 100, 200), *_against("production-stack", 10, 20), *_against("vllm-router", 1, 1.8),
    Figure("CPU per chunk", STREAMS_200, "cpu", "nginx", 1.8, 1.25),
    Figure("CPU per chunk, unpaced", STREAMS_16, "cpu", "nginx", 1.8, 1.25),
    Figure("chunks per second", STREAMS_200, "per_second", DIRECT, 0.97, 0.985, at_least=True),
    Figure("time of a whole stream", STREAMS_200, "whole", DIRECT, 1.03, 1.01, binds=False),
    Figure("added time to first byte, median", STREAM_1, "first", "nginx", 3, 1.6, added=True),
    Figure("delay of a chunk, median", STREAMS_200, "delay", "nginx", 6, 2.2, binds=False),
    Figure("CPU per call with keys, limits and metering", PLAIN_64, "cpu", BARE, 1.3, 1.15),
    Figure("memory of a gateway worker, MB", STREAMS_200, "memory", "", 110, 75, whose=WORKER),
)
