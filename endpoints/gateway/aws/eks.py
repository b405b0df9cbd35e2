"""Engines behind the API server of an EKS cluster, which knows the portal by a bearer that an account makes."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from ..config import Config
from ..replica import Exchange, Replica, Request
from ..snapshot import Address
from .address import cluster_in
from .lender import Lender

UNKNOWN = 401


class EksReplica(Replica):
    """Each call carries the bearer of the day; one that is not taken is replaced once."""

    is_plain = False

    def __init__(self, address: Address, config: Config, bearers: Lender[UUID, str]) -> None:
        super().__init__(replace(address, url=address.url.removeprefix("eks+"), token=""), config)
        self._cluster = cluster_in(address.url)
        self._bearers = bearers

    async def exchange(self, request: Request, *, fresh: bool) -> Exchange:
        bearer = await self._bearers.get(self._cluster)
        exchange = await super().exchange(_with(bearer, request), fresh=fresh)
        if exchange.connection.status != UNKNOWN or not await self._renew(exchange, bearer):
            return exchange
        exchange.end()
        return await super().exchange(_with(await self._bearers.get(self._cluster), request), fresh=False)

    async def _renew(self, exchange: Exchange, bearer: str) -> bool:
        try:
            return await self._bearers.renew(self._cluster, bearer)
        except BaseException:  # the caller hung up meanwhile
            exchange.end()
            raise

    def tick(self, now: float) -> None:
        super().tick(now)
        self._bearers.tick(self._cluster)


def _with(bearer: str, request: Request) -> Request:
    return replace(request, headers=f"authorization: Bearer {bearer}\r\n".encode() + request.headers)
