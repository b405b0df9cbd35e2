"""The server's side of a caller's connection: plain calls are carried here, everything else by the application."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from . import asgi
from .batch import batch
from .call import Call
from .direct import Application, DirectCall
from .doors import DOORS, Door
from .gateway import MAX_HEADER_BYTES, Gateway

PIECES_SECONDS = 1.0  # for a small body, before it is left to the application, which has its own limit
HEAD_BYTES = 128 * 1024  # the application refuses less; this is for heads that never end
BODY_BYTES = 64 * 1024  # that may be held before anybody knows whose they are
OK = b"HTTP/1.1 200 OK\r\n"
TOO_LONG = (b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

_doors = {door.path.encode(): door for door in DOORS.values()}


class GatewayProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn reads it, with a short way for calls to the engines.

    A request takes it when it is whole, small and well formed, and `Gateway.admit` has all that it needs at hand. For
    all others uvicorn's own methods are called as if there were no short way, so that each refusal has one place.
    Instead of a timer for each wait there is one look around a second.
    """

    gateway: Gateway = asgi.gateway

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: tuple[Call, Door] | None = None  # a call whose body is on its way
        self._pieces: list[bytes] = []
        self._direct: DirectCall | None = None
        self._begun = 0.0  # when the head of the last request began
        self._deadline = 0.0  # for what the caller has to send next
        self._closed_at = 0.0
        self._head_seconds = self.gateway.head_seconds
        self._head_bytes = -1  # of a head that is not whole yet; -1 for none
        self._read_bytes = 0  # in the last read
        self._defaults: list[tuple[bytes, bytes]] = []
        self._head = OK

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._deadline = self.loop.time() + self._head_seconds
        self.gateway.lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gateway.lines.discard(self)
        direct, self._direct = self._direct, None
        super().connection_lost(exc)
        if direct is not None:
            direct.abandon()

    def data_received(self, data: bytes) -> None:
        self._read_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._ignore_upgrade(data[upgrade.args[0]:])
            return
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                batch.flush()
                self.transport.write(TOO_LONG)
                self.transport.close()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._direct is not None:
            self._direct.go_on()

    # What the parser calls

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._head_bytes = 0
        self._begun = self.loop.time()
        self._deadline = self._begun + self._head_seconds

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        most_bytes = self._head_bytes + self._read_bytes
        self._head_bytes = -1
        door = _doors.get(self.url) if most_bytes <= MAX_HEADER_BYTES else None  # the application counts exactly
        call = self._plain_call(door) if door is not None else None
        if call is None or door is None:
            if not self._asks_for_another_protocol():
                self._leave_to_application()
        else:
            self._waiting = call, door
            self._deadline = call.started + PIECES_SECONDS

    def on_body(self, body: bytes) -> None:
        if self._waiting is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._waiting is None:
            if not self._asks_for_another_protocol():
                super().on_message_complete()
            return
        call, door = self._waiting
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        admission = self.gateway.admit(call, door, body)
        if admission is None:
            self._leave_to_application()
            super().on_message_complete()
            return
        self._waiting = None
        pieces.clear()
        self._deadline = 0.0
        self._direct = DirectCall(self.gateway, self, call, admission)
        self.cycle = cast("RequestResponseCycle", self._direct)  # as far as the server looks at it
        self._direct.begin()

    # What the server and the gateway call

    def send_400_response(self, msg: str) -> None:
        batch.flush()
        super().send_400_response(msg)

    def shutdown(self) -> None:
        batch.flush()
        super().shutdown()

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, application = self.pipeline.pop()
            self._start_asgi_task(cycle, application)
        else:
            self._deadline = self.loop.time() + self.timeout_keep_alive

    def look_around(self, now: float, write_seconds: float) -> None:
        """Once a second: callers that send or read nothing for too long."""
        direct = self._direct
        if self.transport.is_closing():  # once the caller has read the rest of the answer, which may be never
            self._closed_at = self._closed_at or now
            if now - self._closed_at > write_seconds:
                self.transport.abort()
        elif direct is not None:
            if direct.congested_since and now - direct.congested_since > write_seconds:
                self.transport.abort()
        elif self._deadline and now > self._deadline and (self.cycle is None or self.cycle.response_complete):
            if self._waiting is not None:
                self._leave_to_application()
            else:
                self.transport.close()

    # What a direct call needs

    @property
    def is_congested(self) -> bool:
        return self.flow.write_paused

    def head(self) -> bytes:
        defaults = self.server_state.default_headers
        if defaults is not self._defaults:
            self._defaults = defaults
            self._head = OK + b"".join([b"%b: %b\r\n" % field for field in defaults])
        return self._head

    def write(self, data: bytes) -> None:
        batch.write(self.loop, self.transport, data)

    def finished(self, *, keep_alive: bool) -> None:
        self._direct = None
        if not keep_alive:
            batch.flush()
            self.transport.close()
        self.on_response_complete()

    def hand_over(self, application: Application) -> None:
        direct, self._direct = self._direct, None
        assert direct is not None
        cycle = RequestResponseCycle(
            scope={"type": "http", "method": "POST", "headers": []},  # type: ignore[typeddict-item]  # all that is read
            transport=self.transport, flow=self.flow, logger=self.logger, access_logger=self.access_logger,
            access_log=False, default_headers=self.server_state.default_headers, message_event=asyncio.Event(),
            expect_100_continue=False, keep_alive=direct.keep_alive, on_response=self.on_response_complete)
        cycle.more_body = False
        if self.cycle is cast("RequestResponseCycle", direct):
            self.cycle = cycle
        self._start_asgi_task(cycle, application)  # type: ignore[arg-type]  # uvicorn's own types of messages

    # How a call is told from other requests

    def _plain_call(self, door: Door) -> Call | None:
        """The call that this head begins, if it is one that the short way can carry."""
        parser = self.parser
        is_plain = (parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and parser.should_keep_alive()
                    and not parser.should_upgrade() and not self.transport.is_closing()
                    and (self.cycle is None or self.cycle.response_complete))
        if not is_plain:
            return None
        call = Call(door.path, self.headers, self._begun)
        length = call.headers.get(b"content-length", b"")
        is_small = length.isdigit() and len(length) <= 6 and int(length) <= BODY_BYTES
        is_json = (call.headers.get(b"content-type") == b"application/json" and b"content-encoding" not in call.headers
                   and b"expect" not in call.headers)
        return call if is_small and is_json else None

    def _leave_to_application(self) -> None:
        """Go on as if what has come so far were only now coming."""
        url, headers = self.url, self.headers
        body, self._waiting = b"".join(self._pieces), None
        self._pieces.clear()
        self._deadline = 0.0
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = []  # what still comes are fields behind the body, which are no headers
        if body:
            super().on_body(body)

    def _asks_for_another_protocol(self) -> bool:
        """Whether `_ignore_upgrade` follows: the parser stops after the head, and gives no body."""
        return bool(self.parser.should_upgrade()) and not self._should_upgrade()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the request, with the `rest` of it, as if it did not ask for another protocol than HTTP/1.1.

        RFC 9110, 7.8 lets a server do that. Java's own client asks each server for HTTP/2 so.
        """
        method, url, headers = self.parser.get_method(), self.url, self.headers
        if method == b"CONNECT":
            self.send_400_response("This server is no proxy.")
            return
        self.parser = httptools.HttpRequestParser(self)
        lines = b"".join([b"%b: %b\r\n" % field for field in headers if field[0] != b"upgrade"])
        self.data_received(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, url, lines, rest))
