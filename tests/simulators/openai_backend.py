"""A small engine for tests: real HTTP/1.1 and SSE on a free port, answering as vLLM does, failing as told."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from typing import Any, Self

import httptools

from tests.simulators.engine_shapes import USAGE, Ask, events_for, reply_to

__all__ = ["USAGE", "OpenAIBackend", "Script", "Seen"]


@dataclass
class Script:
    """How the engine behaves from now on."""

    words: int = 5
    delay: float = 0.0  # seconds before each event of a stream, or before a whole answer
    cut_after: int | None = None  # events after which the connection is reset
    die_before_answer: int = 0  # how many of the next requests get no answer at all
    status: int = 200
    body: bytes | None = None
    content_type: str = "application/json"
    word: str = "word"
    line_end: str = "\n"
    split_writes: bool = False  # each event in two writes with a pause between


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    raw: bytes
    at: float = field(default_factory=time.monotonic)
    hung_up_at: float | None = None
    is_done: bool = False

    @property
    def body(self) -> Any:
        """What was asked; of a form its texts, and its files as bytes."""
        kind = self.header("content-type") or ""
        return form_of(kind, self.raw) if kind.startswith("multipart/") else json.loads(self.raw)

    def ask(self, script: Script) -> Ask:
        words = tuple(f"{script.word}{number}" for number in range(script.words))
        return Ask(self.path, self.body, words)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


def form_of(kind: str, raw: bytes) -> dict[str, Any]:
    """Read by the standard library's reader of mail, which knows nothing of the gateway's."""
    message: Any = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + raw, policy=HTTP)
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        value = part.get_payload(decode=True)
        found[part.get_param("name", header="content-disposition")] = value if part.get_filename() else value.decode()
    return found


class OpenAIBackend:
    """Use as a context manager. `requests` lists what came, `script` says what to do."""

    def __init__(self, token: str = "", port: int = 0) -> None:
        self.token = token
        self.script = Script()
        self.requests: list[Seen] = []
        self.connections = 0
        self._port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def open_requests(self) -> int:
        return sum(1 for seen in self.requests if not seen.is_done and seen.hung_up_at is None)

    def told(self) -> bytes:
        """What came so far, for a test that runs in another process."""
        return json.dumps([{"path": seen.path, "open": not seen.is_done and seen.hung_up_at is None,
                            "hung_up_at": seen.hung_up_at, "authorization": seen.header("authorization"),
                            "bytes": len(seen.raw)} for seen in self.requests]).encode()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", self._port), backlog=512)
        self._port = listener.getsockname()[1]
        protocols: set[_Protocol] = set()
        server = await self._loop.create_server(lambda: _Protocol(self, protocols), sock=listener)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for protocol in list(protocols):
            protocol.transport.abort()
        await asyncio.sleep(0)


class _Protocol(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, owner: OpenAIBackend, all_of_them: set[_Protocol]) -> None:
        self.owner = owner
        self.all = all_of_them
        self.parser = httptools.HttpRequestParser(self)
        self.seen: Seen | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.all.add(self)
        self.owner.connections += 1

    def connection_lost(self, _exc: Exception | None) -> None:
        self.all.discard(self)
        if self.seen is not None and not self.seen.is_done:
            self.seen.hung_up_at = time.monotonic()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.url, self.headers, self.raw = b"", [], b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode().lower(), value.decode()))

    def on_body(self, body: bytes) -> None:
        self.raw += body

    def on_message_complete(self) -> None:
        seen = self.seen = Seen(self.parser.get_method().decode(), self.url.decode(), self.headers, self.raw)
        self.owner.requests.append(seen)
        self.task = asyncio.get_running_loop().create_task(self.answer(seen))

    async def answer(self, seen: Seen) -> None:
        script = self.owner.script
        if seen.path in ("/health", "/seen"):  # of the engine as a process: for its agent, and for the test
            self.owner.requests.remove(seen)
            self.whole(seen, 200, self.owner.told(), "application/json")
            return
        if script.die_before_answer:
            script.die_before_answer -= 1
            self.transport.abort()
            return
        if self.owner.token and seen.header("authorization") != f"Bearer {self.owner.token}":
            self.whole(seen, 401, b'{"error":"Unauthorized"}', "application/json")
        elif script.body is not None or script.status != 200:
            await asyncio.sleep(script.delay)
            self.whole(seen, script.status, script.body or b"", script.content_type)
        elif seen.body.get("stream") in (True, "true"):
            await self.stream(seen, script)
        else:
            await asyncio.sleep(script.delay)
            self.whole(seen, 200, json.dumps(reply_to(seen.ask(script))).encode(), "application/json")

    def whole(self, seen: Seen, status: int, body: bytes, content_type: str) -> None:
        seen.is_done = True
        head = (f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
                "server: engine-secret-name\r\nset-cookie: evil=1\r\nretry-after: 9\r\n\r\n")
        self.transport.write(head.encode() + body)

    async def stream(self, seen: Seen, script: Script) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                             b"transfer-encoding: chunked\r\n\r\n")
        for count, event in enumerate(events_for(seen.ask(script), script.line_end * 2)):
            if script.cut_after is not None and count >= script.cut_after:
                self.transport.abort()
                return
            if script.delay:
                await asyncio.sleep(script.delay)
            text = event.encode()
            half = len(text) // 2 if script.split_writes else 0
            if half:
                self.chunk(text[:half])
                await asyncio.sleep(0.005)
            self.chunk(text[half:])
        seen.is_done = True
        self.transport.write(b"0\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%s\r\n" % (len(data), data))
