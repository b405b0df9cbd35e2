"""What a run found, for people: lines on the terminal, and the tables of docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields

from .figures import BARE, DIRECT, Figure, Outcome, Round, Verdict
from .load import Measured

Rounds = Mapping[str, Sequence[Round]]
EXCUSED = {"litellm", "production-stack", "vllm-router"}  # not everywhere to be had; nginx is


def middle(runs: Sequence[Measured]) -> Measured:
    """The median of each field by itself."""
    numbers = [field.name for field in fields(Measured) if field.name not in ("faults", "fault")]
    values = {name: statistics.median(getattr(run, name) for run in runs) for name in numbers}
    return Measured(**values, faults=sum(run.faults for run in runs), fault=next((run.fault for run in runs if run.fault), ""))


def by_target(rounds: Sequence[Round]) -> dict[str, Measured]:
    names = dict.fromkeys(name for one in rounds for name in one)
    return {name: middle([one[name] for one in rounds if name in one]) for name in names}


def measured_line(name: str, run: Measured) -> str:
    """One target on one line of load."""
    parts = [f"{name:17}{run.per_second:10,.0f} /s  {1000 * run.cpu:9.2f} µs CPU"]
    if run.threads:
        parts.append(f"{1000 * run.threads:.2f} of it beside the main thread")
    if run.whole:
        parts.append(f"first {run.first:,.0f} µs  chunk p50 {run.delay:,.0f} µs  p99 {run.delay99:,.0f} µs  "
                     f"stream {run.whole / 1000:,.1f} ms")
    else:
        parts.append(f"p50 {run.p50:,.0f} µs  p99 {run.p99:,.0f} µs")
    parts.append(f"{run.memory:.0f} MB RSS, {run.pss:.0f} PSS")
    parts.append(f"(its core for others {run.others:.0%}, load core {run.load_core:.0%})")
    if run.faults:
        parts.append(f"{run.faults} FAULTS {run.fault}")
    return "  ".join(parts)


def verdict_line(outcome: Outcome) -> str:
    figure = outcome.figure
    sign = "≥" if figure.at_least else "≤"
    shown = f"{number(outcome.value):>8}  {spread(outcome):15}"
    bound = f"floor {sign} {number(figure.floor)}, goal {sign} {number(figure.goal)}"
    return f"{figure.line:8}{described(figure):62}{shown} {bound:30} {verdict(outcome)}"


def described(figure: Figure) -> str:
    """A figure in words: what is divided by what."""
    if not figure.other:
        return figure.what
    other = {DIRECT: "the engine alone", BARE: "the bare relay"}.get(figure.other, figure.other)
    return f"{figure.what}: {other} / ours" if figure.inverse else f"{figure.what}: ours / {other}"


def verdict(outcome: Outcome) -> str:
    return f"{outcome.verdict}{'' if outcome.figure.binds else ' (does not bind)'}"


def spread(outcome: Outcome) -> str:
    if len(outcome.values) < 2:
        return ""
    return f"({number(min(outcome.values))}…{number(max(outcome.values))})"


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def holds(outcomes: Iterable[Outcome], absent: Collection[str]) -> bool:
    """Whether each floor that binds holds. Peers that can't be had say nothing; all else that has no value fails."""
    excused = set(absent) & EXCUSED
    counted = [one for one in outcomes if one.figure.binds and one.figure.other not in excused]
    return all(one.verdict in (Verdict.GOAL, Verdict.FLOOR) for one in counted)
