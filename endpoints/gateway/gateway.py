"""The OpenAI door: match, authenticate, parse, authorise, reserve, forward, relay, book. No database in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import unquote

from django.conf import settings

from portal.tenancy.callers import address, place
from portal.tenancy.strikes import Strikes

from .book import Book, Forgotten, Spool
from .call import CLIENT_GONE, Call, ClientGone, HangUpWatch, Receive, Scope, Send
from .config import Config, from_environment
from .connection import Connection, TooSlow, UpstreamError
from .credentials import credential
from .doors import DOORS, Door
from .errors import CLOSE, OPENAI, GatewayError, Shape, too_many_wrong_keys, unknown_model
from .limits import Limits, Reservation, Unlimited, Usage
from .listing import model_of, models_of
from .metrics import CALLS, SNAPSHOT_AGE
from .reading import read_body
from .registry import Registry
from .relay import failure, relay
from .replica import Exchange, Replica
from .snapshot import Key, Snapshot, Target
from .upstream import Upstreams
from .work import Work

log = logging.getLogger(__name__)

MODELS = "/v1/models"
MAX_HEADER_BYTES = 64 * 1024


@dataclass(slots=True)
class Admission:
    """A call with all that it needs: its place in the limits, and a kept connection to the replica whose turn it is."""

    work: Work
    place: Reservation
    replica: Replica
    connection: Connection
    request: bytes


@dataclass(slots=True)
class Begun:
    """How far a call came before it was left to a task: an answer's beginning, or who was asked in vain, and why."""

    exchange: Exchange | None = None
    failed: Replica | None = None
    error: UpstreamError | None = None


class Line(Protocol):
    """A caller's connection, which is looked at once a second."""

    def look_around(self, now: float, write_seconds: float) -> None: ...


