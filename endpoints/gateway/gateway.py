"""The OpenAI door: match, authenticate, parse, authorise, reserve, forward, relay, book. No database in between."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import unquote

import msgspec

from . import body as bodies
from .book import Book
from .call import CLIENT_GONE, Call, ClientGone, HangUpWatch, Message, Receive, Scope, Send
from .config import Config, from_environment
from .connection import TooSlow, UpstreamError
from .credentials import credential
from .doors import DOORS, Door
from .errors import CLOSE, GatewayError, bad_body, unknown_model
from .limits import Limits, Unlimited, Usage
from .metrics import IN_FLIGHT, SNAPSHOT_AGE
from .registry import Registry
from .relay import failure, relay
from .replica import Exchange
from .snapshot import Route
from .upstream import Upstreams
from .work import Work

log = logging.getLogger(__name__)

MODELS = "/v1/models"
MAX_HEADER_BYTES = 64 * 1024


class Gateway:
    """An ASGI application; `start` and `stop` belong to the server's lifespan."""

    def __init__(self, *, config: Config | None = None, limits: Limits | None = None) -> None:
        self._config = config or from_environment()
        self._limits = limits or Unlimited()
        self._registry = Registry(self._config.refresh_seconds, follow=self._limits.follow)
        self._upstreams = Upstreams(self._config)
        self._watches: dict[HangUpWatch, Call] = {}
        self._ticker: asyncio.Task[None] | None = None
        self.book = Book(self._config.flush_seconds)

    async def start(self) -> None:
        """Read keys and routes for the first time; a database that is away does not keep the portal down."""
        await self._registry.start()
        await self._limits.start()
        SNAPSHOT_AGE.set_function(lambda: self._registry.age)
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    async def stop(self) -> None:
        """The server has ended all requests; write down what is still in memory."""
        if self._ticker is not None:
            self._ticker.cancel()
        await self._registry.stop()
        await self._limits.stop()
        await self.book.close()
        self._upstreams.close()

    @property
    def is_fresh(self) -> bool:
        """Whether keys and routes were read lately enough to decide with."""
        return self._registry.is_fresh

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        path = _path(scope)
        call = Call(scope, receive, send, _label(path), loop.time())
        IN_FLIGHT.inc()
        try:
            await self._serve(call, path)
        except GatewayError as error:
            call.error = error.code
            if not call.status:
                await call.answer(error.status, error.body(), error.headers)
        except ClientGone:
            call.status = call.status or CLIENT_GONE
            call.error = "client_gone"
        except Exception:  # whatever it is, the caller gets OpenAI's shape and the log gets the trace
            log.exception("gateway failed", extra={"request_id": call.request_id.decode()})
            call.error = "internal_error"
            if not call.status:
                broken = GatewayError(500, "The portal failed.", code="internal_error", kind="server_error")
                await call.answer(500, broken.body())
        finally:
            IN_FLIGHT.dec()
            self.book.note(call, loop.time())

    async def _serve(self, call: Call, path: str) -> None:
        if path == MODELS or path.startswith(f"{MODELS}/"):
            _only(call, "GET")
            await self._authenticate(call)
            await self._models(call, path[len(MODELS) + 1:])
            return
        door = DOORS.get(path)
        if door is None:
            raise GatewayError(404, "There is no such address here.", code="not_found")
        _only(call, "POST")
        await self._authenticate(call)
        await self._infer(call, door)

    async def _authenticate(self, call: Call) -> None:
        headers = call.scope["headers"]
        if sum([len(name) + len(value) for name, value in headers]) > MAX_HEADER_BYTES:
            raise GatewayError(431, "The request's headers are too long.", code="headers_too_long", headers=CLOSE)
        if self._ticker is None:
            await self.start()  # served without lifespan events
        key = await self._registry.authenticate(*credential(headers))
        if not key.may_call:
            raise GatewayError(403, "This API key may not call models.", code="insufficient_scope",
                               kind="permission_error")
        call.key = key

    async def _models(self, call: Call, encoded: str) -> None:
        assert call.key is not None
        snapshot = self._registry.snapshot
        if not encoded:
            data = [_model(route) for route in snapshot.routes_of(call.key)]
            await call.answer(200, msgspec.json.encode({"object": "list", "data": data}))
            return
        name = unquote(encoded)
        route = snapshot.route(call.key, name)
        if route is None:
            raise unknown_model(name)
        await call.answer(200, msgspec.json.encode(_model(route)))

    async def _infer(self, call: Call, door: Door) -> None:
        raw = await self._read_body(call)
        work = Work(call, door, raw, self._registry.snapshot)
        call.is_stream = work.is_stream
        place = self._limits.try_reserve(work.ask) or await self._limits.reserve(work.ask)
        try:
            await self._forward(call, work)
        finally:
            place.settle(call.usage)

    async def _forward(self, call: Call, work: Work) -> None:
        """Send, relay, and stop the engine's work when the caller is gone. Raises ClientGone, GatewayError."""
        watch = HangUpWatch(call.receive)
        self._watches[watch] = call
        try:
            exchange = await self._exchange(call, work)
            call.first_byte = asyncio.get_running_loop().time() - call.started
            try:
                await relay(call, exchange, work.tap())
            finally:
                exchange.end()
        except UpstreamError as error:
            call.usage = Usage(is_partial=True)
            raise failure(error, is_timeout=isinstance(error, TooSlow)) from error
        except asyncio.CancelledError:
            if not watch.has_fired:
                raise
            _uncancel()
            raise ClientGone from None
        finally:
            watch.end()
            del self._watches[watch]

    async def _exchange(self, call: Call, work: Work) -> Exchange:
        """The first good answer of the route's endpoints; the last one's, whatever it is. Raises UpstreamError."""
        last = work.targets[-1]
        for target in work.targets:
            call.target = target
            try:
                exchange = await self._upstreams.exchange(target.addresses, work.request(target))
            except UpstreamError:
                if target is last:
                    raise
                continue
            if exchange.connection.status < 500 or target is last:
                return exchange
            exchange.end()
        raise AssertionError("a route has at least one target")

    async def _read_body(self, call: Call) -> bytes:
        """The body, at most 4 MiB of JSON, sent in reasonable time. Raises ClientGone, GatewayError."""
        kind = call.header(b"content-type").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise bad_body("The content type must be application/json.", status=415, code="unsupported_media_type")
        if call.header(b"content-encoding") not in (b"", b"identity"):
            raise bad_body("The body must not be compressed.", status=415, code="unsupported_media_type")
        length = call.header(b"content-length")
        if length and int(length) > bodies.MAX_BYTES:
            raise _too_big()
        message = await call.receive()
        if not message.get("more_body") and message["type"] == "http.request":
            return bytes(message["body"])
        try:
            async with asyncio.timeout(self._config.body_seconds):
                return await _rest(call, message)
        except TimeoutError:
            raise GatewayError(408, "The body came too slowly.", code="body_too_slow", headers=CLOSE) from None

    async def _tick(self) -> None:
        """Once a second: silent engines, idle connections, callers that read nothing, the log."""
        while True:
            await asyncio.sleep(1)
            try:
                self._look_around(asyncio.get_running_loop().time())
            except Exception:  # without this loop silent engines would hold their callers for ever
                log.exception("gateway tick failed")

    def _look_around(self, now: float) -> None:
        self._upstreams.tick(now)
        self._upstreams.keep_only(self._registry.snapshot.addresses())
        for watch, call in list(self._watches.items()):
            if call.sending_since and now - call.sending_since > self._config.write_seconds:
                watch.stop_call()
        self.book.tick(now)


async def _rest(call: Call, message: Message) -> bytes:
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        parts.append(message["body"])
        size += len(parts[-1])
        if size > bodies.MAX_BYTES:
            raise _too_big()
        if not message.get("more_body"):
            return b"".join(parts)
        message = await call.receive()
    raise ClientGone


def _too_big() -> GatewayError:
    return bad_body("The body is over 4 MiB.", status=413, code="body_too_big", headers=CLOSE)


def _only(call: Call, method: str) -> None:
    if call.scope["method"] != method:
        raise GatewayError(405, f"This address takes {method} only.", code="method_not_allowed",
                           headers=((b"allow", method.encode()),))


def _path(scope: Scope) -> str:
    """The path as it was sent, so that %2e and its like never turn into something else; "" for a strange one."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("ascii") if raw.isascii() else ""


def _label(path: str) -> str:
    if path in DOORS:
        return path
    return MODELS if path == MODELS or path.startswith(f"{MODELS}/") else "other"


def _model(route: Route) -> dict[str, object]:
    return {"id": route.public_name, "object": "model", "created": route.created, "owned_by": "inference-portal",
            "ready": route.is_ready}


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
