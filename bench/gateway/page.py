"""The part of docs/performance.md that the bench writes: between its two marks."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .figures import DIRECT, Outcome, Verdict
from .report import Rounds, by_target, described, number, spread, verdict
from .soak import Soaked
from .tools import version_of

BEGIN, END = "<!-- written by the bench: begin -->", "<!-- written by the bench: end -->"


@dataclass(frozen=True)
class Run:
    """All that a page tells. `load`: the machine's load average before the bench began; `revision`: of the portal."""

    rounds: Rounds
    outcomes: Sequence[Outcome]
    absent: Mapping[str, str]
    peers: Sequence[str]
    seconds: float
    load: float
    revision: str


def write(path: Path, run: Run, soaked: Soaked | None = None) -> None:
    """Replace what stands between the marks. Raises ValueError where the page has none."""
    text = path.read_text()
    head, begin, rest = text.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no marks for what the bench writes.")
    path.write_text(f"{head}{BEGIN}\n{page(run, soaked)}\n{END}{tail}")


def page(run: Run, soaked: Soaked | None = None) -> str:
    parts = [_about(run), _verdicts(run.outcomes), _missed(run.outcomes), *(_measured(name, run) for name in run.rounds)]
    if soaked is not None:
        parts.append(f"**Soak**: {soaked}.")
    return "\n\n".join(part for part in parts if part)


def _about(run: Run) -> str:
    rounds = max((len(found) for found in run.rounds.values()), default=0)
    versions = ", ".join(f"{name} {version_of(name)}" for name in run.peers if name not in run.absent)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, revision {run.revision}, {_processor()}, {os.cpu_count()} cores, "
        f"Linux {platform.release()}, Python {platform.python_version()}; {versions}. {rounds} rounds of {run.seconds:g} s "
        f"a load; load average {run.load:.1f} before the bench began.",
        *(f"Not measured: {why}" for why in run.absent.values()),
    ]
    return "\n\n".join(lines)


def _verdicts(outcomes: Sequence[Outcome]) -> str:
    rows = ["| what | load | measured | lowest … highest | floor | goal | |", "|---|---|---|---|---|---|---|"]
    for outcome in outcomes:
        figure = outcome.figure
        sign = "≥" if figure.at_least else "≤"
        rows.append(f"| {described(figure)} | {figure.line} | {number(outcome.value)} | {spread(outcome).strip('()')} | "
                    f"{sign} {number(figure.floor)} | {sign} {number(figure.goal)} | "
                    f"{verdict(outcome)} |")
    return "\n".join(rows)


def _missed(outcomes: Sequence[Outcome]) -> str:
    lines = [f"- {described(one.figure)} ({one.figure.line}): {one.missed_by} off the goal"
             + (", **below the floor**" if one.verdict is Verdict.MISSED else "")
             for one in outcomes if one.missed_by]
    return "\n".join(["Goals that are missed:", "", *lines]) if lines else ""


def _measured(line: str, run: Run) -> str:
    targets = by_target(run.rounds[line])
    is_stream = any(measured.whole for measured in targets.values())
    times = ("first byte µs", "chunk µs p50", "p99", "stream ms") if is_stream else ("p50 µs", "p99 µs")
    columns = (line, "/ s", "CPU µs", *times, "MB RSS", "PSS", "faults")
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, one in targets.items():
        took = (one.first, one.delay, one.delay99, one.whole / 1000) if is_stream else (one.p50, one.p99)
        cpu = "" if name == DIRECT else f"{1000 * one.cpu:.1f}"
        memory = ("", "") if name == DIRECT else (f"{one.memory:.0f}", f"{one.pss:.0f}")
        cells = (name, f"{one.per_second:,.0f}", cpu, *(f"{value:,.0f}" for value in took), *memory, str(one.faults))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
