"""One address of an engine: its pooled connections, and an exchange over one of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from .config import Config
from .connection import Connection, UpstreamError
from .snapshot import Address
from .tls import context_for
from .tunnel import pool


class NotSent(UpstreamError):
    """There is no connection, so the request may go elsewhere."""


class Answer(Protocol):
    """What an engine says: a connection that it comes on, or an answer that is there as a whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    is_complete: bool

    async def read(self) -> bytes:
        """The next bytes of the body, b"" at its end. Raises UpstreamError when it was cut."""


@dataclass(slots=True)
class Exchange:
    """An answer that has begun: the head is there, and the first bytes of the body. `end` must be called."""

    connection: Answer
    first: bytes
    end: Callable[[], None]


async def collect(exchange: Exchange, limit: int) -> bytes:
    """The whole body, or its beginning where it is longer than `limit` bytes. Raises UpstreamError when it was cut."""
    body, answer = exchange.first, exchange.connection
    while not answer.is_complete and len(body) <= limit:
        body += await answer.read()
    if answer.is_complete:
        body += await answer.read()
    return body


@dataclass(slots=True)
class Whole:
    """An answer without a connection: its body is the `first` of its exchange."""

    status: int
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"content-type", b"application/json")])
    is_complete: bool = True

    async def read(self) -> bytes:
        return b""


def whole(status: int, body: bytes) -> Exchange:
    """A JSON body as an answer that has come already."""
    return Exchange(Whole(status), body, _nothing)


def _nothing() -> None:
    """There is no connection to give back."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call as engines know it: OpenAI's path, header lines that may go up, the body."""

    path: str
    headers: bytes = field(repr=False)  # signatures and bearers of the portal's among them
    body: bytes = field(repr=False)
    is_stream: bool = False
    affinity: str = ""  # how to choose among the replicas: "", "session" or "prefix"
    session: bytes = field(default=b"", repr=False)


class Replica:
    """One address: its connections, how busy it is, and until when it is left alone after a failure."""

    connection_type: type[Connection] = Connection

    def __init__(self, address: Address, config: Config) -> None:
        parts = urlsplit(address.url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._has_tunnel = parts.scheme == "tunnel"
        self._tls = parts.scheme == "https"
        self._address = address
        self._config = config
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._connecting = 0
        self.down_until = 0.0
        # Only allow-listed headers may follow these.
        token = f"authorization: Bearer {address.token}\r\n" if address.token else ""
        self._path = parts.path.rstrip("/")
        host = address.host or parts.netloc.rpartition("@")[2]
        self._fixed = f" HTTP/1.1\r\nhost: {host}\r\n{token}content-type: application/json\r\n"

    @property
    def outstanding(self) -> int:
        return len(self._busy) + self._connecting

    async def exchange(self, request: Request, *, fresh: bool) -> Exchange:
        """Send, and wait for the answer to begin; `fresh` uses no kept connection. Raises NotSent, UpstreamError."""
        connection = await self.take(fresh=fresh)
        head = f"POST {self._path}{request.path}{self._fixed}".encode()
        length = b"content-length: %d\r\n\r\n" % len(request.body)
        try:
            connection.send(b"".join((head, request.headers, length, request.body)))
            await connection.wait_for_head()
            return Exchange(connection, await connection.read(), partial(self.give_back, connection))
        except BaseException:  # also when the caller hangs up: the engine must see the close and stop its work
            connection.close()
            self.give_back(connection)
            raise

    async def take(self, *, fresh: bool) -> Connection:
        """A connection for one exchange; `fresh` takes none from the pool. Raises NotSent."""
        connection = None if fresh else self._pooled()
        if connection is None:
            connection = await self._connect()
        self._busy.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """End an exchange: keep the connection where it can carry another one, else close it."""
        self._busy.discard(connection)
        if connection.is_reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()

    def tick(self, now: float) -> None:
        """Close what is idle or silent for too long."""
        oldest = now - self._config.idle_seconds
        for connection in self._idle:
            if connection.idle_since <= oldest:
                connection.close()
        self._idle = [connection for connection in self._idle if connection.is_open]
        for connection in list(self._busy):
            connection.expire(now, self._config.engine_seconds)

    def close_idle(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _pooled(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - self._config.idle_seconds
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _context(self) -> ssl.SSLContext | None:
        of = self._address
        return context_for(of.ca, of.client_certificate, of.client_key) if self._tls else None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        self._connecting += 1
        try:
            async with asyncio.timeout(self._config.connect_seconds):
                connection = self.connection_type(loop)
                if self._has_tunnel:
                    await pool.connect(self._host, self._port, connection, self._address.host)
                else:
                    await loop.create_connection(lambda: connection, self._host, self._port, ssl=self._context())
        except (OSError, TimeoutError) as error:  # an untrusted certificate is an OSError too
            self.down_until = loop.time() + self._config.down_seconds
            raise NotSent(f"no connection: {type(error).__name__}") from error
        finally:
            self._connecting -= 1
        self.down_until = 0.0
        return connection
