"""Our Service before the operator's pods, and who may call them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from clusters.drivers.kinds import NETWORK_POLICY, SERVICE
from endpoints.targets.base import Spec
from endpoints.targets.kubernetes.network import NAMESPACE_NAME

from .engine import port_of
from .names import OPERATOR_NAMESPACE, calls_name, is_routed, manifest, pods_by
from .place import HyperPodPlace

# Where load balancers of a VPC call from, whatever address they show outside.
VPC = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
# What scales the endpoint and watches it asks the pods' sidecars.
WATCHERS = ("keda", "hyperpod-observability")


def service(spec: Spec) -> dict[str, Any]:
    port = port_of(spec.wanted)
    return manifest(SERVICE, spec, calls_name(spec.object_name), spec={
        "type": "ClusterIP", "selector": pods_by(spec.object_name),
        "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]})


def network_policy(spec: Spec, place: HyperPodPlace) -> dict[str, Any]:
    """The namespace lets nothing in by itself. The ports of the operator's sidecars are not documented, so none is named."""
    itself = {"podSelector": {"matchLabels": pods_by(spec.object_name)}}
    inside = [OPERATOR_NAMESPACE, *WATCHERS, *filter(None, [place.view.prometheus_namespace, place.view.agent_namespace])]
    operator = {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: OPERATOR_NAMESPACE}}}
    callers = [{"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: name}}} for name in dict.fromkeys(inside)]
    return manifest(NETWORK_POLICY, spec, spec.object_name, spec={
        "podSelector": itself["podSelector"], "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [itself, *callers, *_addresses(spec, place)]}],
        "egress": [{"to": [itself, operator]}, *_caches(spec)],
    })


def _addresses(spec: Spec, place: HyperPodPlace) -> list[dict[str, Any]]:
    options = spec.wanted.options
    by_balancer = is_routed(options) or options.get("endpointName") or (options.get("sageMakerEndpoint") or {}).get("name")
    known = sorted(place.view.api_addresses)
    blocks = [f"{ip_address(text)}/{ip_address(text).max_prefixlen}" for text in known]
    return [{"ipBlock": {"cidr": cidr}} for cidr in [*blocks, *(VPC if by_balancer else ())]]


def _caches(spec: Spec) -> list[dict[str, Any]]:
    """The second level of the KV cache lies elsewhere: in Redis, or in a service of the node."""
    cache = spec.wanted.options.get("kvCacheSpec") or {}
    return [{"to": [{"ipBlock": {"cidr": cidr}} for cidr in VPC]}] if cache.get("enableL2Cache") else []
