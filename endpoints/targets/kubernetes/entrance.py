"""Where the portal's gateway calls an endpoint: one address for all its replicas, behind which the cluster chooses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
from django.utils.translation import gettext as _

from clusters.drivers.kinds import GATEWAY
from clusters.drivers.kube import Kube
from endpoints.targets.base import ReplicaSeen

from .engine import PORT
from .keda import HTTP_INTERCEPTOR
from .place import PlaceView
from .seen import Meta, Struct, Workload
from .stage import numbers_of

KEY = "entrance"
DEFAULT_PORTS = {"HTTP": 80, "HTTPS": 443}


@dataclass(frozen=True)
class Doors:
    """How calls enter by the Gateway; `problem` says why they can't."""

    url: str = ""
    host: str = ""
    problem: str = ""


class Listener(Struct, frozen=True):
    protocol: str = ""
    port: int = 0
    hostname: str = ""


class GatewaySpec(Struct, frozen=True):
    listeners: list[Listener] | None = None


class GatewayAddress(Struct, frozen=True):
    value: str = ""


class GatewayStatus(Struct, frozen=True):
    addresses: list[GatewayAddress] | None = None


class GatewaySeen(Struct, frozen=True):
    metadata: Meta = Meta()
    spec: GatewaySpec = GatewaySpec()
    status: GatewayStatus = GatewayStatus()


def doors_of(kube: Kube, place: PlaceView) -> Doors:
    """One call where a Gateway is chosen, else none. Raises KubeError."""
    if not place.gateway:
        return Doors()
    found = kube.get(GATEWAY, place.gateway_namespace, place.gateway_name)
    if found is None:
        return Doors(problem=_("The Gateway %(name)s is not there: choose another one for this place.") % {
            "name": place.gateway})
    return doors_in(msgspec.convert(found, GatewaySeen), place.gateway)


def doors_in(seen: GatewaySeen, name: str) -> Doors:
    """By plain HTTP where a listener offers it, because an address of the status is in no certificate."""
    address = next((each.value for each in seen.status.addresses or () if each.value), "")
    listeners = [each for each in seen.spec.listeners or () if each.protocol in DEFAULT_PORTS]
    if not address or not listeners:
        return Doors(problem=_("The Gateway %(name)s has no address yet.") % {"name": name})
    chosen = min(listeners, key=lambda each: each.protocol)
    named = chosen.hostname if "*" not in chosen.hostname else ""
    port = "" if chosen.port == DEFAULT_PORTS[chosen.protocol] else f":{chosen.port}"
    host = named if named and chosen.protocol == "HTTPS" else (f"[{address}]" if ":" in address else address)
    return Doors(f"{chosen.protocol.lower()}://{host}{port}", named)


def entrance(place: PlaceView, doors: Doors, workload: Workload, wakes: str, key: str) -> ReplicaSeen:
    """The address and all that it takes to call it.

    `wakes` is the host name by which KEDA's interceptor knows the calls, `key` what the engine wants of callers.
    """
    meta, live = workload.metadata, numbers_of(workload)
    assert live is not None, "there is a workload"
    seen = ReplicaSeen(key=KEY, index=0, revision=live.revision, ready=True, phase="Ready")
    if doors.url:
        return replace(seen, url=f"{doors.url}/{meta.namespace}/{meta.name}", host=doors.host, token=key)
    if wakes and not place.agent:
        return replace(by_service(place, seen, "keda", *HTTP_INTERCEPTOR.split(":")), host=wakes)
    return by_service(place, seen, meta.namespace, meta.name, str(PORT))


def by_service(place: PlaceView, seen: ReplicaSeen, namespace: str, name: str, port: str) -> ReplicaSeen:
    """The same with the way to a Service inside: by our agent there, or by the API server's proxy."""
    if place.agent:
        return replace(seen, url=f"tunnel://{place.agent}:{port}", host=f"{name}.{namespace}.svc")
    return replace(seen, url=f"{place.server.rstrip('/')}{_service(namespace, name, port)}", token=place.token, ca=place.ca,
                   client_certificate=place.client_certificate, client_key=place.client_key)


def _service(namespace: str, name: str, port: str) -> str:
    """The API server's way to a Service; the part after a dot of a name is not part of the Service's."""
    return f"/api/v1/namespaces/{namespace}/services/http:{name.partition('.')[0]}:{port}/proxy"
