"""From records to what the tables of usage grow by. Pure, and cheap enough for each call."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Self, TypeVar

from endpoints.models.traffic import FIRST_BYTE_BOUNDS

from .layout import ATTEMPT, CUT, ERROR, KEY, MOST_TOKENS, PARTIAL, RECORD, REFUSED

# What is counted. First what one key used of one endpoint in an hour, in the order of UsageHour's columns; then how the
# calls of a route to an endpoint went in a minute, in the order of TrafficMinute's, with a column for each first byte.
REQUESTS, ERRORS, REFUSALS, CUTS, PROMPT, COMPLETION, CACHED, COST, CALLS, FAILED, FIRST_BYTES = range(11)
COUNTS = FIRST_BYTES + len(FIRST_BYTE_BOUNDS) + 1
FAILURES = frozenset(range(400, 600)) - {CUT}
HIGHEST_COST = 10**15  # 10⁻⁹ of the currency, by one group of records: what columns can sum up for centuries

UsageKey = tuple[int, int, int, int, int, int, int]  # hour since 1970, workspace, member, key, endpoint, route, door
TrafficKey = tuple[int, int, int]  # minute since 1970, route, endpoint
K = TypeVar("K")


@dataclass
class Deltas:
    """`torn` counts records that a power cut has left incomplete."""

    usage: dict[UsageKey, list[int]] = field(default_factory=dict)
    traffic: dict[TrafficKey, list[int]] = field(default_factory=dict)
    torn: int = 0

    def __iadd__(self, more: Deltas) -> Self:
        for usage, counts in more.usage.items():
            _sum(self.usage, usage, counts)
        for traffic, counts in more.traffic.items():
            _sum(self.traffic, traffic, counts)
        self.torn += more.torn
        return self


def roll_up(data: bytes, first: int) -> Deltas:
    """Sum up whole records, of which the first has this number.

    The prompt of a call that was cut is taken to have the size that was guessed, if anything of the answer came; if
    nothing came, it is not charged.
    """
    deltas = Deltas()
    groups: dict[tuple[bytes, int], list[int]] = {}
    expected = first
    for record in RECORD.iter_unpack(data):
        who, guess, prompt, completion, cached, minute, status, flags, first_byte, _seconds, _call, number = record
        expected += 1
        if number != expected:
            deltas.torn += 1
            continue
        name = who, minute
        counts = groups.get(name) or groups.setdefault(name, [0] * COUNTS)
        if (prompt | completion | cached) >> 31:  # negative, or more than any call has
            prompt, completion, cached = map(_believed, (prompt, completion, cached))
        if flags:
            _count_flags(counts, flags)
            if flags & (REFUSED | ATTEMPT):
                continue
            if flags & PARTIAL and (completion or first_byte):
                prompt = prompt or guess
        if flags & ERROR or status in FAILURES:
            counts[ERRORS] += 1
        if first_byte:
            counts[FIRST_BYTES + bisect_left(FIRST_BYTE_BOUNDS, first_byte)] += 1
        counts[REQUESTS] += 1
        counts[PROMPT] += prompt
        counts[COMPLETION] += completion
        counts[CACHED] += cached
    for (key, minute), counts in groups.items():
        counts[CALLS] += counts[REQUESTS]
        _add(deltas, key, minute, counts)
    return deltas


def _believed(tokens: int) -> int:
    return min(max(tokens, 0), MOST_TOKENS)


def _count_flags(counts: list[int], flags: int) -> None:
    """What most records don't have."""
    counts[FAILED] += flags & ERROR
    if flags & REFUSED:
        counts[REFUSALS] += 1
    elif flags & ATTEMPT:
        counts[CALLS] += 1
    elif flags & PARTIAL:
        counts[CUTS] += 1


def _add(deltas: Deltas, key: bytes, minute: int, counts: list[int]) -> None:
    """One group of records that have everything but their counts in common."""
    workspace, member, api_key, endpoint, route, prompt_price, completion_price, cached_price, door = KEY.unpack(key)
    cached = min(counts[CACHED], counts[PROMPT])
    micro = (counts[PROMPT] - cached) * prompt_price + cached * cached_price + counts[COMPLETION] * completion_price
    counts[COST] = min(max(round(micro * 1000), 0), HIGHEST_COST)
    if any(counts[:CALLS]):
        _sum(deltas.usage, (minute // 60, workspace, member, api_key, endpoint, route, door), counts[:CALLS])
    if counts[CALLS] and endpoint:
        _sum(deltas.traffic, (minute, route, endpoint), counts[CALLS:])


def _sum(into: dict[K, list[int]], key: K, counts: list[int]) -> None:
    there = into.get(key)
    into[key] = counts if there is None else [was + more for was, more in zip(there, counts, strict=True)]
