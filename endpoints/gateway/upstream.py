"""The engines behind the endpoints: the least busy one first, and one second chance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from .aws.address import EKS, SAGEMAKER, place_in
from .aws.eks import EksReplica
from .aws.fetch import bearer_of, credentials_of
from .aws.lender import Lender
from .aws.queued import QueuedReplica
from .aws.runtime import RuntimeReplica
from .config import Config
from .connection import TooSlow, UpstreamError
from .metrics import RETRIES
from .replica import Exchange, NotSent, Replica, Request
from .snapshot import Address

__all__ = ["Exchange", "Request", "Upstreams"]


class Upstreams:
    """All replicas that the snapshot names."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._replicas: dict[Address, Replica] = {}
        self._turn = 0
        self._credentials = Lender(credentials_of)
        self._bearers = Lender(bearer_of)

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
                return await replica.exchange(request, fresh=bool(failed))
            except NotSent as reason:
                refused.add(replica)
                error = reason
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
        for address in wanted:
            if address.needs_aws:
                self._replica(address)  # its ticks have what it needs ready before the first call
        for address in [address for address, replica in self._replicas.items()
                        if address not in wanted and not replica.outstanding]:
            self._replicas.pop(address).close_idle()

    def close(self) -> None:
        for replica in self._replicas.values():
            replica.close_idle()
        self._credentials.close()
        self._bearers.close()

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
            replica = self._replicas[address] = self._made(address)
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
