"""A place as rendering sees it: from its rows, and the addresses of its API servers from the cluster itself."""

from __future__ import annotations

import time
from ipaddress import ip_address
from urllib.parse import urlsplit

from clusters.drivers.kinds import ENDPOINT_SLICE
from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError
from clusters.models import Cluster, ClusterAgent, KubernetesAccess, Node
from clusters.rbac import HOME
from clusters.states import Through

from .place import PlaceView
from .seen import EndpointSlice

# API servers come and go with months between; a policy that lags behind by minutes harms nobody.
ADDRESS_SECONDS = 600.0
_addresses: dict[tuple[int, str], tuple[float, tuple[str, ...]]] = {}


def place_of(cluster: Cluster, kube: Kube) -> PlaceView:
    """Three queries, and once in ten minutes one call. Raises KubeError where the cluster can't be asked at all."""
    access = KubernetesAccess.objects.get(cluster=cluster)
    by_agent = access.through == Through.AGENT
    agent = ClusterAgent.objects.filter(cluster=cluster).first() if by_agent else None
    by_proxy = not access.gateway and not by_agent
    return PlaceView(
        name=cluster.name, server=_called_at(cluster, access), ca=access.ca, token=access.secret("token"),
        client_certificate=access.client_certificate, client_key=access.secret("client_key"),
        agent=agent.uid.hex if agent else "", agent_namespace=HOME if by_agent else "",
        capabilities=frozenset(name for name in access.capabilities if access.has(name)), gateway=access.gateway,
        cors_origins=tuple(access.cors_origins), prometheus=access.prometheus,
        api_addresses=_api_addresses(access, kube) if by_proxy else (), all_gpus_simulated=_only_simulated(cluster))


def _called_at(cluster: Cluster, access: KubernetesAccess) -> str:
    """Where the gateway calls by the API server; an address in EKS says whose bearer it makes for each call."""
    if access.through != Through.EKS:
        return access.server
    return f"eks+https://{cluster.uid.hex}@{access.server.removeprefix('https://')}"


def _only_simulated(cluster: Cluster) -> bool:
    simulated = set(Node.objects.filter(cluster=cluster, gpus__gt=0).values_list("simulated", flat=True))
    return simulated == {True}


def _api_addresses(access: KubernetesAccess, kube: Kube) -> tuple[str, ...]:
    key = (access.pk, access.server)
    until, known = _addresses.get(key, (0.0, ()))
    if time.monotonic() < until:
        return known
    found = _ask(access, kube)
    _addresses[key] = time.monotonic() + ADDRESS_SECONDS, found
    return found


def _ask(access: KubernetesAccess, kube: Kube) -> tuple[str, ...]:
    """Those of the Service `kubernetes`, which the API servers write themselves; else the one that we call."""
    slices: list[EndpointSlice] = []
    try:
        slices = kube.list(ENDPOINT_SLICE, EndpointSlice, namespace="default",
                           labels="kubernetes.io/service-name=kubernetes").items
    except KubeError as error:
        if error.is_of_the_cluster:
            raise
    found = {address for each in slices for part in each.endpoints or () for address in part.addresses}
    host = urlsplit(access.server).hostname or ""
    return tuple(sorted(filter(_is_address, found or {host})))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
