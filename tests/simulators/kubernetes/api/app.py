"""The ASGI application: one request in, one answer out, with the faults that tests ask for and a record of all."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from tests.simulators.kubernetes import auth, schema, tables
from tests.simulators.kubernetes.api import bodies, faults, forms
from tests.simulators.kubernetes.api.answers import Answer, error_answer, json_answer
from tests.simulators.kubernetes.api.options import write_options
from tests.simulators.kubernetes.api.request import Request, Target, target
from tests.simulators.kubernetes.api.verbs import Verbs
from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.discovery import Discovery
from tests.simulators.kubernetes.errors import ApiError, PlainError
from tests.simulators.kubernetes.registry import ownership
from tests.simulators.kubernetes.store import Object

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
log = logging.getLogger(__name__)
MOST_RECORDED = 200_000
PROTOBUF_MAGIC = b"k8s\x00"
"""How every protobuf answer begins; here nothing follows, since none is spoken."""


@dataclass(slots=True)
class Recorded:
    """A request as it came, and how much was answered so far."""

    method: str
    path: str
    query: str
    user_agent: str
    connection: int
    status: int = 0
    bytes_out: int = 0
    """Of the body, as sent: compressed where it was."""


class App:
    def __init__(self, cluster: Cluster, static: dict[str, auth.User]) -> None:
        self.cluster = cluster
        self.verbs = Verbs(cluster)
        self.discovery = Discovery(cluster.kinds)
        self.authorizer = auth.Authorizer(cluster)
        self.tokens = auth.Tokens(cluster)
        self.authenticator = auth.Authenticator(self.tokens, self.authorizer, static)
        self.reviewer = auth.Reviewer(self.authenticator, self.authorizer, cluster.now)
        self.requests: deque[Recorded] = deque(maxlen=MOST_RECORDED)
        self.faults: list[faults.Fault] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await read_request(scope, receive)
        record = Recorded(
            request.method,
            request.path,
            request.raw_query.decode(),
            request.headers.get("user-agent", ""),
            request.connection,
        )
        self.requests.append(record)
        fault = next((each for each in self.faults if each.takes(request)), None)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault is not None and (fault.reset or fault.half_open):
            if fault.reset:
                faults.reset(request.transport)
            await _gone(receive)
            return
        answer = error_answer(fault.error()) if fault is not None and fault.status else await self.answer(request)
        answer.compress(request.headers.get("accept-encoding", ""))
        await Reply(request, record, send, fault.cut_after if fault else None).send(answer, receive)

    async def answer(self, request: Request) -> Answer:
        try:
            return await self._route(request)
        except ApiError as error:
            return forms.error_answer(request, error)
        except PlainError as error:
            return Answer(error.status, error.text.encode(), "text/plain; charset=utf-8")
        except tables.OnlyProtobuf:
            return Answer(406, PROTOBUF_MAGIC, "application/vnd.kubernetes.protobuf")
        except Exception as error:  # a fault of the simulator itself must reach the test that met it
            log.exception("%s %s", request.method, request.path)
            return error_answer(ApiError(500, "InternalError", f"the simulator failed: {error!r}"))

    async def _route(self, request: Request) -> Answer:
        user = request.user = self.authenticator.who(request)
        asked = auth.attributes(request)
        if not self.authorizer.allowed(user, asked).allowed:
            raise auth.forbidden(user, asked)
        aim = target(request.path)
        if aim is None:
            if request.method == "POST":  # the API server looks at no method there
                request.method = "GET"
            return self.discovery.answer(request)
        if "/watch/" in request.path and aim.plural != "watch" and request.path.split("/")[3:4] == ["watch"]:
            request.query["watch"] = ["true"]
        if aim.group == auth.GROUP and request.method in ("POST", "PUT", "PATCH"):
            auth.refuse_escalation(self.cluster, self.authorizer, user, asked, bodies.glimpse(request))
        if request.method == "POST" and (found := self._asked(request, aim)) is not None:
            return json_answer(found, 201)
        connector = self.cluster.connector
        if connector is not None and connector.takes(aim):
            found_answer: Answer = await connector.answer(request, aim)
            return found_answer
        return await self.verbs.answer(request, aim)

    def _asked(self, request: Request, aim: Target) -> dict[str, Any] | None:
        """The answer to a review or a request for a token, which are not stored."""
        if aim.plural in auth.REVIEWS and not aim.name and self.cluster.kinds.get(aim.group, aim.version, aim.plural):
            body = bodies.read_object(request, "review")
            answer = auth.review(self.reviewer, request.user, aim.plural, aim.namespace, body)
            return self._owned(request, answer, answer["spec"]) if answer.get("spec") else answer
        if (aim.group, aim.plural, aim.subresource) == ("", "serviceaccounts", "token"):
            body = bodies.read_object(request, "TokenRequest")
            answer = auth.token_request(self.tokens, self.cluster, aim.namespace, aim.name, body)
            sent = {**(body.get("spec") or {}), "expirationSeconds": answer["spec"]["expirationSeconds"]}
            return self._owned(request, answer, sent, "token")
        return None

    def _owned(self, request: Request, answer: Object, asked: Object, subresource: str = "") -> Object:
        """The answer with the managedFields that it would have if it were stored."""
        group, _, version = answer["apiVersion"].partition("/")
        node = schema.named_node(schema.definition_name(group, version, answer["kind"]))
        return ownership.of_question(self.cluster, node, answer, asked, write_options(request), subresource)


class Reply:
    """Sends one answer and counts what went out."""

    def __init__(self, request: Request, record: Recorded, send: Send, cut_after: int | None) -> None:
        self.request, self.record, self._send, self.cut_after = request, record, send, cut_after

    async def send(self, answer: Answer, receive: Receive) -> None:
        self.record.status = answer.status
        await self._send({"type": "http.response.start", "status": answer.status, "headers": answer.pairs()})
        if answer.stream is not None:
            await self._stream(answer.stream, receive)
        await self._part(answer.body, last=True)

    async def _stream(self, stream: AsyncIterator[bytes], receive: Receive) -> None:
        """Until the stream ends or the client leaves."""
        left = asyncio.ensure_future(_gone(receive))
        try:
            while True:
                part = asyncio.ensure_future(anext(stream, None))
                await asyncio.wait({part, left}, return_when=asyncio.FIRST_COMPLETED)
                if not part.done():
                    part.cancel()
                    await asyncio.gather(part, return_exceptions=True)
                    return
                if (found := part.result()) is None:
                    return
                await self._part(found)
        finally:
            left.cancel()
            if hasattr(stream, "aclose"):
                await stream.aclose()

    async def _part(self, body: bytes, *, last: bool = False) -> None:
        if self.cut_after is not None and self.record.bytes_out + len(body) > self.cut_after:
            body = body[: self.cut_after - self.record.bytes_out]
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            await asyncio.sleep(0.05)  # so that the bytes are on their way before the reset
            faults.reset(self.request.transport)
            last = True
            body = b""
        self.record.bytes_out += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})


async def _gone(receive: Receive) -> None:
    """Waits until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_request(scope: Scope, receive: Receive) -> Request:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode().lower()
        headers[name] = headers[name] + "\0" + value.decode("latin-1") if name in headers else value.decode("latin-1")
    raw_query = scope["query_string"]
    return Request(
        method=scope["method"], path=scope["raw_path"].decode().partition("?")[0],
        query=parse_qs(raw_query.decode(), keep_blank_values=True), headers=headers, body=b"".join(parts),
        transport=scope.get("simulator.transport"), connection=scope.get("simulator.connection", 0), raw_query=raw_query,
    )  # fmt: skip
