"""A port for who watches a gateway: probes and figures. It is never the callers' port, so nothing of it is public."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

HEAD_BYTES = 16 * 1024
ASK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Question:
    """A GET. `peer` is the caller's address, "" on a socket of this machine; header names are in small letters."""

    path: str
    peer: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Pages = Callable[[Question], Awaitable[Answer]]
NOT_FOUND = Answer(404, b"not found\n")


@asynccontextmanager
async def answering(pages: Pages, listener: socket.socket) -> AsyncIterator[None]:
    """Answer what comes to this bound socket while the block runs."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError):
            async with asyncio.timeout(ASK_SECONDS):
                writer.write(_written(await _answer(pages, reader, writer)))
                await writer.drain()
        writer.close()

    start = asyncio.start_unix_server if listener.family == socket.AF_UNIX else asyncio.start_server
    server = await start(talk, sock=listener, limit=HEAD_BYTES)
    try:
        yield
    finally:
        server.close()


async def _answer(pages: Pages, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ")
    if method != "GET":
        return Answer(405, b"GET only\n")
    headers = {name.strip().lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines[1:])}
    peer = writer.get_extra_info("peername")
    return await pages(Question(target.partition("?")[0], str(peer[0]) if isinstance(peer, tuple) else "", headers))


def _written(answer: Answer) -> bytes:
    head = (f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\ncontent-type: {answer.content_type}\r\n"
            f"content-length: {len(answer.body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n")
    return head.encode() + answer.body


class _Line(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def ask(address: str, path: str, seconds: float = ASK_SECONDS) -> tuple[int, bytes]:
    """Status and body of a page at a Unix socket; 0 where nobody answers in time. Blocks: ask in a thread."""
    line = _Line("localhost", timeout=seconds)
    line.host = address
    try:
        line.request("GET", path, headers={"Host": "localhost"})
        answer = line.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        line.close()
