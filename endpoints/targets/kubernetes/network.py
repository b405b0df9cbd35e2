"""Services, and who may call the pods: an engine's own key protects only part of its routes (facts.md 7.2)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from clusters.drivers.kinds import NETWORK_POLICY, SERVICE
from endpoints.targets.base import Spec

from .engine import PORT
from .names import headless_name, manifest, selector, serving_selector
from .place import PlaceView
from .weights import claim_of

NAMESPACE_NAME = "kubernetes.io/metadata.name"
HTTPS_PORTS = (443, 8443)
# What a pod must not reach by a name of the Internet: its node, other pods, the metadata service of a cloud.
PRIVATE_V4 = ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
PRIVATE_V6 = ["fc00::/7", "fe80::/10"]


def services(spec: Spec) -> list[dict[str, Any]]:
    ports = [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}]
    return [
        manifest(SERVICE, spec, headless_name(spec), spec={
            "clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector(spec), "ports": ports}),
        manifest(SERVICE, spec, spec.object_name, spec={
            "type": "ClusterIP", "selector": serving_selector(spec), "ports": ports}),
    ]


def network_policy(spec: Spec, place: PlaceView) -> dict[str, Any]:
    grouped = spec.wanted.resources.nodes > 1
    peers: list[dict[str, Any]] = [{"podSelector": {"matchLabels": selector(spec)}}]
    callers = _callers(spec, place)
    ingress = [{"from": callers, "ports": [{"port": PORT, "protocol": "TCP"}]}] if callers else []
    return manifest(NETWORK_POLICY, spec, spec.object_name, spec={
        "podSelector": {"matchLabels": selector(spec)}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [*ingress, *([{"from": peers}] if grouped else [])],
        "egress": [*_egress(spec), *([{"to": peers}] if grouped else [])],
    })


def _callers(spec: Spec, place: PlaceView) -> list[dict[str, Any]]:
    """Calls come by the Gateway or the API server's proxy or our agent; figures are fetched by Prometheus."""
    wakes = any(trigger.type == "http" for trigger in spec.autoscale.triggers) if spec.autoscale else False
    namespaces = {place.gateway_namespace, place.prometheus_namespace, place.agent_namespace, "keda" if wakes else ""} - {""}
    made: list[dict[str, Any]] = [
        {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: name}}} for name in sorted(namespaces)]
    for text in sorted(place.api_addresses):
        address = ip_address(text)
        made.append({"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}})
    return made


def _egress(spec: Spec) -> list[dict[str, Any]]:
    """Names, and the hub while the weights are not in the cluster."""
    names = {"to": [{"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "kube-system"}}}],
             "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    if claim_of(spec.wanted) is not None:
        return [names]
    internet = [{"cidr": "0.0.0.0/0", "except": PRIVATE_V4}, {"cidr": "::/0", "except": PRIVATE_V6}]
    hub = {"to": [{"ipBlock": block} for block in internet],
           "ports": [{"port": port, "protocol": "TCP"} for port in HTTPS_PORTS]}
    return [names, hub]
