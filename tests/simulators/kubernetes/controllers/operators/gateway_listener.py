"""The HTTP side of a played Gateway: takes requests on a port of this machine and passes them to engines by the routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from tests.simulators.kubernetes.errors import ApiError
from tests.simulators.kubernetes.listener import Protocol

from ..base import Object, namespace_of
from ..kubelet.rules import seconds
from ..upstream import end_to_end
from .routing import Asked, Found, Headers, backend, find, modify, rewrite

if TYPE_CHECKING:
    from .. import Controllers

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
LOWEST_PORT = 1024


class GatewayListener:
    def __init__(self, controllers: Controllers, routes: list[Object]) -> None:
        self.controllers, self.routes = controllers, routes
        self.port = 0
        self._server: asyncio.Server | None = None
        self._state = ServerState()

    async def open(self, wanted: int) -> None:
        """Listens on the wanted port, or on any free one if that is taken or needs rights."""
        config = uvicorn.Config(self, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False)
        config.load()
        state, loop = self._state, asyncio.get_running_loop()

        def protocol() -> Protocol:
            return Protocol(config=config, server_state=state, app_state={})

        try:
            self._server = await loop.create_server(protocol, "127.0.0.1", wanted if wanted >= LOWEST_PORT else 0)
        except OSError:
            self._server = await loop.create_server(protocol, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        plain = {name.lower(): value for name, value in headers}
        asked = Asked(
            plain.get("host", "").partition(":")[0], scope["method"], scope["raw_path"].decode().partition("?")[0],
            scope["query_string"].decode(), plain,
        )  # fmt: skip
        body = await read(receive)
        found = find(self.routes, asked)
        if found is None:
            await answer(send, 404, [], b"")
            return
        passing = asyncio.ensure_future(self._pass(found, asked, headers, body, send))
        leaving = asyncio.ensure_future(gone(receive))
        _, pending = await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if passing.done() and not passing.cancelled():
            passing.result()

    async def _pass(self, found: Found, asked: Asked, headers: Headers, body: bytes, send: Send) -> None:
        filters = found.rule.get("filters") or []
        path, limit = asked.path, timeout(found.rule)
        back: list[Object] = []
        for each in filters:
            match each["type"]:
                case "RequestHeaderModifier":
                    headers = modify(headers, each["requestHeaderModifier"])
                case "ResponseHeaderModifier":
                    back.append(each["responseHeaderModifier"])
                case "URLRewrite":
                    path = rewrite(path, each["urlRewrite"], found.match)
                case "RequestRedirect":
                    await answer(send, *redirect(each["requestRedirect"], asked))
                    return
        ref = backend(found.rule)
        if ref is None:
            await answer(send, 500, [], b"")
            return
        try:
            operator = self.controllers.operators["gateway"]
            pod, port = operator.pod_of(namespace_of(found.route), ref)
            query = "?" + asked.query if asked.query else ""
            asking = self.controllers.connector.forward(
                pod, port, asked.method, path + query, end_to_end(headers), body
            )
            reply = await asyncio.wait_for(asking, limit)
        except ApiError as error:
            await answer(send, error.status, [], error.message.encode())
            return
        except TimeoutError:
            await answer(send, 504, [], b"upstream request timeout")
            return
        sent: Headers = [("content-type", reply.content_type), *reply.headers.items()]
        for change in back:
            sent = modify(sent, change)
        await stream(send, reply.status, sent, reply.stream)


async def read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    pairs += [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


async def stream(send: Send, status: int, headers: Headers, parts: AsyncIterator[bytes] | None) -> None:
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    if parts is not None:
        async with aclosing(parts) as source:  # type: ignore[type-var]
            async for part in source:
                await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def timeout(rule: Any) -> float | None:
    """timeouts.request in seconds; 0s and none at all wait for ever."""
    text = (rule.get("timeouts") or {}).get("request", "0s")
    return seconds(text) or None


def redirect(change: Object, asked: Asked) -> tuple[int, Headers, bytes]:
    host = change.get("hostname") or asked.host
    port = f":{change['port']}" if "port" in change else ""
    path = (change.get("path") or {}).get("replaceFullPath", asked.path)
    return change.get("statusCode", 302), [("location", f"{change.get('scheme', 'http')}://{host}{port}{path}")], b""
