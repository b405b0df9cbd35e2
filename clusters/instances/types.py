"""The instance types of HyperPod and of SageMaker endpoints: what each has. Figures and their sources: types.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from clusters.units import GIB

# The add-ons of a HyperPod cluster take 15 pods of a node; a smaller one has none left for a model (facts.md 1.13).
PODS_OF_ADDONS = 15


@dataclass(frozen=True)
class InstanceType:
    """One type. `gpus` counts NVIDIA devices, `neuron` AWS's own; the memory is that of one device, in bytes.

    `pods` is what HyperPod leaves for pods, 0 where nobody wrote it down. `local_disk`: it brings its own disk, so that
    SageMaker takes no volume size for it. `partitions` are the names of MIG slices that HyperPod knows.
    """

    name: str
    vcpus: int
    memory_bytes: int
    hyperpod: bool
    hosting: bool
    accelerator: str = ""
    gpus: int = 0
    neuron: int = 0
    gpu_memory_bytes: int = 0
    pods: int = 0
    local_disk: bool = False
    partitions: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """Such as g5 of ml.g5.xlarge."""
        return self.name.split(".")[1]

    @property
    def too_small_for_hyperpod(self) -> bool:
        """Whether HyperPod's own pods leave no room for a model's."""
        return 0 < self.pods < PODS_OF_ADDONS

    @property
    def serves_on_hyperpod(self) -> bool:
        return self.hyperpod and not self.too_small_for_hyperpod


@cache
def _known() -> dict[str, InstanceType]:
    data = json.loads(Path(__file__).with_name("types.json").read_text(encoding="utf-8"))
    return {row["name"]: _made(row, data["accelerators"].get(row.get("accelerator"), {})) for row in data["types"]}


def _made(row: dict[str, Any], accelerator: dict[str, Any]) -> InstanceType:
    """The type of a row; its count is one of GPUs or of AWS's own devices."""
    values = {name: value for name, value in row.items() if name not in ("memory_gib", "count")}
    kind = "gpus" if accelerator.get("maker") == "nvidia" else "neuron"
    return InstanceType(**{kind: row.get("count", 0)}, **values, memory_bytes=row["memory_gib"] * GIB,
                        gpu_memory_bytes=accelerator.get("memory_bytes", 0),
                        partitions=tuple(accelerator.get("partitions", ())))


def instance_type(name: str) -> InstanceType | None:
    """The type with this name, such as ml.g5.xlarge; None for one that is not in our list, which AWS may have all the same."""
    return _known().get(name)


def all_types() -> tuple[InstanceType, ...]:
    """Every type that we know, family by family and small ones first."""
    return tuple(_known().values())
