"""How often an address has come with a wrong API key. One that goes on is told to wait (threat T35).

Counted in each process's memory: a flood of wrong keys must not become a flood of writes, and no key of 256 bits is found by
trying. A right key opens from everywhere all the same, since others may sit behind that address.
"""

from __future__ import annotations

from math import ceil

WINDOW_SECONDS = 60.0
MOST_PLACES = 100_000  # remembered at a time


class Strikes:
    """Counts in windows of a minute."""

    def __init__(self, most: int) -> None:
        """`most`: wrong keys from one place in a minute."""
        self._most = most
        self._counts: dict[str, int] = {}
        self._until = 0.0

    def note(self, place: str, now: float) -> int:
        """A wrong key has come from this `callers.place`. Seconds to wait, 0 while there were not too many."""
        if now >= self._until or len(self._counts) >= MOST_PLACES:
            self._counts = {}
            self._until = now + WINDOW_SECONDS
        count = self._counts[place] = self._counts.get(place, 0) + 1
        return ceil(self._until - now) if count > self._most else 0
