"""Begins and heals the counters of a month from what the database knows to be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from ..loader import DatabaseAway
from ..snapshot import Rule
from .counters import Counter

log = logging.getLogger(__name__)

# (rule, first moment of the month) -> tokens, and micro-units of money. Runs in a thread; raises DatabaseAway.
MonthUsed = Callable[[Rule, datetime], tuple[int, int]]
HEAL_SECONDS = 60.0
# By then every process has told the store what it had spent when the database was read, so that nothing counts twice.
TOLD_SECONDS = 4.0


class Months:
    """All methods belong to the event loop."""

    def __init__(self, month_used: MonthUsed, clock: Callable[[], float]) -> None:
        self._month_used = month_used
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "gateway-months")
        self._reading: dict[Counter, asyncio.Task[None]] = {}
        self._due: dict[Counter, float] = {}

    @property
    def number(self) -> int:
        """This month, counted from year 0, UTC."""
        today = datetime.fromtimestamp(self._clock(), UTC)
        return today.year * 12 + today.month - 1

    async def seed(self, counter: Counter) -> None:
        """Read at once, for a counter that the store does not know in this month."""
        task = self._reading.get(counter)
        if task is None:
            self._due[counter] = self._clock() + HEAL_SECONDS
            task = self._read(counter, 0.0)
        await asyncio.shield(task)

    def heal(self, counter: Counter) -> None:
        """Once a minute: usage that a killed process had not told comes to the database from its spool."""
        now = self._clock()
        if counter not in self._reading and now >= self._due.setdefault(counter, now + HEAL_SECONDS):
            self._due[counter] = now + HEAL_SECONDS
            self._read(counter, TOLD_SECONDS)

    def keep_only(self, counters: set[Counter]) -> None:
        self._due = {counter: at for counter, at in self._due.items() if counter in counters}

    async def close(self) -> None:
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, counter: Counter, delay: float) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._seed_after(counter, delay))
        self._reading[counter] = task
        task.add_done_callback(lambda _task: self._reading.pop(counter, None))
        return task

    async def _seed_after(self, counter: Counter, delay: float) -> None:
        month = self.number
        first = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        try:
            used = await asyncio.get_running_loop().run_in_executor(self._thread, self._month_used, counter.rule, first)
        except DatabaseAway as error:
            # Calls go on with what the store has counted itself; the next healing brings the rest.
            log.warning("usage of the month is not known", extra={"error": str(error)})
            used = (0, 0)
        await asyncio.sleep(delay)
        counter.seed = month, used[1 if counter.quantity == "money_per_month" else 0]
