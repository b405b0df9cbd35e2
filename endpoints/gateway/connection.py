"""One HTTP/1.1 connection to an engine: bytes in, parsed by httptools, out again without a copy more than needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from .batch import batch

BUFFER_BYTES = 256 * 1024
HEAD_BYTES = 256 * 1024


class UpstreamError(Exception):
    """The engine could not be reached, answered nonsense, or went away."""


class TooSlow(UpstreamError):
    """The engine sent nothing for too long."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. After `is_reusable` it may carry the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        # Called at each step of the answer, instead of waking a waiter. Its owner takes it off when the exchange ends.
        self.listener: Callable[[], None] | None = None
        self._is_lost = False
        self.idle_since = 0.0
        self._begin()
        self.is_complete = True

    def _begin(self) -> None:
        self.status = 0
        self.fields: dict[bytes, bytes] = {}  # the last header of each name
        self.has_head = False
        self.is_complete = False
        self.received = 0  # bytes in this exchange
        self._pieces: list[bytes] = []
        self.buffered = 0  # bytes of the body that `take` would give
        self._is_paused = False
        self._is_framed = False  # the body says itself where it ends
        self._keeps_alive = False
        self.error: UpstreamError | None = None  # why the exchange failed, if it has
        self.active_at = self._loop.time()

    # What the owner calls

    def send(self, request: bytes, *, soon: bool = False) -> None:
        """Start an exchange, now or at the end of this turn of the loop. Raises UpstreamError where it is already gone."""
        if self._transport is None or self._is_lost or self._transport.is_closing():
            raise UpstreamError("the connection is closed")
        self._begin()
        if soon:
            batch.write(self._loop, self._transport, request)
        else:
            self._transport.write(request)

    async def wait_for_head(self) -> None:
        """Return when `status` and `headers` are there. Raises UpstreamError."""
        while not self.has_head:
            await self._wait()

    async def read(self) -> bytes:
        """The next bytes of the body, b"" at its end. Raises UpstreamError when it was cut."""
        while not self._pieces:
            if self.is_complete:
                return b""
            await self._wait()
        return self.take()

    def take(self) -> bytes:
        """The bytes of the body that have come and were not taken yet, without waiting."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.buffered = 0
        if self._is_paused and not self._is_lost:
            self._is_paused = False
            self.active_at = self._loop.time()
            cast("asyncio.Transport", self._transport).resume_reading()
        return data

    @property
    def is_reusable(self) -> bool:
        return self.is_complete and not self._is_lost and not self._is_paused and self._keeps_alive

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._is_lost and not self._transport.is_closing()

    def expire(self, now: float, limit: float) -> None:
        """Give up when the engine has been silent for `limit` seconds. A client that reads slowly is not its fault."""
        if not self._is_paused and not self.is_complete and now - self.active_at > limit:
            self._fail(TooSlow(f"no byte for {limit:.0f} s"))

    def close(self) -> None:
        self._is_lost = True
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.active_at = self._loop.time()
        self.received += len(data)
        if self.is_complete:
            self.close()  # bytes that nobody asked for: whatever follows can't be trusted
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(UpstreamError(f"not HTTP: {error}"))
            return
        if not self.has_head and self.received > HEAD_BYTES:
            self._fail(UpstreamError("the answer's headers are too long"))
            return
        listener = self.listener
        if listener is not None:
            listener()
        else:
            self._wake()

    def eof_received(self) -> None:
        """Nothing to do: the transport closes and connection_lost follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if exc is None and self.error is None and self.has_head and not self.is_complete and not self._is_framed:
            self.is_complete = True  # a body without length ends with the connection, if that ends in peace
            self._wake()
        elif not self.is_complete:
            self._fail(UpstreamError("the engine closed the connection"))

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= 200
        self._is_framed = b"content-length" in self.fields or b"transfer-encoding" in self.fields

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.buffered += len(piece)
        if self.buffered > BUFFER_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete = True
            self._keeps_alive = self._parser.should_keep_alive()  # the parser forgets it when this returns
        else:
            self.fields = {}  # an interim answer (100 to 199); the real one follows

    # Waiting

    async def _wait(self) -> None:
        if self.error is not None:
            raise self.error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self.listener is not None:
            self.listener()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: UpstreamError) -> None:
        self.error = self.error or error
        self.close()
        if self.listener is not None:
            self.listener()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self.error)
