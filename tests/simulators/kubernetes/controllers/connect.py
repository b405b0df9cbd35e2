"""The subresources that are no objects: a pod's log, its eviction, and the proxies to services and pods."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from tests.simulators.kubernetes.api.answers import Answer, json_answer
from tests.simulators.kubernetes.api.request import Request, Target
from tests.simulators.kubernetes.errors import ApiError, bad_request, method_not_allowed, not_found

from .base import Object, annotations_of, is_ready, name_of, namespace_of, terminating
from .services import container_port
from .upstream import Unreachable, Upstream, end_to_end

if TYPE_CHECKING:
    from tests.simulators.kubernetes.controllers import Controllers

ENGINE = "simulator/engine"
"""A pod's annotation: the URL of the real server that answers for it."""
HANDLED = {("pods", "log"), ("pods", "eviction"), ("pods", "proxy"), ("services", "proxy")}


class Connector:
    def __init__(self, controllers: Controllers, engine_url: str | None) -> None:
        self.controllers, self.hands, self.engine_url = controllers, controllers.hands, engine_url
        self.upstream = Upstream()

    def takes(self, aim: Target) -> bool:
        return not aim.group and (aim.plural, aim.subresource) in HANDLED

    async def answer(self, request: Request, aim: Target) -> Answer:
        """:raises ApiError: as the API server refuses."""
        match aim.subresource:
            case "log":
                return self._log(request, aim)
            case "eviction":
                return self._evict(request, aim)
        return await self._proxy(request, aim)

    def _log(self, request: Request, aim: Target) -> Answer:
        if request.method != "GET":
            raise method_not_allowed()
        found = self.controllers.logs.read(aim.namespace, aim.name, request.one)
        if found is None:
            return Answer(204, b"", "text/plain")
        if isinstance(found, bytes):
            return Answer(200, found, "text/plain")
        return Answer(200, b"", "text/plain", stream=found)

    def _evict(self, request: Request, aim: Target) -> Answer:
        if request.method != "POST":
            raise method_not_allowed()
        try:
            body = msgspec.json.decode(request.body or b"{}", type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise bad_request(str(error)) from error
        dry_run = request.one("dryRun") == "All"
        return json_answer(self.controllers.budgets.evict(aim.namespace, aim.name, body, dry_run=dry_run), 201)

    async def _proxy(self, request: Request, aim: Target) -> Answer:
        _, name, port = proxied(aim.name)
        if aim.plural == "services":
            pod, number = self._behind_service(aim.namespace, name, port)
        else:
            pod, number = self._pod(aim.namespace, name, port)
        path = request.path.partition(f"/{aim.plural}/")[2].partition("/proxy")[2] or "/"
        if request.raw_query:
            path += "?" + request.raw_query.decode()
        headers = [(key, part) for key, value in request.headers.items() for part in value.split("\0")]
        sent = end_to_end(headers, "authorization", "accept-encoding")
        return await self.forward(pod, number, request.method, path, sent, request.body)

    async def forward(
        self, pod: Object, port: int, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> Answer:
        """Passes a request on to the server behind a pod.

        :raises ApiError: 503, nothing answers there.
        """
        engine = self.engine(pod)
        address = f"{(pod.get('status') or {}).get('podIP', '')}:{port}"
        if engine is None:
            raise unavailable(f"error trying to reach service: dial tcp {address}: connect: connection refused")
        try:
            reply = await self.upstream.fetch(engine, method, path, headers, body)
        except Unreachable as error:
            real = urlsplit(engine).netloc
            raise unavailable(f"error trying to reach service: {str(error).replace(real, address)}") from error
        kept = {key: value for key, value in reply.headers if key != "content-type"}
        content_type = dict(reply.headers).get("content-type", "application/octet-stream")
        return Answer(reply.status, b"", content_type, headers=kept, stream=reply.body)

    def engine(self, pod: Object) -> str | None:
        """The real address that answers for a pod that runs."""
        if not ((pod.get("status") or {}).get("podIP") and pod["status"]["phase"] == "Running"):
            return None
        return annotations_of(pod).get(ENGINE) or self.engine_url

    def _pod(self, namespace: str, name: str, port: str) -> tuple[Object, int]:
        pod = self.hands.get("Pod", namespace, name)
        if pod is None:
            raise not_found("", "pods", name)
        if not port:
            ports = [each for container in pod["spec"]["containers"] for each in container.get("ports") or ()]
            return pod, ports[0]["containerPort"] if ports else 80
        return pod, int(port) if port.isdigit() else container_port(pod, port) or 80

    def _behind_service(self, namespace: str, name: str, port: str) -> tuple[Object, int]:
        service = self.hands.get("Service", namespace, name)
        if service is None:
            raise not_found("", "services", name)
        chosen = service_port(service, port)
        if chosen is None:
            raise unavailable(f'no service port "{port}" found for service "{name}"')
        return self.pick(service, chosen)

    def pick(self, service: Object, port: Object) -> tuple[Object, int]:
        """One of the ready pods behind a Service, and the port there.

        :raises ApiError: 503, none is ready.
        """
        ready = self.ready_pods(service)
        if not ready:
            raise unavailable(f'no endpoints available for service "{name_of(service)}"')
        pod = random.choice(ready)
        target = port.get("targetPort", port["port"])
        return pod, target if isinstance(target, int) else container_port(pod, target) or port["port"]

    def ready_pods(self, service: Object) -> list[Object]:
        selector = service["spec"].get("selector")
        pods = self.controllers.pods.selected(namespace_of(service), {"matchLabels": selector} if selector else None)
        return [pod for pod in pods if is_ready(pod) and not terminating(pod)]


def proxied(text: str) -> tuple[str, str, str]:
    """`[scheme:]name[:port]` as its three parts."""
    parts = text.split(":")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    if len(parts) == 2:
        return "", parts[0], parts[1]
    return "", text, ""


def service_port(service: Object, asked: str) -> Object | None:
    ports = service["spec"].get("ports") or []
    if not asked:
        return ports[0] if len(ports) == 1 else None
    return next((each for each in ports if asked in (each.get("name"), str(each["port"]))), None)


def unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)
