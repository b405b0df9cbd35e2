"""Nodes of a cluster as the pre-flight sees them, by the last inventory."""

from __future__ import annotations

from clusters.models import Node

from .facts import NodeView


def node_view(node: Node) -> NodeView:
    """One node, with its accelerators prefetched where there are many."""
    device = next(iter(node.accelerators.all()), None)
    return NodeView(
        name=node.name, ready=node.ready, schedulable=node.schedulable, labels=node.labels, taints=tuple(node.taints),
        cpu_free=node.cpu_millis - node.cpu_requested_millis, memory_free=node.memory_bytes - node.memory_requested_bytes,
        gpus=node.gpus, gpus_free=node.gpus - node.gpus_requested, gpu_model=device.model if device else "",
        gpu_memory=device.memory_bytes if device else 0, simulated=node.simulated,
        disk=node.disk_bytes, disk_free=node.disk_free_bytes)
