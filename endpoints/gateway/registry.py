"""Keeps the snapshot young: one background refresh each second, and look-ups of keys too new to be in it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .call import Fields
from .credentials import credential, opens
from .errors import away, wrong_key
from .loader import DatabaseAway, Loader
from .snapshot import Key, Snapshot

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_AGE_SECONDS = 5.0
LOOKUP_SECONDS = 0.1
MAX_LOOKUPS = 1000


@dataclass
class _Lookups:
    """Public ids that wait for the next look-up, and the future that tells all of them when it is done."""

    done: asyncio.Future[dict[str, Key]]
    ids: set[str] = field(default_factory=set)


class Registry:
    """Who may call what. All methods belong to the event loop; the database is read in one thread."""

    def __init__(self, refresh_seconds: float, loader: Loader | None = None, *,
                 follow: Callable[[Snapshot], None] | None = None) -> None:
        self.snapshot = Snapshot()
        self._follow = follow
        self._refresh_seconds = refresh_seconds
        self._loader = loader or Loader()
        self._read_at = float("-inf")
        self._refused: set[tuple[str, str]] = set()
        self._bearers: dict[bytes, Key] = {}  # by the header that opened them
        self._lookups: _Lookups | None = None
        self._thread = ThreadPoolExecutor(1, "gateway-registry")
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.refresh()
        self._spawn(self._keep_fresh())

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def age(self) -> float:
        """Seconds since the snapshot was read from the database."""
        return time.monotonic() - self._read_at

    @property
    def is_fresh(self) -> bool:
        """Whether the snapshot may still decide."""
        return self.age <= MAX_AGE_SECONDS

    async def refresh(self) -> None:
        """Read everything again; on a lost database keep what is known, which then grows old."""
        started = time.monotonic()
        try:
            found = await self._in_thread(self._loader.load)
        except DatabaseAway as error:
            log.warning("gateway can't read the database", extra={"error": str(error)})
            return
        self._read_at = started
        self._refused.clear()
        if found is not self.snapshot:
            self.snapshot = found
            self._bearers.clear()
            if self._follow is not None:
                self._follow(found)

    def known(self, fields: Fields, by_name: Mapping[bytes, bytes]) -> Key | None:
        """The key of a request with these header fields, as far as the snapshot can tell. Raises GatewayError.

        What opened a key opens it again without a digest until the next snapshot. A table tells nothing by its time:
        it compares the whole only where a hash that nobody outside can foresee is the same.
        """
        is_simple = len(by_name) == len(fields) and b"x-api-key" not in by_name
        bearer = by_name.get(b"authorization", b"") if is_simple else b""
        key = self._bearers.get(bearer)
        if key is None:
            public_id, digest = credential(fields)
            key = self.snapshot.keys.get(public_id)
            if not opens(key, digest, time.time()):
                return None
            assert key is not None
            if bearer:
                self._bearers[bearer] = key
        elif key.expires_at is not None and time.time() >= key.expires_at:
            return None
        return key if time.monotonic() - self._read_at <= MAX_AGE_SECONDS else None

    async def authenticate(self, public_id: str, digest: str) -> Key:
        """The key that these belong to. Raises GatewayError: 401, or 503 while nobody can tell."""
        if not self.is_fresh:
            raise away()
        key = self.snapshot.keys.get(public_id)
        if opens(key, digest, time.time()):
            assert key is not None
            return key
        if (public_id, digest) in self._refused:
            raise wrong_key()
        # A wrong secret waits for the look-up just as an unknown id does, so that time tells them not apart.
        key = (await self._look_up(public_id)).get(public_id)
        if key is None or not opens(key, digest, time.time()):
            self._refused.add((public_id, digest))
            raise wrong_key()
        return key

    async def _look_up(self, public_id: str) -> dict[str, Key]:
        if self._lookups is None:
            self._lookups = _Lookups(asyncio.get_running_loop().create_future())
            self._spawn(self._answer(self._lookups))
        waiting = self._lookups
        if len(waiting.ids) >= MAX_LOOKUPS:
            raise away("Too many unknown keys at once. Try again in a moment.")
        waiting.ids.add(public_id)
        return await asyncio.shield(waiting.done)

    async def _answer(self, waiting: _Lookups) -> None:
        """One query for all that gathered in a tenth of a second, so that a flood of wrong keys costs ten a second."""
        await asyncio.sleep(LOOKUP_SECONDS)
        self._lookups = None
        try:
            found = await self._in_thread(self._loader.find_keys, waiting.ids)
        except DatabaseAway:
            waiting.done.set_exception(away())
            waiting.done.exception()  # marks it as seen where every waiter has hung up
            return
        self.snapshot = replace(self.snapshot, keys={**self.snapshot.keys, **found}) if found else self.snapshot
        waiting.done.set_result(found)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_seconds)
            try:
                await self.refresh()
            except Exception:  # without this loop the gateway would refuse everybody for ever
                log.exception("gateway refresh failed")

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
