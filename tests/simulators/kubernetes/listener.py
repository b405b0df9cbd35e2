"""The HTTP server: uvicorn on a thread of its own, with the loop that the cluster lives on."""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.simulators.kubernetes.errors import method_not_allowed

UNKNOWN_METHOD = re.compile(rb"[A-Z]+ /")
_connections = itertools.count(1)


class Protocol(HttpToolsProtocol):
    """Tells the application which connection a request came on, and hands it the transport."""

    def connection_made(self, transport: Any) -> None:
        self.connection = next(_connections)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.head = data[:40]
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """A method that HTTP does not know is one that the API server does not allow."""
        if not UNKNOWN_METHOD.match(self.head):
            super().send_400_response(msg)
            return
        body = msgspec.json.encode(method_not_allowed().body())
        head = f"HTTP/1.1 405 Method Not Allowed\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["simulator.transport"] = self.transport  # type: ignore[typeddict-unknown-key]
        self.scope["simulator.connection"] = self.connection  # type: ignore[typeddict-unknown-key]


class Listener:
    """Serves an ASGI app on 127.0.0.1 from `start` to `stop`; may be started again on the same port."""

    def __init__(
        self, app: Any, context: ssl.SSLContext | None, on_start: Callable[[asyncio.AbstractEventLoop], None]
    ) -> None:
        self._app, self._context, self._on_start = app, context, on_start
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._state = ServerState()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def started(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Serves from here on; the loop, and so the cluster, runs from the first start until `close`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, name="kubernetes-simulator", daemon=True)
            self._thread.start()
            self.call(self._on_start, self._loop)
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)

    async def _open(self) -> None:
        config = uvicorn.Config(self._app, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
                                timeout_keep_alive=60)  # fmt: skip
        config.load()
        self._state = ServerState()

        def protocol() -> Protocol:
            return Protocol(config=config, server_state=self._state, app_state={})

        loop = self._loop
        self._server = await loop.create_server(protocol, "127.0.0.1", self.port, ssl=self._context, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Closes the port and every connection; objects stay."""
        if self._server is not None:
            self.call(self._close_port)

    def _close_port(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()

    def drop_connections(self) -> None:
        """Ends every open connection at once, without an answer. For the loop's thread."""
        for connection in list(self._state.connections):
            connection.transport.abort()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a function on the cluster's loop and hands back what it answers."""

        async def run() -> Any:
            return function(*args)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def close(self) -> None:
        """Ends everything that runs on the loop, and the loop."""
        self.stop()
        if self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(30)
            self._thread = None
        self._loop.close()

    async def _finish(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
