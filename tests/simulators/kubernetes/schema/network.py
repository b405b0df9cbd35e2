"""What is wrong with Services and NetworkPolicies, and what a Service keeps when it is updated."""

from __future__ import annotations

import ipaddress
from typing import Any

from tests.simulators.kubernetes.schema.metadata import label_faults, labels_causes
from tests.simulators.kubernetes.schema.pods import PORTS
from tests.simulators.kubernetes.schema.validate import Causes, duplicate, invalid, not_supported, required

Object = dict[str, Any]

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


def keep_allocated(new: Object, old: Object) -> None:
    """An update that leaves out the addresses of a Service means the ones that it has."""
    spec, before = new.setdefault("spec", {}), old.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return
    for key in ALLOCATED:
        if key in before and not spec.get(key):
            spec[key] = before[key]
    numbers = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in before.get("ports") or ()}
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        for port in spec.get("ports") or ():
            number = numbers.get((port.get("port"), port.get("protocol")))
            if number and "nodePort" not in port:
                port["nodePort"] = number


def service(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    kind, ports = spec.get("type"), spec.get("ports") or []
    causes: Causes = []
    if kind not in TYPES:
        causes.append(not_supported("spec.type", kind, TYPES))
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(required("spec.ports"))
    if kind == "ExternalName" and not spec.get("externalName"):
        causes.append(invalid("spec.externalName", "", "a lowercase RFC 1123 subdomain is required"))
    if spec.get("sessionAffinity") not in ("None", "ClientIP"):
        causes.append(not_supported("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None")))
    causes += labels_causes(spec.get("selector") or {}, "spec.selector")
    _service_ports(ports, causes)
    before = ((old or {}).get("spec") or {}).get("clusterIP")
    if before and before != "None" and spec.get("clusterIP") not in ("", before):
        causes.append(invalid("spec.clusterIPs[0]", [spec.get("clusterIP")], "may not change once set"))
    return causes


def _service_ports(ports: list[Object], causes: Causes) -> None:
    names: set[str] = set()
    for at, port in enumerate(ports):
        path, name = f"spec.ports[{at}]", port.get("name", "")
        if not name and len(ports) > 1:
            causes.append(required(f"{path}.name"))
        elif name in names:
            causes.append(duplicate(f"{path}.name", name))
        elif name:
            causes += [invalid(f"{path}.name", name, why) for why in label_faults(name)]
        names.add(name)
        for key in ("port", "targetPort"):
            number = port.get(key)
            if isinstance(number, int) and not 0 < number < 65536:
                causes.append(invalid(f"{path}.{key}", number, PORTS))
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            causes.append(not_supported(f"{path}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP")))


def network_policy(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    causes: Causes = []
    for way, peers in (("ingress", "from"), ("egress", "to")):
        for at, rule in enumerate(spec.get(way) or ()):
            for number, peer in enumerate(rule.get(peers) or ()):
                _peer(peer, f"spec.{way}[{at}].{peers}[{number}]", causes)
    return causes


def _peer(peer: Object, path: str, causes: Causes) -> None:
    if not peer:
        causes.append(required(path, "must specify a peer"))
    block = peer.get("ipBlock")
    if block is None:
        return
    addresses = [(f"{path}.ipBlock.cidr", block.get("cidr", ""))]
    addresses += [(f"{path}.ipBlock.except[{at}]", each) for at, each in enumerate(block.get("except") or ())]
    for where, text in addresses:
        if not _is_network(text):
            causes.append(invalid(where, text, CIDR))


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
