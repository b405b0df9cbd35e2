"""What was used: each call in the spool from its admission on, counters, the last use of keys, log lines."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from .call import Call
from .doors import DOORS
from .errors import UPSTREAM_INTERRUPTED
from .limits import Ask, Usage
from .limits.estimate import prompt_estimate
from .loader import DatabaseAway, mark_used
from .metrics import CALLS
from .snapshot import Key, Price, Target
from .spool.layout import name_of
from .work import Work

log = logging.getLogger(__name__)
LINES_AT_ONCE = 200
CLOSED = -1  # instead of a slot


class Line(msgspec.Struct, omit_defaults=True):
    """A log line, with the names that the portal's other JSON lines have. Never bodies, keys or addresses."""

    timestamp: str
    level: str
    logger: str
    event: str
    request_id: str
    route: str
    status: int
    seconds: float
    first_byte: float = 0.0
    key: str = ""
    workspace: int = 0
    endpoint: int = 0
    stream: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    partial: bool = False
    error: str = ""


class Spool(Protocol):
    """Where calls are written down so that a kill spares them: `endpoints.gateway.spool.Spool`."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def tick(self) -> None: ...

    def open(self, name: bytes, prompt_estimate: int) -> int: ...

    def progress(self, slot: int, completion_tokens: int, /) -> None: ...

    def moved(self, slot: int, /, *, endpoint_id: int, price: Price | None) -> None: ...

    def close(self, slot: int, status: int, usage: Usage, first_byte: float, seconds: float,  # noqa: PLR0917
              error: bool) -> None: ...

    def refused(self, *, key_id: int, member_id: int, workspace_id: int, route_id: int, endpoint_id: int, door: int,
                status: int) -> None: ...


class Forgotten:
    """Keeps nothing."""

    async def start(self) -> None:
        """There is no file."""

    async def stop(self) -> None:
        """There is no file."""

    def tick(self) -> None:
        """There is no clock."""

    def open(self, *_what: object, **_more: object) -> int:
        return 1

    def moved(self, _slot: int, **_what: object) -> None: ...

    def progress(self, _slot: int, _tokens: int) -> None: ...

    def close(self, *_what: object, **_more: object) -> None: ...

    def refused(self, **_what: object) -> None: ...


@dataclass
class Book:
    """Follows each call from its admission to its end. `logs_all` writes a line for those that went well too."""

    spool: Spool
    flush_seconds: float
    logs_all: bool = False
    _used: set[int] = field(default_factory=set)
    _lines: list[bytes] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "gateway-book"))
    _flushed_at: float = 0.0
    _flushing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Raises OSError where the spool has no room."""
        await self.spool.start()

    def open(self, call: Call, work: Work) -> None:
        """The call has its place in the limits and goes to an engine. Raises GatewayError (503) when there is no room."""
        ask, target, door = work.ask, work.targets[0], work.door.number
        name = target.spool_names.get((ask.key.id, ask.route.id, door)) or _new_name(ask, target, door)
        call.slot = self.spool.open(name, prompt_estimate(ask.body_bytes))

    def moved(self, call: Call, target: Target) -> None:
        """The call's endpoint failed it, and it goes on at this one."""
        self.spool.moved(call.slot, endpoint_id=target.endpoint_id, price=target.price)

    def close(self, call: Call, now: float) -> None:
        """Write down what the call used, before its caller has the end of the answer: a kill in between loses nothing."""
        if call.slot > 0:
            self.spool.close(call.slot, call.status, call.usage, call.first_byte, now - call.started,
                             call.status >= 500 or call.error == UPSTREAM_INTERRUPTED)
            call.slot = CLOSED

    def note(self, call: Call, now: float) -> None:
        """Book a call that is over. Takes some microseconds and does no I/O."""
        self.close(call, now)
        seconds = now - call.started
        CALLS.add(call.route, call.status, seconds, call.first_byte)
        if call.key is not None:
            self._used.add(call.key.id)
            if not call.slot and call.status >= 400:
                self._refused(call, call.key)
            CALLS.prompt_tokens += call.usage.prompt_tokens
            CALLS.completion_tokens += call.usage.completion_tokens
        if self.logs_all or call.error:
            self._lines.append(_line(call, seconds))
            if len(self._lines) >= LINES_AT_ONCE:
                self.write_lines()

    def _refused(self, call: Call, key: Key) -> None:
        door, route = DOORS.get(call.route), call.model
        if door is not None:
            # By a route's name it was to go wherever that leads; an endpoint's own name is known by the endpoint.
            target = route.ways[0].target if route and not route.id and route.ways else call.target
            self.spool.refused(
                key_id=key.id, member_id=key.member_id, workspace_id=key.workspace_id, route_id=route.id if route else 0,
                endpoint_id=target.endpoint_id if target else 0, door=door.number, status=call.status)

    def write_lines(self) -> None:
        if self._lines:
            sys.stderr.write(b"".join(self._lines).decode())
            sys.stderr.flush()
            self._lines.clear()

    def tick(self, now: float) -> None:
        """Once a second: write the log, and start a flush when it is time."""
        self.write_lines()
        self.spool.tick()
        is_due = now - self._flushed_at >= self.flush_seconds and (self._flushing is None or self._flushing.done())
        if is_due and self._used:
            self._flushed_at = now
            self._flushing = asyncio.ensure_future(self.flush())

    async def flush(self) -> None:
        """Write the last use of keys in one statement; what fails stays for the next time."""
        ids, self._used = self._used, set()
        if not ids:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, mark_used, ids)
        except DatabaseAway as error:
            self._used |= ids
            log.warning("last use of keys not written", extra={"error": str(error)})

    async def stop(self) -> None:
        """Write down what is in memory."""
        await self.flush()
        await self.spool.stop()
        self.write_lines()
        self._thread.shutdown(wait=False)


def _new_name(ask: Ask, target: Target, door: int) -> bytes:
    key, price = ask.key, target.price
    made = target.spool_names[key.id, ask.route.id, door] = name_of(
        key_id=key.id, member_id=key.member_id, workspace_id=key.workspace_id, route_id=ask.route.id,
        endpoint_id=target.endpoint_id, door=door,
        price=(price.prompt, price.completion, price.cached) if price else (0.0, 0.0, 0.0))
    return made


def _line(call: Call, seconds: float) -> bytes:
    line = Line(
        timestamp=datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z"), level="info",
        logger=__name__, event="request", request_id=call.request_id.decode(), route=call.route, status=call.status,
        seconds=round(seconds, 6), first_byte=round(call.first_byte, 6), stream=call.is_stream, error=call.error,
        prompt_tokens=call.usage.prompt_tokens, completion_tokens=call.usage.completion_tokens,
        partial=call.usage.is_partial)
    if call.key is not None:
        line.key, line.workspace = call.key.public_id, call.key.workspace_id
    if call.target is not None:
        line.endpoint = call.target.endpoint_id
    return msgspec.json.encode(line) + b"\n"
