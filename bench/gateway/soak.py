"""Minutes at half of what the gateway can do: does it keep its memory, give back what it opens, book each call once?"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .figures import OURS
from .load import Aim, Line
from .processes import Missing, descriptors, megabytes, until
from .rounds import Bench

GROWTH = 0.05
SETTLING = 0.2  # of the time, in which caches may still fill
EVERY_SECONDS = 2.0
OPENING_SECONDS = 120.0  # in which files that stay open may be opened
CALM_SECONDS = 30.0  # in which all connections must be gone: engines' are kept for 3.5 s, callers' for 5 s
CALLS = Line("soak-calls", 64, 3)
STREAMS = Line("soak-streams", 200, 3, chunks=64, pace=5000)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Soaked:
    """What came of it. `memory`: MB, one sample each `EVERY_SECONDS`."""

    memory: tuple[float, ...]
    kept: tuple[str, ...]  # descriptors that are still open after it, and are neither of the start nor of a pool
    answers: int
    booked: int
    faults: int

    @property
    def growth(self) -> float:
        """Of the memory: the last fifth of the time, above the first fifth after settling."""
        settled = self.memory[int(len(self.memory) * SETTLING):]
        part = max(len(settled) // 5, 1)
        return statistics.median(settled[-part:]) / statistics.median(settled[:part]) - 1

    @property
    def holds(self) -> bool:
        return self.growth <= GROWTH and not self.kept and self.booked == self.answers > 0 and not self.faults

    def __str__(self) -> str:
        return (f"memory {self.memory[0]:.0f} MB at first, {self.memory[-1]:.0f} MB at last: {self.growth:+.1%} after "
                f"settling (at most {GROWTH:+.0%}); descriptors kept: {', '.join(self.kept) or 'none'}; "
                f"{self.answers:,} calls and streams, {self.booked:,} booked, {self.faults} faults: "
                f"{'holds' if self.holds else 'MISSED'}")


def soak(bench: Bench, minutes: float, tell: Tell) -> Soaked:
    """Plain calls for three eighths of the worker's time and streams for one eighth. Raises Missing."""
    aim = bench.targets[OURS]
    calls, streams = (bench.loads.run(line, aim) for line in (CALLS, STREAMS))
    rates = {CALLS: 0.375 * 1000 / calls.cpu, STREAMS: 0.125 * 1000 / (streams.cpu * STREAMS.chunks)}
    tell(f"soak: {rates[CALLS]:,.0f} calls and {rates[STREAMS]:,.0f} streams a second for {minutes:g} minutes")
    before, booked = _rest(aim), bench.booked()
    seconds = 60 * minutes
    loads = {line: bench.loads.at_rate(line, aim, rate, seconds) for line, rate in rates.items()}
    memory, settled = _watch(aim, seconds)
    results = [bench.loads.result(process, seconds) for process in loads.values()]
    for one in results:
        if one["fault"]:
            tell(f"soak: {one['fault']}")
    answers = sum(one["all_answers"] for one in results)
    until(lambda: not descriptors(*aim.pids) - (before | settled) and bench.booked() - booked >= answers, CALM_SECONDS,
          pause=0.5)
    return Soaked(memory, tuple((descriptors(*aim.pids) - (before | settled)).elements()), answers,
                  bench.booked() - booked, sum(one["faults"] + one["unfinished"] for one in results))


def _rest(aim: Aim) -> Counter[str]:
    """Descriptors when nobody calls any more: no fewer for some seconds."""
    found = [descriptors(*aim.pids)]
    while len(found) < 15 or (found[-1].total() < found[-8].total() and len(found) < CALM_SECONDS):
        time.sleep(1)
        found.append(descriptors(*aim.pids))
    return found[-1]


def _watch(aim: Aim, seconds: float) -> tuple[tuple[float, ...], Counter[str]]:
    """Memory, and the files that were open in the first minutes: a thread opens its database when it first has work.

    Raises Missing where the gateway has died.
    """
    began, memory, files = time.monotonic(), list[float](), Counter[str]()
    while (passed := time.monotonic() - began) < seconds:
        memory.append(megabytes(*aim.pids))
        if not memory[-1]:
            raise Missing("the gateway died under load")
        if passed < OPENING_SECONDS:
            files |= descriptors(*aim.pids)
        time.sleep(min(EVERY_SECONDS, seconds / 10))
    del files["socket"]
    return tuple(memory), files
