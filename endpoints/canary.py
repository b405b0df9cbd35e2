"""Whether an endpoint on trial does worse than it may: a pure function over counted calls, told in docs/routes.md.

Chance alone must not end a trial, and looking at it every few seconds must not either. So a limit counts as broken only
where the calls leave no more than 1 in 100 for chance (one side): shares by Wilson's interval, the difference of two shares
by Newcombe's hybrid of two of those (Newcombe 1998, Statistics in Medicine 17, methods 3 and 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

SURE = 2.326  # the normal distribution's 99th percentile
TAIL = 0.05  # p95: the share of calls that may be slower


@dataclass(frozen=True)
class Sample:
    """Counted calls. `first_bytes` are those with a first byte by their time, in the buckets of `bounds` and one above."""

    calls: int = 0
    errors: int = 0
    first_bytes: tuple[int, ...] = ()

    def __add__(self, other: Sample) -> Sample:
        return Sample(self.calls + other.calls, self.errors + other.errors, tuple(
            mine + theirs for mine, theirs in zip(self.first_bytes, other.first_bytes, strict=True))
            if self.first_bytes and other.first_bytes else self.first_bytes or other.first_bytes)

    @property
    def error_percent(self) -> float | None:
        return 100 * self.errors / self.calls if self.calls else None


@dataclass(frozen=True)
class Guard:
    """What a canary may do at most. Percentages from 0 to 100, times in seconds; None does not count."""

    min_calls: int
    max_error_percent: float | None = None
    max_error_points: float | None = None
    max_first_byte: float | None = None
    max_first_byte_ratio: float | None = None


@dataclass(frozen=True)
class Verdict:
    """`reason` says which limit is broken, "" where none is; `is_judged` whether there were enough calls to say so."""

    reason: str = ""
    is_judged: bool = False


def judge(canary: Sample, others: Sample, guard: Guard, bounds: Sequence[float]) -> Verdict:
    """Hold the canary's calls against the guard and the others' calls. `bounds` are upper ends of buckets in seconds."""
    if canary.calls < max(1, guard.min_calls):
        return Verdict()
    reason = _errors(canary, others, guard) or _slowness(canary, others, guard, bounds)
    return Verdict(reason, is_judged=True)


def _errors(canary: Sample, others: Sample, guard: Guard) -> str:
    share = canary.errors / canary.calls
    said = {"share": f"{100 * share:.1f}", "errors": canary.errors, "calls": canary.calls}
    least, _most = wilson(canary.errors, canary.calls)
    if guard.max_error_percent is not None and 100 * least > guard.max_error_percent:
        return _("%(share)s %% of its calls failed (%(errors)d of %(calls)d); %(limit)g %% are allowed.") % {
            **said, "limit": guard.max_error_percent}
    if guard.max_error_points is not None and others.calls >= guard.min_calls:
        theirs = others.errors / others.calls
        _least, most = wilson(others.errors, others.calls)
        surely = share - theirs - math.hypot(share - least, most - theirs)
        if 100 * surely > guard.max_error_points:
            return _("%(share)s %% of its calls failed (%(errors)d of %(calls)d), of the others' %(theirs)s %%; "
                     "%(limit)g points more are allowed.") % {**said, "theirs": f"{100 * theirs:.1f}",
                                                              "limit": guard.max_error_points}
    return ""


def _slowness(canary: Sample, others: Sample, guard: Guard, bounds: Sequence[float]) -> str:
    """Its 95th percentile is above a limit where more than 5 % of its calls are slower than the limit."""
    seen, timed = quantile(canary.first_bytes, bounds), sum(canary.first_bytes)
    if seen is None or timed < guard.min_calls:
        return ""
    said = {"seen": milliseconds(seen), "calls": timed}
    if guard.max_first_byte is not None and _is_slower(canary, guard.max_first_byte, bounds):
        return _("Its time to the first token is %(seen)s (p95 of %(calls)d calls); %(limit)s are allowed.") % {
            **said, "limit": milliseconds(guard.max_first_byte)}
    theirs = quantile(others.first_bytes, bounds) if sum(others.first_bytes) >= guard.min_calls else None
    if guard.max_first_byte_ratio is None or theirs is None:
        return ""
    if _is_slower(canary, theirs * guard.max_first_byte_ratio, bounds):
        return _("Its time to the first token is %(seen)s (p95 of %(calls)d calls), the others' %(theirs)s; %(ratio)g times "
                 "that are allowed.") % {**said, "theirs": milliseconds(theirs), "ratio": guard.max_first_byte_ratio}
    return ""


def _is_slower(sample: Sample, limit: float, bounds: Sequence[float]) -> bool:
    slow = slower_than(sample.first_bytes, limit, bounds)
    least, _most = wilson(slow, sum(sample.first_bytes))
    return least > TAIL


def wilson(hits: float, tries: int, z: float = SURE) -> tuple[float, float]:
    """The interval of a share of which each end is passed with 1 % chance (Wilson 1927, without correction)."""
    share, spread = hits / tries, z * z / tries
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / tries + spread / (4 * tries)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def quantile(counts: Sequence[int], bounds: Sequence[float], q: float = 1 - TAIL) -> float | None:
    """The time in seconds below which a share of `q` lies, taken as even within a bucket; None without calls.

    Above the last bound nothing is known but that it is above: the bound itself is the answer there.
    """
    rank, lower, below = q * sum(counts), 0.0, 0
    for count, upper in zip(counts, bounds, strict=False):
        if count and below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count
        lower, below = upper, below + count
    return lower if any(counts) else None


def slower_than(counts: Sequence[int], limit: float, bounds: Sequence[float]) -> float:
    """How many calls took longer than `limit` seconds, taken as even within a bucket."""
    slow, lower = 0.0, 0.0
    for number, count in enumerate(counts):
        upper = bounds[number] if number < len(bounds) else lower
        if limit <= lower:
            slow += count
        elif limit < upper:
            slow += count * (upper - limit) / (upper - lower)
        lower = upper
    return slow


def milliseconds(seconds: float) -> str:
    """As people read it: 240 ms, 1.3 s."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"
