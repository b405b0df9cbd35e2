"""What nodes have and what pods ask of them, from the API's objects: pure, and only the fields that are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from portal.tenancy.text import clean

from .capabilities import FAKE_GPU_LABEL
from .namespaces import ENDPOINT_UID, MANAGED_BY, MANAGER
from .quantities import BIGGEST, millis, whole

# Resource names of device plugins, with what to call a device whose node has no label for its model.
DEVICES = {"nvidia.com/gpu": "NVIDIA GPU", "amd.com/gpu": "AMD GPU", "huawei.com/Ascend910": "Huawei Ascend 910",
           "aws.amazon.com/neuron": "AWS Neuron"}
# Written by NVIDIA's GPU feature discovery and by the fake GPU operator; memory of one GPU in MiB.
PRODUCT, MEMORY_MIB = "nvidia.com/gpu.product", "nvidia.com/gpu.memory"
MIB = 1024**2
MOST_DEVICES = 512  # of one node; the columns take more, a page does not
MOST_LABELS = 200
MOST_INT = 2**31 - 1
ENDED = frozenset({"Succeeded", "Failed"})

Amounts = dict[str, str | int | float]


class Resources(msgspec.Struct):
    requests: Amounts | None = None
    limits: Amounts | None = None

    def asked(self) -> dict[str, int]:
        """In our units. What has a limit alone is asked for in full, as the API server's defaults say."""
        return _read({**(self.limits or {}), **(self.requests or {})})


class Container(msgspec.Struct, rename="camel"):
    resources: Resources = msgspec.field(default_factory=Resources)
    restart_policy: str = ""


class Meta(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] | None = None


class PodSpec(msgspec.Struct, rename="camel"):
    node_name: str = ""
    containers: list[Container] = []
    init_containers: list[Container] | None = None
    overhead: Amounts | None = None
    resources: Resources | None = None


class PodStatus(msgspec.Struct):
    phase: str = ""


class Pod(msgspec.Struct):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def is_ours(self) -> bool:
        labels = self.metadata.labels or {}
        return labels.get(MANAGED_BY) == MANAGER and ENDPOINT_UID in labels


class Taint(msgspec.Struct):
    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(msgspec.Struct):
    unschedulable: bool = False
    taints: list[Taint] | None = None


class Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class NodeStatus(msgspec.Struct):
    allocatable: Amounts | None = None
    conditions: list[Condition] | None = None


class NodeItem(msgspec.Struct):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


@dataclass(frozen=True)
class NodeFacts:
    """Values for the columns of a Node, and its devices as (model, bytes of memory)."""

    name: str
    values: dict[str, Any]
    devices: tuple[tuple[str, int], ...] = ()


@dataclass
class Asked:
    """What the pods of one node ask for; `ours` of it is for endpoints."""

    all: dict[str, int] = field(default_factory=dict)
    ours: dict[str, int] = field(default_factory=dict)


def _read(amounts: Mapping[str, str | int | float]) -> dict[str, int]:
    """CPU in thousandths, memory and disk in bytes, devices by number under one name; unreadable amounts count 0."""
    found = {"cpu": _amount(amounts.get("cpu", 0), millis), "memory": _amount(amounts.get("memory", 0)),
             "disk": _amount(amounts.get("ephemeral-storage", 0))}
    return {**found, "gpus": sum(_amount(amounts[name]) for name in DEVICES if name in amounts)}


def _amount(text: str | float, read: Callable[[object], int] = whole) -> int:
    try:
        return read(text)
    except ValueError:
        return 0


def _sum(*parts: Mapping[str, int]) -> dict[str, int]:
    return {name: sum(part.get(name, 0) for part in parts) for name in ("cpu", "memory", "disk", "gpus")}


