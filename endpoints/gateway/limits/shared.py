"""Limits that all gateway processes share: most calls are admitted here at once, some ask the store."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ..errors import GatewayError, away
from ..snapshot import Rule, Snapshot
from .counters import Counter, Counters, Place
from .messages import Answer, Refusal, Reply, Request, Store
from .months import Months, MonthUsed
from .refusal import limit_reached
from .seam import NO_PLACE, Ask, Reservation, Usage
from .steady import SteadyStore

log = logging.getLogger(__name__)
T = TypeVar("T")

TICK_SECONDS = 1.0
BEAT_SECONDS = 3.0  # an idle process says that it is alive
LINES_AT_ONCE = 200
# Other processes tell at their next tick what they do not need.
RECALL_SECONDS = 1.5
RETRY_SECONDS = 0.1


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call that waits for the store's answer."""

    place: Place
    answer: asyncio.Future[Place]
    until: float

    def is_over(self) -> bool:
        """Whether it need not ask any more: its caller is gone, or what the last answer brought is enough."""
        if not self.answer.done() and self.place.try_take():
            self.answer.set_result(self.place)
        return self.answer.done()

    def admit(self) -> None:
        """The store has granted it. What is granted to a caller that has gone is a share."""
        if not self.answer.done():
            self.place.take()
            self.answer.set_result(self.place)

    def refuse(self, error: GatewayError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class SharedLimits:
    """All methods belong to the event loop; the store is asked in a thread, one question at a time."""

    def __init__(self, store: Store, month_used: MonthUsed, clock: Callable[[], float] = time.time) -> None:
        self._store = SteadyStore(store, clock)
        self._clock = clock
        self._months = Months(month_used, clock)
        self._process = ""
        self._counters = Counters(self._tell_soon)
        self._untold: set[Counter] = set()
        self._rules: list[Rule] = []
        self._waiting: list[_Waiting] = []
        self._flight: asyncio.Task[None] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._is_due = False
        self._asked_at = 0.0
        self._seeding: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, "gateway-limits")

    def try_reserve(self, ask: Ask) -> Reservation | None:
        """Take the call's place in every limit on its chain; None where only the store can tell. Never waits."""
        chain = self._counters.chain(ask.key, ask.route.public_name)
        if chain.is_empty:
            return NO_PLACE
        place = Place(chain, ask)
        return place if place.try_take() else None

    async def reserve(self, ask: Ask) -> Reservation:
        """As `try_reserve`, asking the store where needed. Raises GatewayError: 429, or 503 where nobody can tell."""
        place = self.try_reserve(ask)
        if place is not None:
            return place
        loop = asyncio.get_running_loop()
        waiting = _Waiting(Place(self._counters.chain(ask.key, ask.route.public_name), ask), loop.create_future(),
                           loop.time() + RECALL_SECONDS)
        self._queue(waiting)
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if waiting.answer.done() and not waiting.answer.cancelled() and not waiting.answer.exception():
                waiting.answer.result().settle(Usage())
            raise

    def follow(self, snapshot: Snapshot) -> None:
        """New rules count from now on."""
        rules = [rule for rules in snapshot.rules.values() for rule in rules]
        if rules != self._rules:
            self._rules = rules
            self._counters.follow(rules)
            self._months.keep_only(set(self._counters))

    async def start(self) -> None:
        self._process = secrets.token_hex(6)  # not before: a process may have been forked in between
        self._ticker = asyncio.get_running_loop().create_task(self._tick_for_ever())

    async def stop(self) -> None:
        """Tell the store what was spent, and give all back."""
        if self._ticker is not None:
            self._ticker.cancel()
        await self._months.close()
        await asyncio.gather(*self._seeding, *filter(None, [self._flight]), return_exceptions=True)
        month = self._months.number
        lines = [counter.last_line(month) for counter in self._counters if counter.is_active]
        for some in (list(_parts(lines)) or [[]]) if self._asked_at else ():
            await self._exchange(Request(self._process, some, is_leaving=True))
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=False)

    def tick(self, now: float) -> None:
        """Once a second: tell what was spent, renew the shares that are used, give back those that are not."""
        for counter in self._counters:
            counter.age()
            if counter.kind == "month" and counter.is_active:
                self._months.heal(counter)
        is_silent = len(self._counters) > 0 and now - self._asked_at >= BEAT_SECONDS
        if is_silent or any(counter.is_active for counter in self._counters):
            self._is_due = True
            self._take_off()

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self.tick(asyncio.get_running_loop().time())
            except Exception:  # without this loop shares and what was spent would never be told
                log.exception("limits tick failed")

    def _tell_soon(self, counter: Counter) -> None:
        self._untold.add(counter)
        self._take_off()

    def _queue(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._take_off()

    def _take_off(self) -> None:
        if self._flight is None or self._flight.done():
            self._flight = asyncio.get_running_loop().create_task(self._fly())

    async def _fly(self) -> None:
        """Ask the store until nobody waits any more. Whoever comes during a question goes with the next one."""
        waiting: list[_Waiting] = []
        try:
            while self._waiting or self._is_due or self._untold:
                if self._is_due:
                    self._is_due = False
                    for some in _parts([counter for counter in self._counters if counter.is_active]) or [[]]:
                        await self._ask(some, [])
                waiting, self._waiting = [one for one in self._waiting if not one.is_over()], []
                counters, self._untold = self._untold, set()
                counters.update(counter for one in waiting for counter, _ in one.place.needs())
                if counters:
                    await self._ask(list(counters), waiting)
        except Exception:  # a fault of ours must not leave callers waiting for ever
            log.exception("limits can't be asked")
            for one in (*waiting, *self._waiting):
                one.refuse(away("The portal can't count its limits. Try again in a moment."))
            self._waiting.clear()

    async def _ask(self, counters: list[Counter], waiting: list[_Waiting]) -> None:
        numbers = {counter: number for number, counter in enumerate(counters)}
        for one in waiting:
            for counter, amount in one.place.needs():
                counter.size = max(counter.size, amount)
        month = self._months.number
        lines = [counter.line(month) for counter in counters]
        asks = [[(numbers[counter], amount) for counter, amount in one.place.needs()] for one in waiting]
        reply = await self._exchange(Request(self._process, lines, asks))
        for counter, line, answer in zip(counters, lines, reply.answers, strict=True):
            counter.hear(answer, line)
            if not answer.is_seeded:
                self._seed(counter)
        hopes: dict[int, int] = {}
        for one, amounts, refusal in zip(waiting, asks, reply.refusals, strict=True):
            if refusal is None:
                one.admit()
                continue
            hope = hopes.setdefault(refusal.line, refusal.unsure)
            hopes[refusal.line] = hope - dict(amounts)[refusal.line]
            self._refuse(one, counters[refusal.line], refusal, reply.answers[refusal.line], has_hope=hope > 0)
        self._untold.update(counter for counter in counters if counter.is_tight and counter.room > 0)

    async def _exchange(self, request: Request) -> Reply:
        loop = asyncio.get_running_loop()
        self._asked_at = loop.time()
        return await loop.run_in_executor(self._thread, self._store.exchange, request)

    def _refuse(self, one: _Waiting, counter: Counter, refusal: Refusal, answer: Answer, *, has_hope: bool) -> None:
        """For good; or let it wait a little, where what is used is not known, or some of it may come back."""
        loop = asyncio.get_running_loop()
        if not answer.is_seeded:
            self._seed(counter, one)
        elif has_hope and loop.time() < one.until:
            loop.call_later(RETRY_SECONDS, self._queue, one)
        else:
            one.refuse(limit_reached(counter, refusal, answer.used, self._clock()))

    def _seed(self, counter: Counter, one: _Waiting | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._seeded(counter, one))
        self._seeding.add(task)
        task.add_done_callback(self._seeding.discard)

    async def _seeded(self, counter: Counter, one: _Waiting | None) -> None:
        await self._months.seed(counter)
        if one is not None:
            self._queue(one)


def _parts(items: list[T]) -> list[list[T]]:
    return [items[start:start + LINES_AT_ONCE] for start in range(0, len(items), LINES_AT_ONCE)]
