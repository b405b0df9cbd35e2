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


async def fetch(base: str, method: str, path: str, headers: Headers, body: bytes) -> Reply:
    """Asks a plain HTTP server.

    :raises Unreachable: no answer.
    """
    url = urlsplit(base)
    try:
        reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
    except OSError as error:
        raise Unreachable(
            f"dial tcp {url.hostname}:{url.port}: connect: {(error.strerror or str(error)).lower()}"
        ) from error
    connection = h11.Connection(h11.CLIENT)
    sent = end_to_end(headers, "host", "content-length", "expect")
    sent += [("host", url.netloc), ("content-length", str(len(body))), ("connection", "close")]
    try:
        writer.write(
            connection.send(h11.Request(method=method, target=url.path.rstrip("/") + path or "/", headers=sent)) or b""
        )
        writer.write((connection.send(h11.Data(body)) or b"") + (connection.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        response = await _next(connection, reader)
        while isinstance(response, h11.InformationalResponse):
            response = await _next(connection, reader)
    except (OSError, h11.ProtocolError) as error:
        writer.close()
        raise Unreachable(str(error)) from error
    if not isinstance(response, h11.Response):
        writer.close()
        raise Unreachable("EOF")
    got = [(name.decode().lower(), value.decode("latin-1")) for name, value in response.headers.raw_items()]
    return Reply(response.status_code, end_to_end(got), _body(connection, reader, writer))


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event


async def _body(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[bytes]:
    try:
        while isinstance(event := await _next(connection, reader), h11.Data):
            yield bytes(event.data)
    finally:
        writer.close()
