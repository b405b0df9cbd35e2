"""The fan-out of live pages: however many people watch, one look a second serves all streams of this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from django.db import DatabaseError, close_old_connections, connections
from django.utils.translation import gettext as _

from endpoints.gateway.serving.ending import when_ending
from endpoints.services.samples import Point
from portal.tenancy.errors import Unavailable

from . import watching
from .watching import Seen, Who

log = logging.getLogger(__name__)
T = TypeVar("T")
LOOK_SECONDS, RIGHTS_SECONDS, SAMPLE_SECONDS = 1.0, 10.0, 3.0
MOST_STREAMS, MOST_OF_A_PERSON, MOST_WAITING = 512, 8, 32
RETRY_SECONDS = 30
# Without a look at the rights for so long, nothing more is told: the database may be away.
BLIND_SECONDS = 25.0


@dataclass(frozen=True)
class Told:
    """One event of a stream. `last` ends it."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    last: bool = False


REVOKED, GONE, ENDED = Told("revoked", last=True), Told("gone", last=True), Told("ended", last=True)


@dataclass(eq=False)
class Stream:
    """One open page. What it has not taken yet waits; one that takes nothing is ended."""

    who: Who
    endpoint_id: int
    waiting: asyncio.Queue[Told] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))

    def tell(self, told: Told) -> None:
        if self.waiting.full():
            told = ENDED
        while told.last and not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(told)


@dataclass
class Eyes:
    """What the hub looks with, each in a thread; tests bring their own."""

    look: Callable[[Collection[int]], dict[int, Seen]] = watching.look
    lost: Callable[[Iterable[Who]], set[Who]] = watching.lost
    sample: Callable[[int], Point | None] = watching.sample_of


class Hub:
    """All streams of one event loop."""

    def __init__(self, eyes: Eyes | None = None) -> None:
        self.eyes = eyes or Eyes()
        self.streams: set[Stream] = set()
        self._seen: dict[int, Seen] = {}
        self._looking: asyncio.Task[None] | None = None
        self._rows = ThreadPoolExecutor(1, "endpoint-look")
        self._samplers = ThreadPoolExecutor(2, "endpoint-sample")
        self._sampling: dict[int, asyncio.Task[None]] = {}
        self._sampled_at: dict[int, float] = {}

    @asynccontextmanager
    async def open(self, who: Who, endpoint_id: int) -> AsyncIterator[Stream]:
        """A stream that is told of this endpoint from now on. Raises Unavailable where there are too many."""
        stream = Stream(who, endpoint_id)
        self._admit(who)
        self.streams.add(stream)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
        elif endpoint_id in self._seen:
            stream.tell(_state(self._seen[endpoint_id]))
        try:
            yield stream
        finally:
            self.streams.discard(stream)

    def _admit(self, who: Who) -> None:
        if len(self.streams) >= MOST_STREAMS:
            raise Unavailable(_("Too many pages are open here: this one asks again every few seconds instead."))
        if sum(one.who.user_id == who.user_id for one in self.streams) >= MOST_OF_A_PERSON:
            raise Unavailable(_("You have too many live pages open: this one asks again every few seconds instead."))

    def end(self) -> None:
        """The server stops: every stream ends, and browsers ask the next server."""
        for stream in self.streams:
            stream.tell(ENDED)

    async def _look_on(self) -> None:
        loop = asyncio.get_running_loop()
        checked, began = 0.0, loop.time()
        while self.streams:
            now = loop.time()
            try:
                await self._look_at_rows()
                if now - checked >= RIGHTS_SECONDS:
                    await self._look_at_rights()
                    checked = began = now
            except Exception:  # one bad look, whatever it met, must not leave all streams silent
                log.exception("live pages could not be told")
            if now - began > BLIND_SECONDS:
                self.end()
            self._sample(now)
            await asyncio.sleep(LOOK_SECONDS)
        self._seen.clear()
        await loop.run_in_executor(self._rows, connections.close_all)

    async def _look_at_rows(self) -> None:
        watched = {stream.endpoint_id for stream in self.streams}
        seen = await self._in_thread(self._rows, self.eyes.look, watched)
        for stream in list(self.streams):
            now, before = seen.get(stream.endpoint_id), self._seen.get(stream.endpoint_id)
            if now is None and stream.endpoint_id in watched:
                stream.tell(GONE)
            elif now is not None and now != before:
                stream.tell(_state(now))
        self._seen = seen

    async def _look_at_rights(self) -> None:
        streams = list(self.streams)
        lost = await self._in_thread(self._rows, self.eyes.lost, {stream.who for stream in streams})
        for stream in streams:
            if stream.who in lost:
                stream.tell(REVOKED)

    def _sample(self, now: float) -> None:
        for pk, seen in self._seen.items():
            due = now - self._sampled_at.get(pk, 0.0) >= SAMPLE_SECONDS
            if seen.is_serving and due and pk not in self._sampling:
                self._sampled_at[pk] = now
                task = self._sampling[pk] = asyncio.create_task(self._sample_one(pk))
                task.add_done_callback(lambda _task, pk=pk: self._sampling.pop(pk, None))  # type: ignore[misc]
        self._sampled_at = {pk: at for pk, at in self._sampled_at.items() if pk in self._seen}

    async def _sample_one(self, pk: int) -> None:
        try:
            point = await self._in_thread(self._samplers, partial(_and_close, self.eyes.sample), pk)
        except DatabaseError:  # told by the look at the rows
            return
        if point is not None:
            told = Told("figures", asdict(point))
            for stream in self.streams:
                if stream.endpoint_id == pk:
                    stream.tell(told)

    @staticmethod
    async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[Any], T], argument: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, _fresh, work, argument)


def _fresh(work: Callable[[Any], T], argument: Any) -> T:
    """In a thread that lives long: a connection that is old or broken is not used again."""
    close_old_connections()
    return work(argument)


def _and_close(work: Callable[[Any], T], argument: Any) -> T:
    """In a thread that may be idle for long afterwards: it keeps no connection meanwhile."""
    try:
        return work(argument)
    finally:
        connections.close_all()


def _state(seen: Seen) -> Told:
    return Told("state", {"mark": seen.mark, "seen_at": seen.seen_at})


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    when_ending(_end_all)
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def _end_all() -> None:
    for one in _hubs.values():
        one.end()
