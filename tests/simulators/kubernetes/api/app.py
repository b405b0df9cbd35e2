"""The ASGI application: one request in, one answer out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from tests.simulators.kubernetes.api.answers import Answer, error_answer, json_answer
from tests.simulators.kubernetes.api.request import Request, Target, target
from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.errors import (
    ApiError,
    PlainError,
    bad_request,
    method_not_allowed,
    no_such_resource,
    not_found,
)
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry import delete, write
from tests.simulators.kubernetes.registry.options import Options

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class App:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await read_request(scope, receive)
        answer = await self.answer(request)
        await respond(answer, send)

    async def answer(self, request: Request) -> Answer:
        try:
            return await self._route(request)
        except ApiError as error:
            return error_answer(error)
        except PlainError as error:
            return Answer(error.status, error.text.encode(), "text/plain; charset=utf-8")

    async def _route(self, request: Request) -> Answer:
        aim = target(request.path)
        if aim is None:
            raise PlainError()
        res = self.cluster.kinds.get(aim.group, aim.version, aim.plural)
        if res is None:
            if self.cluster.kinds.custom_group(aim.group):
                raise PlainError()
            raise no_such_resource()
        if self.cluster.connector is not None and self.cluster.connector.takes(aim):
            return await self.cluster.connector.answer(request, aim)
        return self._verb(request, aim, res)

    def _verb(self, request: Request, aim: Target, res: Resource) -> Answer:
        cluster, options = self.cluster, Options(manager=request.one("fieldManager") or "unknown")
        match request.method, bool(aim.name):
            case "GET", True:
                found = cluster.store.get(res, aim.namespace, aim.name)
                if found is None:
                    raise not_found(res.group, res.plural, aim.name)
                return json_answer(found)
            case "GET", False:
                items = cluster.store.list(res, aim.namespace or None)
                body = {"kind": res.kind_of_list, "apiVersion": res.api_version,
                        "metadata": {"resourceVersion": str(cluster.store.revision)}, "items": items}  # fmt: skip
                return json_answer(body)
            case "POST", False:
                made = write.create(cluster, res, aim.namespace, decode(request), options)
                return json_answer(made.obj, 201)
            case "PUT", True:
                made = write.replace(
                    cluster, res, aim.namespace, aim.name, decode(request), options, subresource=aim.subresource
                )
                return json_answer(made.obj)
            case "DELETE", True:
                return json_answer(delete.delete(cluster, res, aim.namespace, aim.name, {}, options).obj)
        raise method_not_allowed()


def decode(request: Request) -> dict[str, Any]:
    try:
        return msgspec.json.decode(request.body, type=dict)
    except msgspec.DecodeError as error:
        raise bad_request(str(error)) from error


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
        headers[name] = headers[name] + "\0" + value.decode() if name in headers else value.decode()
    raw_query = scope["query_string"]
    return Request(
        method=scope["method"], path=scope["raw_path"].decode().split("?")[0],
        query=parse_qs(raw_query.decode(), keep_blank_values=True), headers=headers, body=b"".join(parts),
        transport=scope.get("simulator.transport"), connection=scope.get("simulator.connection", 0), raw_query=raw_query,
    )  # fmt: skip


async def respond(answer: Answer, send: Send) -> None:
    headers = {"content-type": answer.content_type, **answer.headers}
    if answer.stream is None:
        headers["content-length"] = str(len(answer.body))
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs += [(b"warning", f'299 - "{text}"'.encode()) for text in answer.warnings]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    if answer.stream is not None:
        async for part in answer.stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": answer.body})
