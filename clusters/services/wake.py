"""Waiting agents: one thread of this process asks the database for all of them, and none holds a connection."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.db import DatabaseError, connection

from ..models import Host

log = logging.getLogger(__name__)
POLL_SECONDS = 0.2


def newest_versions(pks: Collection[int]) -> dict[int, int]:
    return dict(Host.objects.filter(pk__in=pks).values_list("pk", "wanted_version"))


@dataclass(frozen=True, eq=False)
class _Waiter:
    host: int
    version: int
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[int]


class WaitingRoom:
    """`read` gives the newest version of each host; it runs in a thread of the room's own."""

    def __init__(self, read: Callable[[Collection[int]], dict[int, int]] = newest_versions) -> None:
        self._read = read
        self._waiters: set[_Waiter] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    async def wait(self, host: int, version: int, seconds: float) -> int:
        """The host's newest version as soon as it is beyond `version`; `version` after `seconds`."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(host, version, loop, loop.create_future())
        self._add(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter.answer
        except TimeoutError:
            return version
        finally:
            with self._changed:
                self._waiters.discard(waiter)

    def _add(self, waiter: _Waiter) -> None:
        with self._changed:
            self._waiters.add(waiter)
            if self._thread is None:
                self._thread = threading.Thread(target=self._poll, name="agents-wake", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _poll(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiters), timeout=10 * POLL_SECONDS)
                if not self._waiters:
                    self._thread = None
                    break
                waiting = set(self._waiters)
            self._look(waiting)
            threading.Event().wait(POLL_SECONDS)
        connection.close()

    def _look(self, waiting: set[_Waiter]) -> None:
        try:
            newest = self._read({waiter.host for waiter in waiting})
        except DatabaseError as error:
            log.warning("can't look for orders", extra={"error": type(error).__name__})
            connection.close()
            return
        for waiter in waiting:
            # A host that is gone is told so by its next call.
            version = newest.get(waiter.host, waiter.version + 1)
            if version > waiter.version:
                self._tell(waiter, version)

    def _tell(self, waiter: _Waiter, version: int) -> None:
        with self._changed:
            self._waiters.discard(waiter)
        try:
            waiter.loop.call_soon_threadsafe(_resolve, waiter.answer, version)
        except RuntimeError:
            log.debug("an agent hung up while its answer came")


def _resolve(answer: asyncio.Future[int], version: int) -> None:
    if not answer.done():
        answer.set_result(version)


waiting_room = WaitingRoom()
