"""How a server of the gateway is set: the one place for the portal's own process, for workers and for tests."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from endpoints.gateway.protocol import GatewayProtocol

from .ending import tell_all

KEEP_ALIVE_SECONDS = 75  # longer than proxies keep an idle connection (60 s), so that they close it and not we
TUNNEL_MESSAGE_BYTES = 256 * 1024


def options() -> dict[str, Any]:
    """Keywords of `uvicorn.Config` that every server with the gateway in it has in common."""
    return {
        "http": GatewayProtocol, "lifespan": "on", "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "ws": "websockets-sansio", "ws_max_size": TUNNEL_MESSAGE_BYTES, "ws_per_message_deflate": False,
        "access_log": False, "server_header": False, "proxy_headers": False,
    }


class Server(uvicorn.Server):
    """Ends its callers' connections before the agents' tunnels: running answers may come through those."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's. What runs still when the time is over is cut."""
        began = asyncio.get_running_loop().time()
        for listener in self.servers:
            listener.close()
        for one in sockets or []:
            one.close()
        tell_all()
        seconds = self.config.timeout_graceful_shutdown
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._end_callers()
        if seconds is not None:
            spent = asyncio.get_running_loop().time() - began
            self.config.timeout_graceful_shutdown = max(1, round(seconds - spent))
        await super().shutdown(sockets)

    async def _end_callers(self) -> None:
        callers = [one for one in self.server_state.connections if isinstance(one, HttpToolsProtocol)]
        for one in callers:
            one.shutdown()
        # uvicorn tells nobody when a connection ends.
        while not self.force_exit and any(one in self.server_state.connections for one in callers):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def config(application: str, drain_seconds: float, **more: Any) -> uvicorn.Config:
    """At its end running answers get `drain_seconds`; `more` overrides `options`."""
    return uvicorn.Config(application, **{**options(), "timeout_graceful_shutdown": round(drain_seconds), **more})


def server(application: str, drain_seconds: float, **more: Any) -> Server:
    """A server of this `config` that isn't running yet."""
    return Server(config(application, drain_seconds, **more))
