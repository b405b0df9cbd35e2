"""One port and several processes: each has a listening socket of its own, and an eye on those of the others.

The kernel spreads connections over the sockets evenly, also those that are kept open for long. What one process does not
take, because it is dead, hangs or is too busy, another one takes a moment later: the parent holds all sockets open.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

import uvicorn

from .server import Server

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
AT_ONCE = 16


class Rescue:
    """Takes connections that wait at the sockets of others; what uvicorn needs of a server of asyncio's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listeners: Sequence[socket.socket],
                 protocol: Callable[[], asyncio.Protocol]) -> None:
        self._loop, self._listeners, self._protocol = loop, listeners, protocol
        self._arriving: set[asyncio.Task[object]] = set()
        for listener in listeners:
            listener.setblocking(False)
        self._next = loop.call_later(LOOK_SECONDS, self._look)

    def close(self) -> None:
        self._next.cancel()
        for listener in self._listeners:
            listener.close()

    async def wait_closed(self) -> None:
        if self._arriving:
            await asyncio.wait(self._arriving)

    def _look(self) -> None:
        self._next = self._loop.call_later(LOOK_SECONDS, self._look)
        for listener in self._listeners:
            for _ in range(AT_ONCE):
                if not self._took_one(listener):
                    break

    def _took_one(self, listener: socket.socket) -> bool:
        try:
            connection, _address = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            log.error("no room for another connection", extra={"error": type(error).__name__})
            return False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)
        return True


class SharingServer(Server):
    """A server with siblings in other processes; `siblings` are their sockets."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.siblings: list[socket.socket] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.siblings:
            rescue = Rescue(asyncio.get_running_loop(), self.siblings, self._protocol)
            self.servers.append(rescue)  # type: ignore[arg-type]

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
