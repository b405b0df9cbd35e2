"""The engines behind the endpoints: pooled connections, the least busy one first, and one second chance."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from .config import Config
from .connection import Connection, TooSlow, UpstreamError
from .metrics import RETRIES
from .snapshot import Address
from .tls import context_for
from .tunnel import pool


class Replica:
    """One address: its connections, how busy it is, and until when it is left alone after a failure."""

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
        token = f"authorization: Bearer {address.token}\r\n" if address.token else ""
        self._path = parts.path.rstrip("/")
        host = address.host or parts.netloc.rpartition("@")[2]
        self._fixed = f" HTTP/1.1\r\nhost: {host}\r\n{token}content-type: application/json\r\n"

    @property
    def outstanding(self) -> int:
        return len(self._busy) + self._connecting

    def head(self, path: str) -> bytes:
        """The first lines of a request to this replica; only allow-listed headers may follow."""
        return f"POST {self._path}{path}{self._fixed}".encode()

    async def take(self, *, fresh: bool) -> Connection:
        """A connection for one exchange; `fresh` takes none from the pool. Raises UpstreamError."""
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
                connection = Connection(loop)
                if self._has_tunnel:
                    await pool.connect(self._host, self._port, connection, self._address.host)
                else:
                    await loop.create_connection(lambda: connection, self._host, self._port, ssl=self._context())
        except (OSError, TimeoutError) as error:  # an untrusted certificate is an OSError too
            self.down_until = loop.time() + self._config.down_seconds
            raise UpstreamError(f"no connection: {type(error).__name__}") from error
        finally:
            self._connecting -= 1
        self.down_until = 0.0
        return connection


@dataclass(slots=True)
class Exchange:
    """An answer that has begun: the head is there, and the first bytes of the body."""

    replica: Replica
    connection: Connection
    first: bytes

    def end(self) -> None:
        self.replica.give_back(self.connection)


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: bytes
    body: bytes


class Upstreams:
    """All replicas that the snapshot names."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._replicas: dict[Address, Replica] = {}
        self._turn = 0

    async def exchange(self, addresses: tuple[Address, ...], request: Request) -> Exchange:
        """Send to the least busy replica. Raises UpstreamError.

        A replica that refuses the connection costs nothing, so the others are asked in turn. After the request was
        sent once, it is sent once more at most, elsewhere if possible, and only while no byte of a body has come.
        """
        refused: set[Replica] = set()
        failed: set[Replica] = set()
        error: UpstreamError = UpstreamError("no replica")
        while len(failed) < 2:
            replica = self._choose(addresses, refused, failed)
            if replica is None:
                break
            try:
                connection = await replica.take(fresh=bool(failed))
            except UpstreamError as reason:
                refused.add(replica)
                error = reason
                continue
            try:
                return await _begin(replica, connection, request)
            except TooSlow:
                raise
            except UpstreamError as reason:
                error = reason
                if failed:
                    break
                failed.add(replica)
                RETRIES.inc()
        raise error

    def tick(self, now: float) -> None:
        for replica in self._replicas.values():
            replica.tick(now)

    def keep_only(self, addresses: Iterable[Address]) -> None:
        """Forget the replicas that are gone; exchanges that still run on them end in peace."""
        wanted = set(addresses)
        for address in [address for address, replica in self._replicas.items()
                        if address not in wanted and not replica.outstanding]:
            self._replicas.pop(address).close_idle()

    def close(self) -> None:
        for replica in self._replicas.values():
            replica.close_idle()

    def _choose(self, addresses: tuple[Address, ...], refused: set[Replica], failed: set[Replica]) -> Replica | None:
        """The least busy one; those that failed a moment ago come last, equals take turns."""
        if len(addresses) == 1 and not refused:
            return self._replica(addresses[0])
        now = asyncio.get_running_loop().time()
        self._turn += 1
        start = self._turn % max(1, len(addresses))
        in_turn = (self._replica(address) for address in addresses[start:] + addresses[:start])
        left = [replica for replica in in_turn if replica not in refused]
        return min(left, key=lambda one: (one in failed, one.down_until > now, one.outstanding), default=None)

    def _replica(self, address: Address) -> Replica:
        replica = self._replicas.get(address)
        if replica is None:
            replica = self._replicas[address] = Replica(address, self._config)
        return replica


async def _begin(replica: Replica, connection: Connection, request: Request) -> Exchange:
    length = b"content-length: %d\r\n\r\n" % len(request.body)
    try:
        connection.send(b"".join((replica.head(request.path), request.headers, length, request.body)))
        await connection.wait_for_head()
        return Exchange(replica, connection, await connection.read())
    except BaseException:  # also when the caller hangs up: the engine must see the close and stop its work
        connection.close()
        replica.give_back(connection)
        raise
