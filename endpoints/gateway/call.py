"""One request on its way through the gateway, and the watch that ends it when its caller has gone."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from .limits import Usage
from .snapshot import Key, Route, Target

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

REQUEST_ID = re.compile(rb"\A[A-Za-z0-9._-]{8,40}\Z")
TRACE_PARENT = re.compile(rb"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
ACCEPT = re.compile(rb"\A[\x20-\x7e]{1,200}\Z")
WATCH_AFTER_SECONDS = 0.02
CLIENT_GONE = 499


class ClientGone(Exception):
    """The caller hung up before its request was complete."""


@dataclass(slots=True)
class Call:
    """Everything that is known about a request, for its answer, its bill and its log line."""

    scope: Scope
    receive: Receive
    send: Send
    route: str
    started: float
    request_id: bytes = b""
    key: Key | None = None
    model: Route | None = None
    target: Target | None = None
    slot: int = -1
    status: int = 0
    first_byte: float = 0.0
    usage: Usage = field(default_factory=Usage)
    is_stream: bool = False
    error: str = ""
    sending_since: float = 0.0
    headers: dict[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = dict(self.scope["headers"])
        given = self.header(b"x-request-id")
        self.request_id = given if REQUEST_ID.match(given) else secrets.token_hex(8).encode()

    def header(self, wanted: bytes) -> bytes:
        """The last header of this name, or b""; repeats that matter (keys, lengths) are refused elsewhere."""
        return self.headers.get(wanted, b"")

    def headers_up(self) -> bytes:
        """The caller's headers that an engine may see; everything else stays here."""
        trace, accept = self.header(b"traceparent"), self.header(b"accept")
        lines = [b"x-request-id: ", self.request_id, b"\r\n"]
        if TRACE_PARENT.match(trace):
            lines += [b"traceparent: ", trace, b"\r\n"]
        if ACCEPT.match(accept):
            lines += [b"accept: ", accept, b"\r\n"]
        return b"".join(lines)

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        headers += [(b"x-request-id", self.request_id), (b"x-content-type-options", b"nosniff")]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, more: bool) -> None:
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