def pod_request(spec: PodSpec) -> dict[str, int]:
    """What the scheduler reserves (kubernetes.io, "Sidecar Containers", resource sharing within containers).

    Sidecars are init containers that go on running: they count with the main containers, and with each init
    container that starts after them.
    """
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for one in spec.init_containers or []:
        now = _sum(sidecars, one.resources.asked())
        peak = {name: max(amount, peak.get(name, 0)) for name, amount in now.items()}
        if one.restart_policy == "Always":
            sidecars = now
    running = _sum(sidecars, *(one.resources.asked() for one in spec.containers))
    needed = {name: max(amount, peak.get(name, 0)) for name, amount in running.items()}
    if spec.resources is not None:  # asked for the pod as a whole, which goes before its containers
        stated = {**(spec.resources.limits or {}), **(spec.resources.requests or {})}
        needed |= {name: amount for name, amount in _read(stated).items() if amount}
    return _sum(needed, _read(spec.overhead or {}))


def requests_by_node(pods: Iterable[Pod]) -> dict[str, Asked]:
    """Sums of the pods that hold their resources: bound to a node and not ended."""
    found: dict[str, Asked] = {}
    for pod in pods:
        if not pod.spec.node_name or pod.status.phase in ENDED:
            continue
        asked, request = found.setdefault(pod.spec.node_name, Asked()), pod_request(pod.spec)
        asked.all = _sum(asked.all, request)
        if pod.is_ours:
            asked.ours = _sum(asked.ours, request)
    return found


def facts_of(node: NodeItem, asked: Asked | None = None) -> NodeFacts:
    """One node as its row has it. Every text is cleaned, every number fits its column."""
    asked = asked or Asked()
    labels = {clean(key, 317): clean(value, 63) for key, value in sorted((node.metadata.labels or {}).items())[:MOST_LABELS]}
    has = _read(node.status.allocatable or {})
    gpus = min(has["gpus"], MOST_DEVICES)
    memory_all, memory_ours = asked.all.get("memory", 0), asked.ours.get("memory", 0)
    values = {
        "ready": _is_ready(node), "schedulable": not node.spec.unschedulable, "message": _message(node), "labels": labels,
        "taints": [{"key": clean(one.key, 317), "value": clean(one.value, 63), "effect": clean(one.effect, 30)}
                   for one in node.spec.taints or []],
        "simulated": labels.get(FAKE_GPU_LABEL) == "true", "gpus": gpus,
        "gpus_requested": min(asked.all.get("gpus", 0), MOST_DEVICES),
        "gpus_requested_by_us": min(asked.ours.get("gpus", 0), MOST_DEVICES),
        "cpu_millis": min(has["cpu"], MOST_INT), "cpu_requested_millis": min(asked.all.get("cpu", 0), MOST_INT),
        "memory_bytes": has["memory"], "memory_requested_bytes": min(memory_all, BIGGEST),
        "memory_requested_by_us": min(memory_ours, BIGGEST),
        "memory_used_by_others": min(memory_all - memory_ours, BIGGEST),
        "disk_bytes": has["disk"], "disk_free_bytes": max(has["disk"] - asked.all.get("disk", 0), 0),
    }
    return NodeFacts(clean(node.metadata.name, 253), values, _devices(node, labels)[:MOST_DEVICES])


def _devices(node: NodeItem, labels: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    allocatable = node.status.allocatable or {}
    found: list[tuple[str, int]] = []
    for resource, word in DEVICES.items():
        number = min(_amount(allocatable.get(resource, 0)), MOST_DEVICES)
        is_nvidia = resource == "nvidia.com/gpu"  # the labels are that vendor's
        model = labels.get(PRODUCT, "") if is_nvidia else ""
        memory = _amount(labels.get(MEMORY_MIB, "0")) * MIB if is_nvidia else 0
        found += [(clean(model or word, 100), min(memory, BIGGEST))] * number
    return tuple(found)


def _is_ready(node: NodeItem) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in node.status.conditions or [])


def _message(node: NodeItem) -> str:
    """What is wrong with the node: why it isn't ready, and every pressure; "" where all is well."""
    wrong = [one for one in node.status.conditions or [] if (one.status != "True") == (one.type == "Ready")]
    return clean("; ".join(f"{one.type}: {one.reason} {one.message}".strip() for one in wrong), 500)
