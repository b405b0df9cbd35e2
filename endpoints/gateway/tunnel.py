"""Hosts that can't be reached: their agents call in, and the gateway's connections to engines go out on those calls."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import Error, connection

from clusters.services import SignedCall, authenticate_tunnel, tunnel_keys
from portal.tenancy.errors import PortalError, Unavailable

from .call import Receive, Scope, Send
from .connection import Connection
from .metrics import TUNNELS
from .tunnel_socket import TunnelSocket

log = logging.getLogger(__name__)

PATH = "/agent/v1/tunnel"
MOST_SOCKETS = 80  # of one host; an agent opens 64, and the old ones of an agent that was killed may still be there
RECLAIM_SECONDS = 0.1
CHECK_SECONDS = 2.0
IDLE_SECONDS = 600.0

threads = ThreadPoolExecutor(4, "tunnel")


class TooMany(PortalError):
    """The host has as many sockets open as it may."""

    code = "too_many"
    status = 429


@dataclass
class Sockets:
    """Those of one host, and who waits for one."""

    all: set[TunnelSocket] = field(default_factory=set)
    idle: list[TunnelSocket] = field(default_factory=list)
    waiters: deque[asyncio.Future[TunnelSocket]] = field(default_factory=deque)


class Pool:
    """The open sockets by host. A socket of one host never serves another one's engine."""

    def __init__(self) -> None:
        self._hosts: dict[str, Sockets] = {}
        self._keeper: asyncio.Task[None] | None = None

    def count(self, *, idle: bool) -> int:
        return sum(len(sockets.idle) if idle else len(sockets.all) - len(sockets.idle)
                   for sockets in self._hosts.values())

    async def connect(self, host: str, port: int, to_engine: Connection, service: str = "") -> None:
        """Connect to the engine at this port of the host, or of a cluster's `service`.

        It waits for a free socket as long as the caller allows.

        Raises ConnectionRefusedError where the agent refuses.
        """
        while True:
            tunnel = await self._take(host)
            try:
                await tunnel.dial(port, to_engine, service)
            except ConnectionResetError:
                continue  # it died while it was idle, and nothing was sent
            except BaseException:  # also when the caller hangs up or its time is over
                tunnel.abort()
                raise
            return

    async def _take(self, host: str) -> TunnelSocket:
        sockets = self._hosts.setdefault(host, Sockets())
        while sockets.idle:
            tunnel = sockets.idle.pop()
            if not tunnel.is_closing():
                return tunnel
        waiter: asyncio.Future[TunnelSocket] = asyncio.get_running_loop().create_future()
        sockets.waiters.append(waiter)
        try:
            while not waiter.done():
                _reclaim(sockets)
                await asyncio.wait({waiter}, timeout=RECLAIM_SECONDS)
            return waiter.result()
        except asyncio.CancelledError:
            if waiter.done():
                self.offer(waiter.result())
            raise
        finally:
            if waiter in sockets.waiters:
                sockets.waiters.remove(waiter)
            self._tidy(host)

    def enter(self, tunnel: TunnelSocket) -> bool:
        """Count a new socket; False where its host has too many."""
        sockets = self._hosts.setdefault(tunnel.host, Sockets())
        if len(sockets.all) >= MOST_SOCKETS:
            return False
        sockets.all.add(tunnel)
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep_order())
        return True

    def offer(self, tunnel: TunnelSocket) -> None:
        """Give a free socket to who waits longest, else keep it."""
        if tunnel.is_closing():
            return
        sockets = self._hosts[tunnel.host]
        while sockets.waiters:
            waiter = sockets.waiters.popleft()
            if not waiter.done():
                waiter.set_result(tunnel)
                return
        sockets.idle.append(tunnel)

    def leave(self, tunnel: TunnelSocket) -> None:
        sockets = self._hosts[tunnel.host]
        sockets.all.discard(tunnel)
        if tunnel in sockets.idle:
            sockets.idle.remove(tunnel)
        self._tidy(tunnel.host)

    def _tidy(self, host: str) -> None:
        sockets = self._hosts.get(host)
        if sockets is not None and not sockets.all and not sockets.waiters:
            del self._hosts[host]

    async def _keep_order(self) -> None:
        while self._hosts:
            await asyncio.sleep(CHECK_SECONDS)
            open_now = [tunnel for sockets in self._hosts.values() for tunnel in sockets.all]
            try:
                keys = await asyncio.get_running_loop().run_in_executor(
                    threads, _keys, {tunnel.host for tunnel in open_now})
            except Error:
                continue  # the database is away: who was known a moment ago stays known
            self._close_unwanted(open_now, keys)

    def _close_unwanted(self, tunnels: list[TunnelSocket], keys: dict[str, str]) -> None:
        """End the sockets of hosts that are forgotten, drained or have a new key, and those that nobody needs."""
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        for tunnel in tunnels:
            sockets = self._hosts.get(tunnel.host, Sockets())
            is_stale = tunnel in sockets.idle and tunnel.idle_since < oldest
            if keys.get(tunnel.host) != tunnel.key or is_stale:
                tunnel.abort()
                if tunnel in sockets.idle:
                    sockets.idle.remove(tunnel)


def _reclaim(sockets: Sockets) -> None:
    """Where all sockets are taken, the longest kept one of those without an exchange makes room."""
    resting = [tunnel for tunnel in sockets.all if tunnel.rests and not tunnel.is_closing()]
    if resting:
        min(resting, key=lambda tunnel: tunnel.rests_since).abort()


pool = Pool()
TUNNELS.labels("idle").set_function(lambda: pool.count(idle=True))
TUNNELS.labels("used").set_function(lambda: pool.count(idle=False))


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket: an agent's tunnel, and nothing else."""
    if scope["path"] != PATH:
        await send({"type": "websocket.close", "code": 1000})
        return
    await receive()
    try:
        host, key = await asyncio.get_running_loop().run_in_executor(threads, _authenticate, _call(scope))
        tunnel = TunnelSocket(host, key, receive, send)
        if not pool.enter(tunnel):
            raise TooMany("This host has too many sockets open.")
    except PortalError as error:
        log.info("tunnel refused", extra={"code": error.code})
        await _deny(scope, send, error)
        return
    try:
        await send({"type": "websocket.accept"})
        pool.offer(tunnel)
        await tunnel.run()
    finally:
        pool.leave(tunnel)


def _call(scope: Scope) -> SignedCall:
    """The request as the agent signed it."""
    head = {name: value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    return SignedCall(
        method="GET", path=path, body=b"", host=head.get(b"x-agent-host", ""), at=head.get(b"x-agent-time", ""),
        nonce=head.get(b"x-agent-nonce", ""), signature=head.get(b"x-agent-signature", ""))


def _authenticate(call: SignedCall) -> tuple[str, str]:
    try:
        return authenticate_tunnel(call)
    except Error as error:
        raise Unavailable("The database is away.") from error
    finally:
        connection.close()  # an open tunnel holds no connection


def _keys(hosts: set[str]) -> dict[str, str]:
    try:
        return tunnel_keys(hosts)
    finally:
        connection.close()


async def _deny(scope: Scope, send: Send, error: PortalError) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    now = {"now": time.time()} if error.code == "clock" else {}
    body = json.dumps({"error": {"code": error.code, "message": error.message, **now}}).encode()
    await send({"type": "websocket.http.response.start", "status": error.status,
                "headers": [(b"content-type", b"application/json")]})
    await send({"type": "websocket.http.response.body", "body": body})
