"""One address of an engine: its pooled connections, and an exchange over one of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from .balance import State, seed_of
from .config import Config
from .connection import Connection, TooSlow, UpstreamError
from .health import Health
from .snapshot import Address
from .tls import context_for
from .tunnel import pool

# vLLM, SGLang, llama.cpp and TEI have the first; where only the OpenAI routes are let through there is the second.
CHECK_PATHS = ("/health", "/v1/models")
UNKNOWN_PATH = (403, 404, 405)
JSON = b"application/json"
MOST_IDLE = 256  # connections kept for a replica


class NotSent(UpstreamError):
    """There is no connection, so the request may go elsewhere."""


class Answer(Protocol):
    """What an engine says: a connection that it comes on, or an answer that is there as a whole."""

    status: int
    fields: dict[bytes, bytes]  # headers, with names in lower case
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
    fields: dict[bytes, bytes] = field(default_factory=lambda: {b"content-type": b"application/json"})
    is_complete: bool = True

    async def read(self) -> bytes:
        return b""


def whole(status: int, body: bytes) -> Exchange:
    """A JSON body as an answer that has come already."""
    return Exchange(Whole(status), body, _nothing)


def _nothing() -> None:
    """There is no connection to give back."""


@dataclass(slots=True)  # not frozen: that would cost a microsecond each
class Request:
    """A call as engines know it: OpenAI's path, header lines that may go up, the body."""

    path: str
    headers: bytes = field(repr=False)  # signatures and bearers of the portal's among them
    body: bytes = field(repr=False)
    is_stream: bool = False
    affinity: str = ""  # how to choose among the replicas: "", "session" or "prefix"
    session: bytes = field(default=b"", repr=False)
    method: str = "POST"
    content_type: bytes = JSON


class Replica:
    """One address: its connections, how busy it is, and how well."""

    connection_type: type[Connection] = Connection
    is_plain = True  # a request is written as it is: nothing has to be fetched or signed for it
    is_checkable = True

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
        self._check_path = CHECK_PATHS[0]
        self._heads: dict[str, bytes] = {}
        self._loop = asyncio.get_running_loop()
        self.seed = seed_of(address.url)
        self.health = Health(config.down_seconds)
        self.has_siblings = False
        self.is_leaving = False
        self.used_at = self._loop.time()
        # Only allow-listed headers may follow these.
        token = f"authorization: Bearer {address.token}\r\n" if address.token else ""
        self._path = parts.path.rstrip("/")
        host = address.host or parts.netloc.rpartition("@")[2]
        self._fixed = f" HTTP/1.1\r\nhost: {host}\r\n{token}content-type: application/json\r\n"

    @property
    def outstanding(self) -> int:
        return len(self._busy) + self._connecting

    @property
    def is_suspect(self) -> bool:
        return self.health.is_suspect

    def state(self, now: float) -> State:
        return self.health.state(now, self.outstanding)

    def back_at(self) -> float:
        return self.health.out_until

    def written(self, request: Request) -> bytes:
        """The request as it goes over the line."""
        plain = self.wire(request.path, request.headers, request.body)
        if request.method != "POST":
            plain = request.method.encode() + plain.removeprefix(b"POST")
        if request.content_type != JSON:
            plain = plain.replace(b"content-type: " + JSON, b"content-type: " + request.content_type, 1)
        return plain

    def wire(self, path: str, headers: bytes, body: bytes) -> bytes:
        """The same for a POST of JSON."""
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = f"POST {self._path}{path}{self._fixed}".encode()
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, headers, len(body), body)

    async def exchange(self, request: Request, *, fresh: bool) -> Exchange:
        """Send, and wait for the answer to begin; `fresh` uses no kept connection. Raises NotSent, UpstreamError."""
        connection = await self.take(fresh=fresh)
        end = self.give_back if request.method == "POST" else self.put_back
        try:
            connection.send(self.written(request))
            await connection.wait_for_head()
            return Exchange(connection, await connection.read(), partial(end, connection))
        except BaseException:  # also when the caller hangs up: the engine must see the close and stop its work
            connection.close()
            end(connection)
            raise

    async def ask(self) -> int:
        """The status of an answer to “how are you”. Raises UpstreamError."""
        status = await self._status_of(self._check_path)
        if status in UNKNOWN_PATH and self._check_path == CHECK_PATHS[0]:
            self._check_path = CHECK_PATHS[1]
            status = await self._status_of(self._check_path)
        return status

    async def _status_of(self, path: str) -> int:
        exchange = await self.exchange(Request(path, b"", b"", method="GET"), fresh=True)
        exchange.end()
        return exchange.connection.status

    def ready(self) -> Connection | None:
        """A kept connection for one exchange at once; None where one has to be made, or fetched for."""
        connection = self._pooled() if self.is_plain else None
        if connection is not None:
            self._busy.add(connection)
        return connection

    async def take(self, *, fresh: bool) -> Connection:
        """A connection for one exchange; `fresh` takes none from the pool. Raises NotSent."""
        connection = None if fresh else self._pooled()
        if connection is None:
            connection = await self._connect()
        self._busy.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """End a call, and learn from it how well the replica is."""
        now = self.used_at = self._loop.time()
        if connection.is_complete and connection.status < 500:
            self.health.succeeded(now)
        elif _is_at_fault(connection):
            self.health.failed(now)
        self.put_back(connection, now)

    def put_back_unused(self, connection: Connection) -> None:
        """Keep a connection that carried nothing since it was taken; it has not become younger by that."""
        self.put_back(connection, connection.idle_since)

    def put_back(self, connection: Connection, now: float = 0.0) -> None:
        """Keep the connection where it can carry another exchange, else close it. `now`: idle since then."""
        self._busy.discard(connection)
        if connection.is_reusable and not self.is_leaving and len(self._idle) < MOST_IDLE:
            connection.idle_since = now or self._loop.time()
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
        self.health.tick(now)

    def close_idle(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _pooled(self) -> Connection | None:
        """The connection that was used last: the others grow old, and are closed before the engine does."""
        oldest = self._loop.time() - self._config.idle_seconds
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
        self._connecting += 1
        try:
            async with asyncio.timeout(self._config.connect_seconds):
                connection = self.connection_type(self._loop)
                if self._has_tunnel:
                    await pool.connect(self._host, self._port, connection, self._address.host)
                else:
                    transport, _protocol = await self._loop.create_connection(
                        lambda: connection, self._host, self._port, ssl=self._context())
                    _keep_alive(transport)
        except (OSError, TimeoutError) as error:  # an untrusted certificate is an OSError too
            self.health.refused(self._loop.time())
            raise NotSent(f"no connection: {type(error).__name__}") from error
        finally:
            self._connecting -= 1
        return connection


def _keep_alive(transport: asyncio.Transport) -> None:
    """Let the kernel ask an engine that is silent for long, so that one behind a cut line or a lost NAT entry is noticed.

    Small writes go out at once already: asyncio sets TCP_NODELAY.
    """
    line: socket.socket | None = transport.get_extra_info("socket")
    if line is not None and hasattr(socket, "TCP_KEEPIDLE"):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3)):
            line.setsockopt(socket.IPPROTO_TCP, option, value)


def _is_at_fault(connection: Connection) -> bool:
    """Whether an exchange failed by the engine's doing.

    A caller that hangs up is not; nor is an idle connection that the engine closed while a request was on its way.
    """
    error = connection.error
    if error is None:
        return connection.status >= 500
    return isinstance(error, TooSlow) or not connection.idle_since or connection.received > 0
