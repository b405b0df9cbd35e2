"""Where a replica goes: pure arithmetic over what nodes have, what is claimed, and what strangers use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GIB = 1024**3


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
        return f"{node.name}: not ready"
    if need.release and need.release not in node.releases:
        return f"{node.name}: engine {need.release} is not installed"
    if node.cpu_free < need.cpu_millis:
        return f"{node.name}: needs {need.cpu_millis / 1000:g} CPU, {max(0, node.cpu_free) / 1000:g} free"
    if node.memory_free < need.memory_bytes:
        return f"{node.name}: needs {need.memory_bytes / GIB:.1f} GiB memory, {max(0, node.memory_free) / GIB:.1f} free"
    return _why_no_devices(node, need)


def _why_no_devices(node: NodeRoom, need: Need) -> str:
    if not need.gpus or pick_devices(node, need):
        return ""
    if need.devices:
        wanted = ", ".join(map(str, need.devices))
        return f"{node.name}: GPU {wanted} is not there or not free"
    return f"{node.name}: needs {need.gpus} free GPU, {sum(d.fits(need) for d in node.devices)} of {len(node.devices)} fit"


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


def refusal(nodes: Sequence[NodeRoom], need: Need) -> str:
    """One sentence for "no room": every node with its reason, five at most."""
    if not nodes:
        return "This place has no hosts yet."
    reasons = [why_not(node, need) for node in nodes]
    more = f" and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return f"No room: {'; '.join(reasons[:5])}{more}."