class Gateway:
    """An ASGI application; `start` and `stop` belong to the server's lifespan."""

    def __init__(self, *, config: Config | None = None, limits: Limits | None = None, spool: Spool | None = None) -> None:
        self._config = config or from_environment()
        self._limits = limits or Unlimited()
        self.head_seconds = self._config.head_seconds
        self._registry = Registry(self._config.refresh_seconds, follow=self._follow)
        self._upstreams = Upstreams(self._config)
        self._strikes = Strikes(settings.PORTAL_WRONG_KEYS)
        self._watches: dict[HangUpWatch, Call] = {}
        self._ticker: asyncio.Task[None] | None = None
        self.lines: set[Line] = set()
        self.book = Book(spool or Forgotten(), self._config.flush_seconds, self._config.logs_calls)

    async def start(self) -> None:
        """Read keys and routes for the first time; a database that is away does not keep the portal down.

        Raises OSError where there is no room to write down what calls use.
        """
        await self.book.start()
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
        await self.book.stop()
        self._upstreams.close()

    @property
    def is_fresh(self) -> bool:
        """Whether keys and routes were read lately enough to decide with."""
        return self._registry.is_fresh

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        call = Call(_label(path), scope["headers"], asyncio.get_running_loop().time(), scope["method"])
        call.attach(receive, send)
        await self._guarded(call, self._serve(call, path, scope))

    def admit(self, call: Call, door: Door, raw: bytes) -> Admission | None:
        """Begin a call whose body has come, if nothing has to be waited for.

        None leaves it to `__call__`, which also finds the words for a refusal. An admitted call ends with `end`, or
        with `leave` and `resume`.
        """
        try:
            call.key = self._registry.known(call.fields, call.headers)
            if call.key is None or not call.key.may_call:
                return None
            work = Work(call, door, raw, self._registry.snapshot)
        except GatewayError:
            return None
        target = call.target = work.targets[0]
        session = work.session_for(target) if target.affinity else b""
        ready = self._upstreams.ready_connection(target.addresses, target.affinity, session)
        if ready is None:
            return None
        replica, connection = ready
        place = self._limits.try_reserve(work.ask)
        if place is None:
            replica.put_back_unused(connection)
            return None
        try:
            self.book.open(call, work)
        except GatewayError:
            place.settle(Usage())
            replica.put_back_unused(connection)
            return None
        call.is_stream = work.is_stream
        CALLS.in_flight += 1
        CALLS.direct += 1
        return Admission(work, place, replica, connection, replica.wire(door.engine_path, work.headers, work.body_for(target)))

    def end(self, call: Call, now: float) -> None:
        """An admitted call is over."""
        CALLS.in_flight -= 1
        self.book.note(call, now)

    def leave(self, call: Call) -> None:
        """An admitted call goes on with `resume`."""
        CALLS.in_flight -= 1

    async def resume(self, call: Call, admission: Admission, begun: Begun, _scope: Scope, receive: Receive,
                     send: Send) -> None:
        """As an ASGI application, end a call that was admitted and begun."""
        call.attach(receive, send)
        await self._guarded(call, self._finish(call, admission.work, admission.place, begun))

    async def _guarded(self, call: Call, serving: Coroutine[object, object, None]) -> None:
        """Serve the call; answer what it raises in OpenAI's shape; book it."""
        CALLS.in_flight += 1
        try:
            await serving
        except GatewayError as error:
            call.error = error.code
            if not call.status:
                await call.answer(error.status, error.body(_shape(call)), error.headers)
        except ClientGone:
            call.status = call.status or CLIENT_GONE
            call.error = "client_gone"
        except Exception:  # whatever it is, the caller gets OpenAI's shape and the log gets the trace
            log.exception("gateway failed", extra={"request_id": call.request_id.decode()})
            call.error = "internal_error"
            if not call.status:
                broken = GatewayError(500, "The portal failed.", code="internal_error", kind="server_error")
                await call.answer(500, broken.body(_shape(call)))
        finally:
            CALLS.in_flight -= 1
            self.book.note(call, asyncio.get_running_loop().time())

    async def _serve(self, call: Call, path: str, scope: Scope) -> None:
        if path == MODELS or path.startswith(f"{MODELS}/"):
            _only(call, "GET")
            await self._authenticate(call, scope)
            await self._models(call, path[len(MODELS) + 1:])
            return
        door = DOORS.get(path)
        if door is None:
            raise GatewayError(404, "There is no such address here.", code="not_found")
        _only(call, "POST")
        await self._authenticate(call, scope)
        await self._infer(call, door)

    async def _authenticate(self, call: Call, scope: Scope) -> None:
        if sum([len(name) + len(value) for name, value in call.fields]) > MAX_HEADER_BYTES:
            raise GatewayError(431, "The request's headers are too long.", code="headers_too_long", headers=CLOSE)
        if self._ticker is None:
            await self.start()  # served without lifespan events
        key = await self._key_of(call, scope)
        if not key.may_call:
            raise GatewayError(403, "This API key may not call models.", code="insufficient_scope",
                               kind="permission_error")
        call.key = key

    async def _key_of(self, call: Call, scope: Scope) -> Key:
        """Raises GatewayError: 401, and 429 where an address sends one wrong key after the other."""
        try:
            return await self._registry.authenticate(*credential(call.fields))
        except GatewayError as error:
            if error.status == 401 and (call.header(b"authorization") or call.header(b"x-api-key")):
                peer, forwarded = (scope.get("client") or ("",))[0], call.header(b"x-forwarded-for").decode("latin-1")
                wait = self._strikes.note(place(address(peer, forwarded)), asyncio.get_running_loop().time())
                if wait:
                    raise too_many_wrong_keys(wait) from error
            raise

    async def _models(self, call: Call, encoded: str) -> None:
        assert call.key is not None
        snapshot = self._registry.snapshot
        if not encoded:
            await call.answer(200, models_of(snapshot.routes_of(call.key)))
            return
        name = unquote(encoded)
        route = snapshot.route(call.key, name)
        if route is None:
            raise unknown_model(name)
        await call.answer(200, model_of(route))

    async def _infer(self, call: Call, door: Door) -> None:
        raw = await read_body(call, door, self._config.body_seconds)
        work = Work(call, door, raw, self._registry.snapshot)
        call.is_stream = work.is_stream
        place = self._limits.try_reserve(work.ask) or await self._limits.reserve(work.ask)
        await self._finish(call, work, place, Begun())

    async def _finish(self, call: Call, work: Work, place: Reservation, begun: Begun) -> None:
        try:
            if not call.slot:
                self.book.open(call, work)
            call.ending = partial(self._close, call)
            await self._forward(call, work, begun)
        finally:
            place.settle(call.usage)

    async def _forward(self, call: Call, work: Work, begun: Begun) -> None:
        """Send, relay, and stop the engine's work when the caller is gone. Raises ClientGone, GatewayError."""
        watch = HangUpWatch(call.receive)
        self._watches[watch] = call
        try:
            exchange = await self._exchange(call, work, begun)
            call.begin_answer(asyncio.get_running_loop().time())
            try:
                await relay(call, exchange, work.door, work.tap(), partial(self.book.spool.progress, call.slot))
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

    async def _exchange(self, call: Call, work: Work, begun: Begun) -> Exchange:
        """The first good answer of the route's endpoints; the last one's, whatever it is. Raises UpstreamError."""
        last = work.targets[-1]
        for target in work.targets:
            if target is not work.targets[0]:
                self.book.moved(call, target)
            call.target = target
            try:
                exchange = await self._asked(target, work, begun)
            except UpstreamError:
                if target is last:
                    raise
                continue
            finally:
                begun = Begun()
            if exchange.connection.status < 500 or target is last:
                return exchange
            exchange.end()
        raise AssertionError("a route has at least one target")

    async def _asked(self, target: Target, work: Work, begun: Begun) -> Exchange:
        if begun.error is not None:
            raise begun.error
        return begun.exchange or await self._upstreams.exchange(target.addresses, work.request(target), begun.failed)

    async def _tick(self) -> None:
        """Once a second: silent engines, idle connections, callers that read nothing, the log."""
        while True:
            await asyncio.sleep(1)
            try:
                self._look_around(asyncio.get_running_loop().time())
            except Exception:  # without this loop silent engines would hold their callers for ever
                log.exception("gateway tick failed")

    def _close(self, call: Call) -> None:
        self.book.close(call, asyncio.get_running_loop().time())

    def _follow(self, snapshot: Snapshot) -> None:
        self._limits.follow(snapshot)
        self._upstreams.follow(snapshot)

    def _look_around(self, now: float) -> None:
        self._upstreams.tick(now)
        for watch, call in list(self._watches.items()):
            if call.sending_since and now - call.sending_since > self._config.write_seconds:
                watch.stop_call()
        for line in list(self.lines):
            line.look_around(now, self._config.write_seconds)
        self.book.tick(now)


def _only(call: Call, method: str) -> None:
    if call.method != method:
        raise GatewayError(405, f"This address takes {method} only.", code="method_not_allowed",
                           headers=((b"allow", method.encode()),))


def _path(scope: Scope) -> str:
    """The path as it was sent, so that %2e and its like never turn into something else; "" for a strange one."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("ascii") if raw.isascii() else ""


def _shape(call: Call) -> Shape:
    door = DOORS.get(call.route)
    return door.shape if door is not None else OPENAI


def _label(path: str) -> str:
    if path in DOORS:
        return path
    return MODELS if path == MODELS or path.startswith(f"{MODELS}/") else "other"


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
