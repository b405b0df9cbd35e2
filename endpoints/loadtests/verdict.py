"""What a run says about its goals, and about another run. Pure; times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Summary = Mapping[str, Any]
NOISE = 2.0  # per cent that two runs of the same may differ


@dataclass(frozen=True)
class Goals:
    """At most so long for 95 of 100 calls, and so many per cent of errors; None is no goal."""

    first: float | None = None
    between: float | None = None
    error_percent: float | None = None


@dataclass(frozen=True)
class Check:
    """A goal beside what was measured; `value` is None where nothing was. Names: first, between, errors."""

    name: str
    limit: float
    value: float | None

    @property
    def is_met(self) -> bool | None:
        return None if self.value is None else self.value <= self.limit


def error_percent(summary: Summary) -> float | None:
    """Of the calls that ended, how many failed; None where none ended."""
    ended = int(summary.get("done", 0)) + int(summary.get("failed", 0))
    return int(summary.get("failed", 0)) * 100 / ended if ended else None


def p95(summary: Summary, name: str) -> float | None:
    found = summary.get(name) or {}
    return float(found["p95"]) if "p95" in found else None


def checks(goals: Goals, summary: Summary) -> list[Check]:
    """The goals that were set, in the order of the page."""
    measured = (("first", goals.first, p95(summary, "first")), ("between", goals.between, p95(summary, "between")),
                ("errors", goals.error_percent, error_percent(summary)))
    return [Check(name, limit, value) for name, limit, value in measured if limit is not None]


@dataclass(frozen=True)
class Change:
    """One figure of two runs. `percent` is how far this one is from the other, None where that can't be said."""

    name: str
    ours: float | None
    theirs: float | None
    percent: float | None
    is_better: bool | None  # None: neither, by more than noise


def change(name: str, ours: float | None, theirs: float | None, *, more_is_better: bool = False) -> Change:
    percent = (ours - theirs) * 100 / theirs if ours is not None and theirs else None
    better = None
    if percent is not None and abs(percent) > NOISE:
        better = (percent > 0) == more_is_better
    elif percent is None and ours is not None and theirs == 0 and ours > 0:
        better = more_is_better
    return Change(name, ours, theirs, percent, better)


RATES = ("requests_per_second", "tokens_per_second")


def compare(ours: Summary, theirs: Summary) -> list[Change]:
    """p95 of each measure, throughput and errors of one run against another."""
    times = [change(name, p95(ours, name), p95(theirs, name)) for name in ("first", "between", "whole")]
    rates = [change(name, ours.get(name), theirs.get(name), more_is_better=True) for name in RATES]
    return [*times, *rates, change("errors", error_percent(ours), error_percent(theirs))]
