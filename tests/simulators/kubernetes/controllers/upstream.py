"""A small HTTP client on the cluster's loop, for proxies: one connection a request, the answer passed on as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
CHUNK = 65536
Headers = list[tuple[str, str]]


class Unreachable(Exception):
    """Nothing answers at the address, or it broke off before its headers."""


@dataclass
class Reply:
    status: int
    headers: Headers
    body: AsyncIterator[bytes]
    """Must be read to its end or closed with `aclose`."""


def end_to_end(headers: Iterable[tuple[str, str]], *drop: str) -> Headers:
    """Without the headers that concern one connection only, and without those named."""
    return [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP and name.lower() not in drop]


class Upstream:
    """The connections that are open; `close` ends them, for a cluster that stops in the middle of an answer."""

    def __init__(self) -> None:
        self._open: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def fetch(self, base: str, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        """Asks a plain HTTP server.

        :raises Unreachable: no answer.
        """
        url = urlsplit(base)
        try:
            reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise Unreachable(f"dial tcp {url.hostname}:{url.port}: connect: {why}") from error
        self._open.add(writer)
        sent = end_to_end(headers, "host", "content-length", "expect")
        sent += [("host", url.netloc), ("content-length", str(len(body))), ("connection", "close")]
        connection = h11.Connection(h11.CLIENT)
        try:
            request = h11.Request(method=method, target=url.path.rstrip("/") + path or "/", headers=sent)
            parts = [connection.send(each) or b"" for each in (request, h11.Data(body), h11.EndOfMessage())]
            writer.write(b"".join(parts))
            await writer.drain()
            response = await headers_of(connection, reader)
        except BaseException as error:  # whoever asked may have left: the connection ends with any failure
            self._end(writer)
            if isinstance(error, (OSError, h11.ProtocolError)):
                raise Unreachable(str(error)) from error
            raise
        got = [(name.decode().lower(), value.decode("latin-1")) for name, value in response.headers.raw_items()]
        return Reply(response.status_code, end_to_end(got), self._body(connection, reader, writer))

    async def _body(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[bytes]:
        try:
            while isinstance(event := await following(connection, reader), h11.Data):
                yield bytes(event.data)
        finally:
            self._end(writer)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()


async def headers_of(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Response:
    """:raises h11.ProtocolError: the server left before its headers."""
    while not isinstance(event := await following(connection, reader), h11.Response):
        if not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("EOF")
    return event


async def following(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event
