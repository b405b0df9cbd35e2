"""The Mann-Whitney test of two samples, by its normal approximation: enough from twenty values on."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

ROUNDS = 3


def p_value(first: list[float], second: list[float]) -> float:
    """How probable a difference in rank as large as this is where both come from one distribution."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, ties, start = 0.0, 0.0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        ranks += (start + 1 + end) / 2 * sum(which == 0 for _value, which in ranked[start:end])
        ties += (end - start) ** 3 - (end - start)
        start = end
    many, few = len(first), len(second)
    total = many + few
    u = ranks - many * (many + 1) / 2
    spread = math.sqrt(many * few / 12 * (total + 1 - ties / (total * (total - 1))))
    return math.erfc(abs(u - many * few / 2) / spread / math.sqrt(2)) if spread else 1.0


def times(first: Callable[[], object], second: Callable[[], object], count: int = 500) -> tuple[list[float], list[float]]:
    """Seconds of `count` calls of each, in random order, so that a busy machine disturbs both alike."""
    took: tuple[list[float], list[float]] = ([], [])
    order = [0, 1] * count
    random.shuffle(order)
    for which in order:
        began = time.perf_counter()
        (first, second)[which]()
        took[which].append(time.perf_counter() - began)
    return took


def cannot_be_told_apart(first: Callable[[], object], second: Callable[[], object]) -> bool:
    """Whether p > 0.01 in one of three rounds; equal samples fail one round in a hundred, all three one in a million."""
    first(), second()
    return any(p_value(*times(first, second)) > 0.01 for _ in range(ROUNDS))
