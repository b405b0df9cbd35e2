"""What AWS lends for a while: credentials of accounts, bearers of clusters. Fetched in threads, kept young by ticks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.core.exceptions import ObjectDoesNotExist

from clusters.drivers.aws import AwsError, AwsProblem

from ..loader import DatabaseAway
from ..replica import NotSent

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

RENEW_SECONDS = 30.0  # how often the rows are read again; AWS is asked only when what the door keeps nears its end
PAUSE_SECONDS = 5.0   # between two questions that AWS or the database did not answer well
WAIT_SECONDS = 10.0   # how long a call waits where there is nothing yet


@dataclass(frozen=True, slots=True)
class Lent(Generic[T]):
    """A value and when it ends, in seconds since 1970."""

    value: T = field(repr=False)
    ends_at: float


@dataclass(slots=True)
class _Kept(Generic[T]):
    lent: Lent[T] | None = None
    asked_at: float = float("-inf")
    refused_at: float = float("-inf")
    task: asyncio.Task[None] | None = None


class Lender(Generic[K, T]):
    """One for each kind of thing. `fetch(key, fresh)` runs in a thread of its own: a slow AWS holds up nothing else."""

    def __init__(self, fetch: Callable[[K, bool], Lent[T]]) -> None:
        self._fetch = fetch
        self._kept: dict[K, _Kept[T]] = {}
        self._threads = ThreadPoolExecutor(4, "gateway-aws")

    async def get(self, key: K) -> T:
        """What is lent now; it waits only where there is nothing. Raises NotSent."""
        kept = self._kept.get(key)
        if kept is None or kept.lent is None or kept.lent.ends_at <= time.time():
            kept = await self._first(key)
        if kept.lent is None:
            raise NotSent("AWS lends nothing")
        return kept.lent.value

    async def renew(self, key: K, refused: T) -> bool:
        """Ask for another one after a refusal; whether it makes sense to try again.

        Asked seldom, since a right may be missing for long.
        """
        kept = self._kept.setdefault(key, _Kept())
        if kept.task is not None:
            await asyncio.wait({kept.task}, timeout=WAIT_SECONDS)
        held = kept.lent
        if held is not None and held.value == refused:
            if time.monotonic() - kept.refused_at < PAUSE_SECONDS:
                return False
            kept.refused_at = time.monotonic()
            await self._asked(key, kept, fresh=True)
            return kept.lent is not None and kept.lent is not held  # one of the same second may look the same
        return held is not None

    def tick(self, key: K) -> None:
        """Keep this one young."""
        kept = self._kept.setdefault(key, _Kept())
        pause = RENEW_SECONDS if kept.lent is not None else PAUSE_SECONDS
        if kept.task is None and time.monotonic() - kept.asked_at > pause:
            self._ask(key, kept, fresh=False)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _first(self, key: K) -> _Kept[T]:
        kept = self._kept.setdefault(key, _Kept())
        if kept.task is not None or time.monotonic() - kept.asked_at > PAUSE_SECONDS:
            await self._asked(key, kept, fresh=False)
        if kept.lent is not None and kept.lent.ends_at <= time.time():
            kept.lent = None
        return kept

    async def _asked(self, key: K, kept: _Kept[T], *, fresh: bool) -> None:
        """Wait for the one question that is under way, or ask."""
        await asyncio.wait({kept.task or self._ask(key, kept, fresh=fresh)}, timeout=WAIT_SECONDS)

    def _ask(self, key: K, kept: _Kept[T], *, fresh: bool) -> asyncio.Task[None]:
        kept.asked_at = time.monotonic()
        kept.task = asyncio.get_running_loop().create_task(self._update(key, kept, fresh=fresh))
        return kept.task

    async def _update(self, key: K, kept: _Kept[T], *, fresh: bool) -> None:
        try:
            kept.lent = await asyncio.get_running_loop().run_in_executor(self._threads, self._fetch, key, fresh)
        except (ObjectDoesNotExist, AwsError, DatabaseAway) as error:
            if _is_gone(error):
                kept.lent = None  # the account or place was taken away: what it lent is used no more
            log.warning("AWS lends nothing to the gateway", extra={"of": str(key), "error": str(error)})
        finally:
            kept.task = None


def _is_gone(error: Exception) -> bool:
    return isinstance(error, ObjectDoesNotExist) or (isinstance(error, AwsError) and error.problem is AwsProblem.NOT_FOUND)
