"""A store that always answers: while the shared one is away, each process goes on with its part of every limit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from prometheus_client import Gauge

from .counting import OLDEST_SLOT
from .memory import MemoryStore
from .messages import Line, Reply, Request, Store, StoreAway

log = logging.getLogger(__name__)
AWAY = Gauge("portal_gateway_limits_store_away", "1 while limits are counted by each process alone")
PROBE_SECONDS = 1.0


class SteadyStore:
    """`exchange` never raises StoreAway."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time, probe_seconds: float = PROBE_SECONDS) -> None:
        self._store = store
        self._clock = clock
        self._probe_seconds = probe_seconds
        self._alone: MemoryStore | None = None
        self._processes = 1
        self._used: dict[str, int] = {}
        self._owed: dict[str, dict[int, int]] = {}  # by name and second: what was used while the store was away
        self._is_back = threading.Event()
        self._is_over = threading.Event()

    def exchange(self, request: Request) -> Reply:
        if self._alone is not None and self._is_back.is_set():
            self._alone = None
        if self._alone is None:
            try:
                return self._ask(request)
            except StoreAway as error:
                log.warning("limits are counted by this process alone", extra={"error": str(error)})
                self._leave()
        return self._ask_alone(request)

    def close(self) -> None:
        self._is_over.set()
        self._store.close()

    def _ask(self, request: Request) -> Reply:
        owing = replace(request, lines=[self._with_owed(line) for line in request.lines]) if self._owed else request
        reply = self._store.exchange(owing)
        AWAY.set(0)
        self._processes = reply.processes
        for line, answer in zip(request.lines, reply.answers, strict=True):
            self._used[line.name] = answer.used
            self._owed.pop(line.name, None)
        return reply

    def _with_owed(self, line: Line) -> Line:
        """A month is not told again: the database knows it, and the store is seeded from there."""
        now = int(self._clock())
        owed = self._owed.get(line.name, {}).items() if line.kind == "minute" else ()
        late = tuple((now - second, amount) for second, amount in owed if now - second <= OLDEST_SLOT)
        return replace(line, spends=line.spends + late)

    def _leave(self) -> None:
        AWAY.set(1)
        self._alone = MemoryStore(self._clock)
        self._is_back.clear()
        threading.Thread(target=self._probe, name="gateway-limits-probe", daemon=True).start()

    def _probe(self) -> None:
        """Ask the store for nothing until it answers, so that no call waits for a store that is away."""
        while not self._is_over.wait(self._probe_seconds):
            try:
                self._store.exchange(Request("", ()))
            except StoreAway:
                continue
            self._store.close()  # what it opened in this thread; it opens again where it is asked
            self._is_back.set()
            return

    def _ask_alone(self, request: Request) -> Reply:
        assert self._alone is not None
        now = int(self._clock())
        for line in request.lines:
            if line.kind == "minute" and line.spends:
                known = self._owed.get(line.name, {})
                owed = {second: amount for second, amount in known.items() if now - second <= OLDEST_SLOT}
                for age, amount in line.spends:
                    owed[now - age] = owed.get(now - age, 0) + amount
                self._owed[line.name] = owed
        return self._alone.exchange(replace(request, lines=[self._part(line) for line in request.lines]))

    def _part(self, line: Line) -> Line:
        """The process's part of a limit, and of what was used when the store was last seen; never less than one call."""
        limit = max(line.limit // self._processes, min(line.limit, 1))
        if line.name not in self._used:
            return replace(line, limit=limit)
        used = self._used.pop(line.name) // self._processes
        if line.kind == "month":
            return replace(line, limit=limit, seed=used)
        return replace(line, limit=limit, spends=((0, used), *line.spends))
