"""Times in buckets that grow by 2 %: a quantile is within 1 % of the true one, however many times there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

GROWTH = 1.02
_LOG = math.log(GROWTH)
SMALLEST = 1e-5  # seconds; anything shorter counts as this
QUANTILES = (50, 95, 99)


class Histogram:
    """Counts of times in seconds."""

    __slots__ = ("count", "counts", "highest", "lowest", "total")

    def __init__(self, times: Iterable[float] = ()) -> None:
        self.counts: dict[int, int] = {}
        self.count, self.total = 0, 0.0
        self.lowest, self.highest = math.inf, 0.0
        for one in times:
            self.add(one)

    def add(self, seconds: float) -> None:
        bucket = math.floor(math.log(max(seconds, SMALLEST) / SMALLEST) / _LOG)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds
        self.lowest, self.highest = min(self.lowest, seconds), max(self.highest, seconds)

    def quantile(self, percent: float) -> float | None:
        """The time that so many per cent do not exceed (nearest rank), in seconds; None where nothing was counted."""
        rank = math.ceil(self.count * percent / 100)
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                middle: float = SMALLEST * GROWTH ** (bucket + 0.5)
                return min(max(middle, self.lowest), self.highest)
        return None

    def quantiles(self) -> list[float] | None:
        """p50, p95 and p99 in seconds."""
        found = [self.quantile(percent) for percent in QUANTILES]
        return [round(one, 6) for one in found if one is not None] or None

    def facts(self) -> dict[str, float | int]:
        """What is kept of it: quantiles, mean and extremes in seconds; empty where nothing was counted."""
        if not self.count:
            return {}
        quantiles = {f"p{percent}": round(self.quantile(percent) or 0.0, 6) for percent in QUANTILES}
        return {**quantiles, "mean": round(self.total / self.count, 6), "lowest": round(self.lowest, 6),
                "highest": round(self.highest, 6), "count": self.count}

    def bars(self, most: int = 40) -> list[tuple[float, float, int]]:
        """At most so many bars of one width on a logarithmic axis: from, to (seconds) and count, empty ones too."""
        if not self.counts:
            return []
        first, last = min(self.counts), max(self.counts)
        width = math.ceil((last - first + 1) / most)
        return list(self._bars(range(first, last + 1, width), width))

    def _bars(self, starts: range, width: int) -> Iterator[tuple[float, float, int]]:
        for start in starts:
            count = sum(self.counts.get(bucket, 0) for bucket in range(start, start + width))
            yield round(SMALLEST * GROWTH**start, 6), round(SMALLEST * GROWTH ** (start + width), 6), count
