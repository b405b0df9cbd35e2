"""The engines behind the endpoints: which one takes a call, and one second chance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .aws.address import EKS, SAGEMAKER, place_in
from .aws.eks import EksReplica
from .aws.fetch import bearer_of, credentials_of
from .aws.lender import Lender
from .aws.queued import QueuedReplica
from .aws.runtime import RuntimeReplica
from .balance import choose
from .config import Config
from .connection import Connection, TooSlow, UpstreamError
from .health import Checker
from .metrics import OUT, RETRIES
from .replica import Exchange, NotSent, Replica, Request
from .snapshot import Address, Route, Snapshot

__all__ = ["Exchange", "Request", "Upstreams"]


@dataclass(frozen=True, slots=True)
class _Group:
    addresses: tuple[Address, ...]  # kept, so that no other tuple gets its id
    replicas: list[Replica]


class Upstreams:
    """All replicas that the snapshot names."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._replicas: dict[Address, Replica] = {}
        self._groups: dict[int, _Group] = {}
        self._routes: Mapping[int, Mapping[str, Route]] | None = None
        self._wanted: set[Address] = set()
        self._turn = 0
        self._checker = Checker()
        self._credentials = Lender(credentials_of)
        self._bearers = Lender(bearer_of)

    def ready_connection(
        self, addresses: tuple[Address, ...], affinity: str = "", session: bytes = b"",
    ) -> tuple[Replica, Connection] | None:
        """The replica that `exchange` would ask first, with a kept connection to it, to be given back to the replica.

        None where one has to be made first, or the replica wants more than the request as it is.
        """
        replicas = self._group(addresses).replicas
        replica = replicas[0] if len(replicas) == 1 else self._choose(replicas, session if affinity else b"")
        connection = replica.ready()
        if connection is None:
            self._turn -= len(replicas) > 1  # `exchange` will ask again, and must come to the same one
            return None
        return replica, connection

    async def exchange(
        self, addresses: tuple[Address, ...], request: Request, after: Replica | None = None,
    ) -> Exchange:
        """Send to the replica whose turn it is. Raises UpstreamError.

        A replica that refuses the connection costs nothing, so the others are asked in turn. After the request was
        sent once, it is sent once more at most, elsewhere if possible, on a new connection, and only while no byte of
        a body has come. `after` is the replica that it was sent to before, over a ready connection.
        """
        left = list(self._group(addresses).replicas)
        key = request.session if request.affinity else b""
        failed, error = after, UpstreamError("no replica")
        if after is not None:
            RETRIES.inc()
        while left:
            others = [replica for replica in left if replica is not failed]
            replica = self._choose(others or left, key)
            try:
                return await replica.exchange(request, fresh=failed is not None)
            except NotSent as reason:
                left.remove(replica)
                error = reason
            except TooSlow:
                raise
            except UpstreamError as reason:
                if failed is not None:
                    raise
                failed, error = replica, reason
                RETRIES.inc()
        raise error

    def tick(self, now: float) -> None:
        """Call it each second."""
        self._forget()
        for replica in self._replicas.values():
            replica.tick(now)
        self._checker.tick(now, self._replicas.values())
        OUT.set(sum(replica.health.is_out(now) for replica in self._replicas.values()))

    def follow(self, snapshot: Snapshot) -> None:
        """Give no more calls to the replicas that it lacks; exchanges that still run on them end in peace."""
        if snapshot.routes is not self._routes:
            self._routes = snapshot.routes
            self._take_over(snapshot.addresses())

    def _forget(self) -> None:
        for address in [address for address, replica in self._replicas.items() if replica.is_leaving]:
            if not self._replicas[address].outstanding:
                self._replicas.pop(address).close_idle()

    def _take_over(self, wanted: set[Address]) -> None:
        self._wanted = wanted
        self._groups.clear()
        for address in wanted:
            if address.needs_aws:
                self._replica(address)  # its ticks have what it needs ready before the first call
        for address, replica in self._replicas.items():
            replica.is_leaving = address not in wanted

    def close(self) -> None:
        self._checker.close()
        for replica in self._replicas.values():
            replica.close_idle()
        self._credentials.close()
        self._bearers.close()

    def _choose(self, replicas: Sequence[Replica], key: bytes) -> Replica:
        self._turn += 1
        return choose(replicas, asyncio.get_running_loop().time(), self._turn, key)

    def _group(self, addresses: tuple[Address, ...]) -> _Group:
        """The replicas at these addresses, found by the tuple itself: to hash it would cost more than all the rest."""
        group = self._groups.get(id(addresses))
        if group is None or group.addresses is not addresses:
            replicas = [self._replica(address) for address in dict.fromkeys(addresses)]
            for replica in replicas:
                replica.has_siblings = len(replicas) > 1
            group = self._groups[id(addresses)] = _Group(addresses, replicas)
        return group

    def _replica(self, address: Address) -> Replica:
        replica = self._replicas.get(address)
        if replica is None:
            replica = self._replicas[address] = self._made(address)
            replica.is_leaving = self._routes is not None and address not in self._wanted  # a call from before
        return replica

    def _made(self, address: Address) -> Replica:
        scheme = address.url.partition(":")[0]
        if scheme == EKS:
            return EksReplica(address, self._config, self._bearers)
        if scheme != SAGEMAKER:
            return Replica(address, self._config)
        place = place_in(address.url)
        kind = QueuedReplica if place.bucket else RuntimeReplica
        return kind(place, self._config, self._credentials)
