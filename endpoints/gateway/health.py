"""How well a replica is: told by its calls, and by questions to those that are bad or were idle for long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from .balance import State
from .connection import UpstreamError
from .errors import GatewayError

FAILURES_IN_A_ROW = 5
RATE_OF_ERRORS, RATE_CALLS = 0.5, 20  # so many of at least so many calls
HALVE_SECONDS = 10.0  # how fast past calls stop to count in that rate
LONGEST_SECONDS = 60.0
FORGET_SECONDS = 120.0  # after this long without another fault the first pause is short again
JITTER = 0.2  # so that several processes and replicas don't come back at the same moment


@dataclass(slots=True)
class Health:
    """Passive: a replica that fails is left alone, longer each time; then one call at a time may try it (half-open)."""

    pause_seconds: float
    is_suspect: bool = False  # from its fault to its next good call
    refuses: bool = False  # its fault was that nobody listens, which a question can tell from outside
    out_until: float = 0.0
    failures: int = 0
    calls: float = 0
    errors: float = 0
    _times: int = 0
    _halved_at: float = 0.0

    def succeeded(self, now: float) -> None:
        self.calls += 1
        if self.failures or self.is_suspect:
            self.failures = 0
            if self.refuses or now >= self.out_until:  # else it is an older call that ends only now
                self.is_suspect = self.refuses = False

    def failed(self, now: float) -> None:
        """A call ended by the replica's fault."""
        self.calls += 1
        self.errors += 1
        self.failures += 1
        is_bad = self.calls >= RATE_CALLS and self.errors > RATE_OF_ERRORS * self.calls
        if self.is_suspect or is_bad or self.failures >= FAILURES_IN_A_ROW:
            self._take_out(now)

    def refused(self, now: float) -> None:
        """Nobody took the connection."""
        self._take_out(now)
        self.refuses = True

    def answered(self) -> None:
        """It said that it is well. One whose calls fail all the same has to wait for its next call."""
        if self.refuses:
            self.is_suspect = self.refuses = False

    def is_out(self, now: float) -> bool:
        return self.is_suspect and now < self.out_until

    def state(self, now: float, outstanding: int) -> State:
        """When its time is over a suspect is well for one call, until that has ended."""
        if not self.is_suspect or (now >= self.out_until and not outstanding):
            return State.WELL
        return State.REFUSING if self.refuses else State.FAILING

    def tick(self, now: float) -> None:
        if now - self._halved_at > HALVE_SECONDS:
            self._halved_at = now
            self.calls /= 2
            self.errors /= 2

    def _take_out(self, now: float) -> None:
        if self.is_out(now):
            return  # calls that ran already when it began
        if now - self.out_until > FORGET_SECONDS:
            self._times = 0
        seconds = min(LONGEST_SECONDS, self.pause_seconds * 2**self._times)
        self.out_until = now + seconds * random.uniform(1 - JITTER, 1 + JITTER)
        self._times = min(self._times + 1, 10)
        self.is_suspect = True
        self.calls = self.errors = 0


class Asked(Protocol):
    """A replica that can be asked how it is."""

    health: Health
    is_checkable: bool
    has_siblings: bool
    used_at: float

    async def ask(self) -> int:
        """The status of its answer. Raises UpstreamError, GatewayError."""


MOST_AT_ONCE = 16
ANSWER_SECONDS = 3.0
FIRST_PAUSE, GROWTH, MOST_PAUSE = 3.0, 1.5, 30.0  # between two questions to a bad one
IDLE_SECONDS = 30.0  # without a call, after which one with siblings is asked as often


@dataclass(slots=True)
class _Turn:
    at: float
    pause: float = FIRST_PAUSE


class Checker:
    """Active: asks the bad ones, and the idle ones of an endpoint with several. All others show by their calls."""

    def __init__(self) -> None:
        self._turns: dict[Asked, _Turn] = {}
        self._running: set[asyncio.Task[None]] = set()

    def tick(self, now: float, replicas: Iterable[Asked]) -> None:
        """Ask whoever's turn it is. Call it each second with all replicas."""
        wanted = {one: self._turns.get(one) or _Turn(now + _jittered(FIRST_PAUSE)) for one in replicas
                  if one.is_checkable and (one.health.is_suspect or _is_idle(one, now))}
        self._turns = wanted
        for one, turn in wanted.items():
            if turn.at <= now and len(self._running) < MOST_AT_ONCE:
                turn.at = float("inf")
                task = asyncio.get_running_loop().create_task(self._check(one, turn))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    def close(self) -> None:
        for task in self._running:
            task.cancel()

    async def _check(self, one: Asked, turn: _Turn) -> None:
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                is_well = await one.ask() < 500
        except (UpstreamError, GatewayError, TimeoutError):
            is_well = False
        if is_well:
            one.health.answered()
            turn.pause = IDLE_SECONDS
        else:
            one.health.refused(now())
            turn.pause = min(MOST_PAUSE, turn.pause * GROWTH)
        turn.at = now() + _jittered(turn.pause)


def _is_idle(one: Asked, now: float) -> bool:
    return one.has_siblings and now - one.used_at > IDLE_SECONDS


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)
