"""A plain call, carried between two sockets in their own callbacks: no task, no future, and one write for an answer.

It begins only where everything is at hand (`Gateway.admit`), and only with what nearly all calls are: a good answer, as
JSON or as events. Whatever else comes up is handed over to a task, which goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from .call import CLIENT_GONE, Call, Receive, Scope, Send
from .connection import TooSlow
from .doors import EVENTS, JSON
from .gateway import Admission, Begun, Gateway
from .limits import Usage
from .replica import Exchange
from .tap import StreamTap

WAIT_BYTES = 128 * 1024  # of a whole answer, held back until its end is there; less than a connection buffers

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Line(Protocol):
    """The caller's connection."""

    @property
    def is_congested(self) -> bool:
        """Whether the caller reads more slowly than we write."""

    def head(self) -> bytes:
        """The first line of a good answer, and the headers that the server adds."""

    def write(self, data: bytes) -> None:
        """With all that is written in this turn of the loop: cheaper, and later by as much as the turn still takes."""

    def finished(self, *, keep_alive: bool) -> None:
        """The answer is complete."""

    def hand_over(self, application: Application) -> None:
        """Let a task answer instead. Nothing was written yet."""


class DirectCall:
    """One exchange. Its owner tells it when the caller reads again (`go_on`) or has gone (`abandon`)."""

    __slots__ = ("_admission", "_call", "_connection", "_gateway", "_kind", "_line", "_progress", "_tap", "congested_since",
                 "disconnected", "keep_alive", "response_complete")

    # What the server looks at in any request that is being answered.
    message_event = asyncio.Event()

    def __init__(self, gateway: Gateway, line: Line, call: Call, admission: Admission) -> None:
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self.congested_since = 0.0
        self._gateway = gateway
        self._line = line
        self._call = call
        self._admission = admission
        self._connection = admission.connection
        self._kind = b""
        self._tap: StreamTap | None = None

    def begin(self) -> None:
        """Send the request."""
        self._connection.listener = self.go_on
        # Streams that begin together would go on together, and wait for each other at each chunk.
        self._connection.send(self._admission.request, soon=not self._call.is_stream)

    def go_on(self) -> None:
        """The engine or the caller has news."""
        connection = self._connection
        if self._tap is not None:
            self._pass_on(self._tap, b"")
        elif connection.error is not None:
            self._hand_over()
        elif connection.has_head:
            self._look_at_head()

    def abandon(self) -> None:
        """The caller has gone: the engine must see that and stop its work."""
        self._call.status = self._call.status or CLIENT_GONE
        self._call.error = "client_gone"
        self._call.usage = self._tap.usage if self._tap is not None else Usage()
        self._call.usage.is_partial = True
        self._connection.close()
        self._book(asyncio.get_running_loop().time())

    def _look_at_head(self) -> None:
        connection = self._connection
        kind = self._kind or self._kind_of_answer()
        if kind == JSON and connection.is_complete:
            self._answer(connection.take())
        elif kind == EVENTS and connection.buffered:
            self._begin_stream()
        elif not kind or connection.is_complete or connection.buffered > WAIT_BYTES:
            self._hand_over()

    def _kind_of_answer(self) -> bytes:
        """JSON, EVENTS, or b"" for what this road does not carry."""
        if self._connection.status == 200:
            kind = self._connection.fields.get(b"content-type", b"")
            if kind != JSON:
                kind = kind.partition(b";")[0].strip().lower()
            self._kind = kind if kind in (JSON, EVENTS) else b""
        return self._kind

    def _answer(self, body: bytes) -> None:
        call = self._call
        self._note_first_byte()
        call.usage = self._admission.work.door.usage_of(body)
        self._book(self._connection.active_at)
        self._line.write(b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%b%b" % (
            self._line.head(), len(body), self._last_fields(), body))
        self._line.finished(keep_alive=self.keep_alive)

    def _begin_stream(self) -> None:
        self._note_first_byte()
        self._tap = self._admission.work.tap()
        self._progress = self._gateway.book.spool.progress
        self._pass_on(self._tap, b"%bcontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
                      b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n%b" % (
                          self._line.head(), self._last_fields()))

    def _last_fields(self) -> bytes:
        return b"%bx-request-id: %b\r\nx-content-type-options: nosniff\r\n\r\n" % (
            b"" if self.keep_alive else b"connection: close\r\n", self._call.request_id)

    def _note_first_byte(self) -> None:
        self._call.status = 200
        self._call.begin_answer(self._connection.active_at)

    def _pass_on(self, tap: StreamTap, out: bytes) -> None:
        """Write the whole events that have come, after `out`; end when there is nothing more to come."""
        connection, line = self._connection, self._line
        if connection.buffered and not line.is_congested:
            self.congested_since = 0.0
            events = tap.feed(connection.take())
            self._progress(self._call.slot, tap.tokens)
            if events:
                out += b"%x\r\n%b\r\n" % (len(events), events)
        is_over = not connection.buffered and (tap.has_ended or connection.is_complete or connection.error is not None)
        if is_over:
            out += self._last_chunk(tap)
            self._book(connection.active_at)
            line.write(out)
            line.finished(keep_alive=self.keep_alive)
            return
        if out:
            line.write(out)
        if connection.buffered and not self.congested_since:
            self.congested_since = connection.active_at

    def _last_chunk(self, tap: StreamTap) -> bytes:
        if tap.has_ended:
            self._call.usage = tap.usage
            return b"0\r\n\r\n"
        self._call.interrupted(tap.usage)
        event = self._admission.work.door.shape.interrupted()
        return b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)

    def _book(self, now: float) -> None:
        """Before the last write: a kill after the caller has its answer must not lose what it used."""
        self.response_complete = True
        self._connection.listener = self._give_back
        self._give_back()
        self._admission.place.settle(self._call.usage)
        self._gateway.end(self._call, now)

    def _give_back(self) -> None:
        """Keep the connection for other calls. An engine's last event may come before the end of its answer."""
        connection = self._connection
        if connection.is_complete or connection.error is not None or connection.buffered or not connection.is_open:
            connection.listener = None
            self._admission.replica.give_back(connection)

    def _hand_over(self) -> None:
        connection, admission = self._connection, self._admission
        connection.listener = None
        give_back = partial(admission.replica.give_back, connection)
        begun = Begun()
        if connection.error is None or connection.buffered:
            begun.exchange = Exchange(connection, connection.take(), give_back)
        else:
            give_back()
            begun.failed = admission.replica
            begun.error = connection.error if isinstance(connection.error, TooSlow) else None
        self._gateway.leave(self._call)
        self._line.hand_over(partial(self._gateway.resume, self._call, admission, begun))
