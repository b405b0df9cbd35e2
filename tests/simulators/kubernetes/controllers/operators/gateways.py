"""A played Gateway: it tells its address, accepts routes, and really listens on 127.0.0.1 for their traffic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes.errors import ApiError

from ..base import (
    Controller,
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    set_condition,
    terminating,
    with_metadata,
)
from ..connect import service_port
from ..lookups import selects
from .gateway_listener import GatewayListener
from .routing import host_fits

if TYPE_CHECKING:
    from .. import Controllers

GROUP = "gateway.networking.k8s.io"
CLASS, GATEWAY, ROUTE, GRANT = (
    f"{kind}.{GROUP}" for kind in ("GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant")
)
POOL = "InferencePool.inference.networking.k8s.io"
CONTROLLER = "simulator.example.com/gateway"
ADDRESS = "simulator/address"
"""An annotation that a Gateway gets: the URL at which it really listens."""
log = logging.getLogger(__name__)


class Gateways(Controller):
    """Keys are (kind, namespace/name)."""

    kinds = (CLASS, GATEWAY, ROUTE, GRANT, "Service")

    def __init__(self, controllers: Controllers) -> None:
        super().__init__(controllers.hands)
        self.controllers = controllers
        self.listeners: dict[str, GatewayListener] = {}

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind in (CLASS, GATEWAY, ROUTE):
            self.enqueue(kind, f"{namespace_of(obj)}/{name_of(obj)}")
        if kind == CLASS:
            self._all(GATEWAY)
        if kind in (GATEWAY, GRANT) or (kind == "Service" and event != "MODIFIED"):
            self._all(ROUTE)
        if kind == ROUTE:
            for parent in parents(obj):
                self.enqueue(GATEWAY, parent)

    def _all(self, kind: str) -> None:
        for each in self.cluster.list(kind):
            self.enqueue(kind, f"{namespace_of(each)}/{name_of(each)}")

    def sync(self, kind: str, path: str) -> None:
        namespace, _, name = path.partition("/")
        found = self.cluster.get(kind, namespace, name)
        if kind == GATEWAY and (found is None or terminating(found)):
            self._close(path)
        elif found is not None and not terminating(found):
            {CLASS: self._class, GATEWAY: self._gateway, ROUTE: self._route}[kind](found)

    # --- classes and gateways

    def _class(self, found: Object) -> None:
        if found["spec"]["controllerName"] != CONTROLLER:
            return
        self._conditions(CLASS, found, Accepted=("True", "Accepted", "Handled by the simulator"))

    def _ours(self, gateway: Object | None) -> bool:
        class_ = self.cluster.get(CLASS, "", gateway["spec"]["gatewayClassName"]) if gateway else None
        return class_ is not None and class_["spec"]["controllerName"] == CONTROLLER

    def _gateway(self, found: Object) -> None:
        path = f"{namespace_of(found)}/{name_of(found)}"
        if not self._ours(found):
            return
        listener = self.listeners.get(path)
        if listener is None:
            listener = self.listeners[path] = GatewayListener(self.controllers, self.routes_of(found))
            asyncio.get_running_loop().create_task(self._open(listener, found, path))
        elif listener.port:
            listener.routes = self.routes_of(found)
            self._programmed(found, listener)

    async def _open(self, listener: GatewayListener, found: Object, path: str) -> None:
        """Listens where the Gateway says, or on any free port where that is not for us to have."""
        try:
            await listener.open(found["spec"]["listeners"][0]["port"])
        except OSError:
            log.exception("The gateway %s cannot listen", path)
            return
        self.enqueue(GATEWAY, path)

    def _close(self, path: str) -> None:
        if listener := self.listeners.pop(path, None):
            listener.close()

    def _programmed(self, found: Object, listener: GatewayListener) -> None:
        url = f"http://127.0.0.1:{listener.port}"
        if annotations_of(found).get(ADDRESS) != url:
            found = self.cluster.put(GATEWAY, with_metadata(found, annotations={**annotations_of(found), ADDRESS: url}))
        routes = self.routes_of(found)
        now, generation = self.cluster.now(), found["metadata"]["generation"]
        old = {each["name"]: each for each in (found.get("status") or {}).get("listeners") or ()}
        listeners = []
        for each in found["spec"]["listeners"]:
            conditions = (old.get(each["name"]) or {}).get("conditions") or []
            for type_ in ("Accepted", "Programmed", "ResolvedRefs"):
                new = {
                    "type": type_,
                    "status": "True",
                    "reason": type_,
                    "message": "",
                    "observedGeneration": generation,
                }
                conditions = set_condition(conditions, now, **new)
            kinds = [{"group": GROUP, "kind": "HTTPRoute"}]
            listeners.append(
                {"name": each["name"], "attachedRoutes": len(routes), "supportedKinds": kinds, "conditions": conditions}
            )
        status = {"addresses": [{"type": "IPAddress", "value": "127.0.0.1"}], "listeners": listeners}
        words = {type_: ("True", type_, "") for type_ in ("Accepted", "Programmed")}
        self._conditions(GATEWAY, found, status, **words)

    def _conditions(self, kind: str, found: Object, more: Object | None = None, **told: tuple[str, str, str]) -> None:
        before = found.get("status") or {}
        conditions = before.get("conditions") or ()
        generation = found["metadata"]["generation"]
        for type_, (status, reason, message) in told.items():
            new = {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
            }
            conditions = set_condition(conditions, self.cluster.now(), **new)
        after = {**before, **(more or {}), "conditions": conditions}
        if after != before:
            self.cluster.put_status(kind, found, after)

    # --- routes

    def routes_of(self, gateway: Object) -> list[Object]:
        path = f"{namespace_of(gateway)}/{name_of(gateway)}"
        routes = [route for route in self.cluster.list(ROUTE) if path in parents(route) and not terminating(route)]
        return [route for route in routes if self._refusal(gateway, route) is None]

    def _refusal(self, gateway: Object | None, route: Object) -> tuple[str, str] | None:
        """Why a gateway does not take a route: (reason, message)."""
        if gateway is None:
            return "NoMatchingParent", "The Gateway does not exist"
        allowed = [each for each in gateway["spec"]["listeners"] if self._allows(gateway, each, route)]
        if not allowed:
            return "NotAllowedByListeners", "No listener allows routes of this namespace"
        names = route["spec"].get("hostnames")
        if names and not any(meet(each.get("hostname", ""), name) for each in allowed for name in names):
            return "NoMatchingListenerHostname", "No hostname of the route fits a listener"
        return None

    def _allows(self, gateway: Object, listener: Object, route: Object) -> bool:
        allowed = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
        match allowed.get("from", "Same"):
            case "All":
                return True
            case "Selector":
                namespace = self.cluster.get("Namespace", "", namespace_of(route))
                return namespace is not None and selects(allowed.get("selector"), labels_of(namespace))
        return namespace_of(route) == namespace_of(gateway)

    def _route(self, found: Object) -> None:
        before = (found.get("status") or {}).get("parents") or []
        kept = [each for each in before if each.get("controllerName") != CONTROLLER]
        ours = [each for each in before if each.get("controllerName") == CONTROLLER]
        told = [parent for ref in found["spec"].get("parentRefs") or () if (parent := self._parent(found, ref, ours))]
        if before != kept + told:
            self.cluster.put_status(ROUTE, found, {**(found.get("status") or {}), "parents": kept + told})

    def _parent(self, found: Object, ref: Object, before: list[Object]) -> Object | None:
        gateway = self.cluster.get(GATEWAY, ref.get("namespace", namespace_of(found)), ref["name"])
        if not self._ours(gateway):
            return None
        now, generation = self.cluster.now(), found["metadata"]["generation"]
        refused = self._refusal(gateway, found)
        accepted = ("False", *refused) if refused else ("True", "Accepted", "")
        broken = self._unresolved(found)
        resolved = ("False", *broken) if broken else ("True", "ResolvedRefs", "")
        conditions = next((each["conditions"] for each in before if each["parentRef"] == ref), [])
        for type_, (status, reason, message) in (("Accepted", accepted), ("ResolvedRefs", resolved)):
            new = {
                "type": type_,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
            }
            conditions = set_condition(conditions, now, **new)
        return {"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions}

    def _unresolved(self, found: Object) -> tuple[str, str] | None:
        """The first backend that cannot be used: (reason, message)."""
        for rule in found["spec"].get("rules") or ():
            for ref in rule.get("backendRefs") or ():
                namespace, kind = ref.get("namespace", namespace_of(found)), ref.get("kind", "Service")
                if namespace != namespace_of(found) and not self._granted(found, namespace, kind, ref["name"]):
                    return "RefNotPermitted", f"No ReferenceGrant allows {kind} {namespace}/{ref['name']}"
                if kind not in ("Service", "InferencePool"):
                    return "InvalidKind", f"Kind {kind} is not supported"
                if self.cluster.get("Service" if kind == "Service" else POOL, namespace, ref["name"]) is None:
                    return "BackendNotFound", f"{kind} {namespace}/{ref['name']} not found"
        return None

    def _granted(self, found: Object, namespace: str, kind: str, name: str) -> bool:
        def grants(each: Object) -> bool:
            comes = any(
                (one["kind"], one["namespace"]) == ("HTTPRoute", namespace_of(found)) for one in each["spec"]["from"]
            )
            return comes and any(one["kind"] == kind and one.get("name", name) == name for one in each["spec"]["to"])

        return any(grants(each) for each in self.cluster.list(GRANT, namespace))

    def pod_of(self, namespace: str, ref: Any) -> tuple[Object, int]:
        """A ready pod behind a backend, and its port.

        :raises ApiError: 503, none is ready; 500, there is no such backend.
        """
        connector = self.controllers.connector
        namespace = ref.get("namespace", namespace)
        if ref.get("kind", "Service") == "InferencePool":
            pool = self.cluster.get(POOL, namespace, ref["name"])
            selector = (pool or {}).get("spec", {}).get("selector")
            service: Object | None = {
                "metadata": {"name": ref["name"], "namespace": namespace},
                "spec": {"selector": (selector or {}).get("matchLabels")},
            }
            port: Object | None = {"port": pool["spec"]["targetPorts"][0]["number"]} if pool else None
        else:
            service = self.cluster.get("Service", namespace, ref["name"])
            port = service_port(service, str(ref.get("port", ""))) if service else None
        if service is None or port is None:
            raise ApiError(500, "InternalError", "backend not found")
        return connector.pick(service, port)


def parents(route: Object) -> list[str]:
    """The gateways that a route names, as namespace/name."""
    refs: Iterable[Object] = route["spec"].get("parentRefs") or ()
    return [
        f"{ref.get('namespace', namespace_of(route))}/{ref['name']}"
        for ref in refs
        if ref.get("kind", "Gateway") == "Gateway"
    ]


def meet(listener: str, route: str) -> bool:
    """Whether a listener's host name and a route's have any host in common."""
    return host_fits(listener, route) or host_fits(route, listener)
