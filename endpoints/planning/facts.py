"""What the pre-flight knows of a cluster, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from endpoints.targets.base import ModelFacts


@dataclass(frozen=True)
class NodeView:
    """A node as the last inventory saw it; bytes, thousandths of a CPU, GPUs as whole devices. No disk means unknown."""

    name: str
    ready: bool
    schedulable: bool
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, Any], ...]
    cpu_free: int
    memory_free: int
    gpus: int = 0
    gpus_free: int = 0
    gpu_model: str = ""
    gpu_memory: int = 0
    simulated: bool = False
    disk: int = 0
    disk_free: int = 0


@dataclass(frozen=True)
class ClaimView:
    """The claim that the weights are read from, as it is now; `size` in bytes, 0 until it is bound."""

    there: bool
    size: int = 0
    phase: str = ""
    storage_class: str = ""
    on_one_node: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known of the cluster beside its nodes, and of the model. None means unknown."""

    nodes: tuple[NodeView, ...]
    model: ModelFacts = field(default_factory=ModelFacts)
    reachable: bool = True
    unreachable_why: str = ""
    missing_rights: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    storage_classes: tuple[str, ...] | None = None
    default_storage_class: str = ""
    claim: ClaimView | None = None
    pods_there: int = 0  # of this endpoint, those that have a node
    quota_left: Mapping[str, int] = field(default_factory=dict)
    inventory_age: float | None = None
