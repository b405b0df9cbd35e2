"""A cheap, exact client: one HTTP/1.1 connection a call at a time, and the time of each event of its answer.

An event has the time at which its bytes arrived; events that arrive together have the same.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

CONNECT_SECONDS = 10.0
ERROR_BYTES = 4096
TIMEOUT, NETWORK, CUT, UNFINISHED = "timeout", "network", "cut", "unfinished"


class Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = None


class Text(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class Choice(msgspec.Struct):
    delta: Text | None = None

    @property
    def has_text(self) -> bool:
        said = self.delta
        return said is not None and bool(said.content or said.reasoning or said.reasoning_content)


class Event(msgspec.Struct):
    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None


class Refusal(msgspec.Struct):
    error: Any = None


EVENT, REFUSAL = msgspec.json.Decoder(Event), msgspec.json.Decoder(Refusal)


@dataclass
class Answer:
    """What came back. `on_text` is told when text comes; `failure` is "" where all went well, else its kind."""

    on_text: Callable[[float], None]
    status: int = 0
    usage: Usage | None = None
    is_whole: bool = False
    failure: str = ""
    message: str = ""
    _rest: bytes = field(default=b"", repr=False)

    def take(self, data: bytes, now: float) -> None:
        if self.status != 200:
            self._rest = (self._rest + data)[:ERROR_BYTES]
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip(), now)

    def finish(self) -> None:
        """The answer ended as HTTP has it; whether it is whole is another question."""
        if self.status != 200:
            self.failure, self.message = f"http_{self.status}", _words(self._rest)
        elif not self.is_whole and not self.failure:
            self.failure = CUT

    def _event(self, data: bytes, now: float) -> None:
        if data == b"[DONE]":
            self.is_whole = True
            return
        try:
            event = EVENT.decode(data)
        except msgspec.DecodeError:
            self.failure, self.message = CUT, "an event is not what a chat completion streams"
            return
        self.usage = event.usage or self.usage
        if event.error is not None:
            self.failure, self.message = CUT, _message(event.error)
        elif any(choice.has_text for choice in event.choices):
            self.on_text(now)


def _words(body: bytes) -> str:
    try:
        return _message(REFUSAL.decode(body).error)
    except msgspec.DecodeError:
        return ""


def _message(error: Any) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return str(said or "")


class Connection(asyncio.Protocol):
    """Carries one call at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._end: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.is_reusable = False

    async def call(self, request: bytes, answer: Answer, seconds: float) -> None:
        """Send the request and fill the answer, whose `failure` says what went wrong; never raises but CancelledError."""
        assert self._transport is not None
        self._answer, self._end, self.is_reusable = answer, self._loop.create_future(), False
        timer = self._loop.call_later(seconds, self._give_up, TIMEOUT)
        self._transport.write(request)
        try:
            await self._end
        finally:
            timer.cancel()
            self._answer = self._end = None
            if not self.is_reusable:
                self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _give_up(self, kind: str, message: str = "") -> None:
        if self._answer is not None and self._end is not None and not self._end.done():
            self._answer.failure, self._answer.message = kind, message
            self.is_reusable = False
            self._end.set_result(None)

    # What asyncio and the parser call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_reusable = False
        self._give_up(NETWORK, "the connection was closed")

    def data_received(self, data: bytes) -> None:
        self._now = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._give_up(NETWORK, str(error))

    def on_headers_complete(self) -> None:
        if self._answer is not None:
            self._answer.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if self._answer is not None:
            self._answer.take(data, self._now)

    def on_message_complete(self) -> None:
        if self._answer is None or self._end is None or self._end.done():
            return
        self._answer.finish()
        self.is_reusable = bool(self._parser.should_keep_alive())
        self._end.set_result(None)


class Client:
    """Calls to one gateway with one key, over connections that are kept."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._head = (f"Host: {parts.netloc}\r\nAuthorization: Bearer {key}\r\nUser-Agent: inference-portal-load-test\r\n"
                      "Accept: */*\r\n").encode()
        self._path = parts.path.rstrip("/")
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()

    async def status_of(self, path: str) -> int:
        """The status of a GET; 0 where nobody answers."""
        answer = Answer(lambda _now: None)
        request = b"GET %b HTTP/1.1\r\n%b\r\n" % ((self._path + path).encode(), self._head)
        await self._exchange(request, answer, CONNECT_SECONDS)
        return answer.status

    async def chat(self, body: bytes, answer: Answer, seconds: float) -> None:
        """A chat completion; what came is in `answer`."""
        head = b"POST %b/v1/chat/completions HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        await self._exchange(head % (self._path.encode(), self._head, len(body)) + body, answer, seconds)

    async def _exchange(self, request: bytes, answer: Answer, seconds: float) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._connection()
        except (OSError, TimeoutError) as error:
            answer.failure, answer.message = NETWORK, str(error) or "no connection"
            return
        await connection.call(request, answer, seconds)
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            self._all.discard(connection)

    async def _connection(self) -> Connection:
        while self._idle:
            kept = self._idle.pop()
            if kept.is_reusable:
                return kept
            self._all.discard(kept)
        loop = asyncio.get_running_loop()
        _transport, made = await loop.create_connection(Connection, self._host, self._port, ssl=self._tls)
        self._all.add(made)
        return made

    def close(self) -> None:
        for one in self._all:
            one.close()
