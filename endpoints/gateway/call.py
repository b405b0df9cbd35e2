"""One request on its way through the gateway, and the watch that ends it when its caller has gone."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .errors import UPSTREAM_INTERRUPTED
from .limits import Usage
from .snapshot import Key, Route, Target

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Fields = list[tuple[bytes, bytes]]

REQUEST_ID = re.compile(rb"\A[A-Za-z0-9._-]{8,40}\Z")
TRACE_PARENT = re.compile(rb"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
ACCEPT = re.compile(rb"\A[\x20-\x7e]{1,200}\Z")
# Ids of requests that bring none: told apart between processes by chance, within one by counting.
_PROCESS = secrets.token_hex(6).encode()
_NUMBERS = itertools.count(1)
WATCH_AFTER_SECONDS = 0.02
CLIENT_GONE = 499
LEAST_SECONDS = 0.0005  # uvloop's clock counts milliseconds


async def _not_attached(*_message: Any) -> Any:
    raise AssertionError("this call has no line to its caller")


def _nothing() -> None:
    """Nobody wants to know."""


class ClientGone(Exception):
    """The caller hung up before its request was complete."""


class Call:
    """Everything that is known about a request, for its answer, its bill and its log line."""

    # What most calls never change stands here, which costs nothing for each. `usage` is replaced, never changed.
    key: Key | None = None
    model: Route | None = None
    target: Target | None = None
    slot = 0  # in the spool, while an engine works for it; 0 for none, -1 when that is over
    status = 0
    first_byte = 0.0
    usage = Usage()
    is_stream = False
    error = ""
    sending_since = 0.0
    ending: Callable[[], None] = staticmethod(_nothing)  # called before the last of the answer is sent
    receive: Receive = staticmethod(_not_attached)
    send: Send = staticmethod(_not_attached)

    def __init__(self, route: str, fields: Fields, started: float, method: str = "POST") -> None:
        """`fields` are the header fields as they came, with names in lower case; `started` is the loop's time."""
        self.route = route
        self.method = method
        self.fields = fields
        self.headers = dict(fields)
        self.started = started
        given = self.headers.get(b"x-request-id")
        self.request_id = given if given and REQUEST_ID.match(given) else _PROCESS + b"%08x" % next(_NUMBERS)

    def begin_answer(self, now: float) -> None:
        """The engine's first byte has come. 0 means that none did, so a time too short for the loop's clock is not 0."""
        self.first_byte = max(now - self.started, LEAST_SECONDS)

    def interrupted(self, usage: Usage) -> None:
        """The engine did not end its stream; `usage` is what came."""
        self.error = UPSTREAM_INTERRUPTED
        self.usage = usage
        usage.is_partial = True

    def attach(self, receive: Receive, send: Send) -> None:
        """Where the rest of the body comes from, and where the answer goes."""
        self.receive = receive
        self.send = send

    def header(self, wanted: bytes) -> bytes:
        """The last header of this name, or b""; repeats that matter (keys, lengths) are refused elsewhere."""
        return self.headers.get(wanted, b"")

    def headers_up(self) -> bytes:
        """The caller's headers that an engine may see; everything else stays here."""
        trace, accept = self.headers.get(b"traceparent"), self.headers.get(b"accept")
        lines = b"x-request-id: %b\r\n" % self.request_id
        if trace is not None and TRACE_PARENT.match(trace):
            lines += b"traceparent: %b\r\n" % trace
        if accept is not None and ACCEPT.match(accept):
            lines += b"accept: %b\r\n" % accept
        return lines

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        headers += [(b"x-request-id", self.request_id), (b"x-content-type-options", b"nosniff")]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, more: bool) -> None:
        if not more:
            self.ending()
        self.sending_since = asyncio.get_running_loop().time()
        await self.send({"type": "http.response.body", "body": data, "more_body": more})
        self.sending_since = 0.0

    async def answer(self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = (),
                     content_type: bytes = b"application/json") -> None:
        length = b"%d" % len(body)
        await self.start(status, [(b"content-type", content_type), (b"content-length", length), *headers])
        await self.write(body, more=False)


class HangUpWatch:
    """Cancels the task of a call when its caller closes the connection.

    Most calls are over before the watch begins, which saves them a task.
    """

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._caller = task
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(WATCH_AFTER_SECONDS, self._begin)
        self._is_over = False
        self.has_fired = False

    def end(self) -> None:
        self._is_over = True
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def stop_call(self) -> None:
        """End the call as if its caller had hung up."""
        if not self._is_over and not self.has_fired:
            self.has_fired = True
            self._caller.cancel()

    def _begin(self) -> None:
        self._watch = self._loop.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.stop_call()
