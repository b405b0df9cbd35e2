"""Where a replica goes: pure arithmetic over what nodes have, what is claimed, and what strangers use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from clusters.units import GIB


@dataclass(frozen=True)
class Need:
    """What one replica claims. `gpu_memory_bytes` 0 means whole GPUs; `devices` pins their indices."""

    cpu_millis: int
    memory_bytes: int
    gpus: int = 0
    gpu_memory_bytes: int = 0
    devices: tuple[int, ...] = ()
    release: str = ""


@dataclass(frozen=True)
class DeviceRoom:
    """One accelerator: its memory and what is left of it after claims and strangers, in bytes."""

    pk: int
    index: int
    memory_bytes: int
    free_bytes: int
    model: str = ""

    def fits(self, need: Need) -> bool:
        return self.free_bytes >= (need.gpu_memory_bytes or self.memory_bytes)


@dataclass(frozen=True)
class NodeRoom:
    """One node: what is left after all claims and after what others use."""

    pk: int
    name: str
    ready: bool
    cpu_free: int
    memory_free: int
    devices: tuple[DeviceRoom, ...] = ()
    releases: frozenset[str] = frozenset()
    replicas_here: int = 0

    @property
    def devices_free(self) -> int:
        return sum(device.free_bytes == device.memory_bytes for device in self.devices)


@dataclass(frozen=True)
class Choice:
    node: NodeRoom
    devices: tuple[DeviceRoom, ...]


def why_not(node: NodeRoom, need: Need) -> str:
    """Why the replica does not fit on this node, in words and numbers; "" where it fits."""
    if not node.ready:
        return _("%(node)s: not ready") % {"node": node.name}
    if need.release and need.release not in node.releases:
        return _("%(node)s: engine %(release)s is not installed") % {"node": node.name, "release": need.release}
    if node.cpu_free < need.cpu_millis:
        return _("%(node)s: needs %(need)g CPU, %(free)g free") % {
            "node": node.name, "need": need.cpu_millis / 1000, "free": max(0, node.cpu_free) / 1000}
    if node.memory_free < need.memory_bytes:
        return _("%(node)s: needs %(need).1f GiB memory, %(free).1f free") % {
            "node": node.name, "need": need.memory_bytes / GIB, "free": max(0, node.memory_free) / GIB}
    return _why_no_devices(node, need)


def _why_no_devices(node: NodeRoom, need: Need) -> str:
    if not need.gpus or pick_devices(node, need):
        return ""
    if need.devices:
        wanted = ", ".join(map(str, need.devices))
        return _("%(node)s: GPU %(wanted)s is not there or not free") % {"node": node.name, "wanted": wanted}
    return _("%(node)s: needs %(need)d free GPU, %(fit)d of %(all)d fit") % {
        "node": node.name, "need": need.gpus, "fit": sum(d.fits(need) for d in node.devices), "all": len(node.devices)}


def pick_devices(node: NodeRoom, need: Need) -> tuple[DeviceRoom, ...]:
    """The fullest devices that still fit, so that whole ones stay whole; empty where there are too few."""
    fitting = [device for device in node.devices if device.fits(need)]
    if need.devices:
        pinned = tuple(device for device in fitting if device.index in need.devices)
        return pinned if len(pinned) == len(need.devices) else ()
    fitting.sort(key=lambda device: (device.free_bytes, device.index))
    return tuple(fitting[: need.gpus]) if len(fitting) >= need.gpus else ()


def rank(nodes: Iterable[NodeRoom], need: Need) -> list[Choice]:
    """Every node that fits, best first: spread replicas, pack GPUs, else the most free memory."""
    fitting = [node for node in nodes if not why_not(node, need)]
    fitting.sort(key=lambda node: (
        node.replicas_here, node.devices_free if need.gpus else 0, -node.memory_free, node.name))
    return [Choice(node, pick_devices(node, need) if need.gpus else ()) for node in fitting]


def replicas_on(node: NodeRoom, need: Need) -> int:
    """How many replicas the node takes beside what it has; 0 where it takes none."""
    if why_not(node, need):
        return 0
    shares = [free // wanted for free, wanted in ((node.cpu_free, need.cpu_millis), (node.memory_free, need.memory_bytes))
              if wanted]
    if need.gpus:
        slots = sum(max(device.free_bytes // (need.gpu_memory_bytes or device.memory_bytes), 0) for device in node.devices
                    if device.memory_bytes)
        shares.append(slots // need.gpus)
    return min(shares, default=1)


def refusal(nodes: Sequence[NodeRoom], need: Need) -> str:
    """One sentence for "no room": every node with its reason, five at most."""
    if not nodes:
        return _("This place has no hosts yet.")
    reasons = [why_not(node, need) for node in nodes]
    named = "; ".join(reasons[:5])
    if len(reasons) > 5:
        return _("No room: %(reasons)s and %(count)d more.") % {"reasons": named, "count": len(reasons) - 5}
    return _("No room: %(reasons)s.") % {"reasons": named}
