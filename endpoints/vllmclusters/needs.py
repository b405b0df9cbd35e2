"""What each replica of a VLLMCluster needs, node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from clusters import quantities
from clusters.units import GIB
from models_catalog.numbers import memory
from models_catalog.sizing import cpu_memory
from portal.tenancy.errors import Invalid

from .parts import mapping, unknown, whole_at

GPU = "nvidia.com/gpu"
RESOURCES = "spec.resources.resources"
DEFAULT_CPU, DEFAULT_MEMORY = 2000, 8 * GIB
KNOWN = ("cpu", "memory", GPU, "ephemeral-storage")


@dataclass(frozen=True)
class Needs:
    """For each node of a replica. `tensor` x `pipeline` is spread over `gpus` x `nodes`."""

    cpu_millis: int
    memory_bytes: int
    gpus: int
    nodes: int
    tensor: int
    pipeline: int


def read(spec: Mapping[str, Any], vllm: Mapping[str, Any], weights_bytes: int, notes: list[str]) -> Needs:
    """Raises Invalid for quantities that are none and for GPUs that don't hold the parallel sizes."""
    outer = mapping(spec, "resources", "spec.resources")
    notes += unknown(outer, ("resources", "nodeSelector", "tolerations"), "spec.resources")
    inner = mapping(outer, "resources", RESOURCES)
    requests, limits = mapping(inner, "requests", f"{RESOURCES}.requests"), mapping(inner, "limits", f"{RESOURCES}.limits")
    for part, path in ((requests, "requests"), (limits, "limits")):
        notes += unknown(part, KNOWN, f"{RESOURCES}.{path}")
    tensor = whole_at(vllm, "tensorParallelSize", "spec.vllm.tensorParallelSize")
    pipeline = whole_at(vllm, "pipelineParallelSize", "spec.vllm.pipelineParallelSize")
    gpus = max(_amount(requests, "requests", GPU), _amount(limits, "limits", GPU))
    nodes = _nodes(gpus, tensor, pipeline, notes)
    cpu = _amount(requests, "requests", "cpu", quantities.millis) or _amount(limits, "limits", "cpu", quantities.millis)
    return Needs(cpu_millis=cpu or DEFAULT_CPU, memory_bytes=_memory(requests, limits, gpus, weights_bytes, notes),
                 gpus=gpus, nodes=nodes, tensor=tensor, pipeline=pipeline)


def _amount(part: Mapping[str, Any], path: str, name: str, read_one: Callable[[object], int] = quantities.whole) -> int:
    value = part.get(name)
    if value is None:
        return 0
    try:
        found = read_one(value) if isinstance(value, str | int | float) else -1
    except ValueError:
        found = -1
    if found < 0:
        path = f"{RESOURCES}.{path}.{name}"
        raise Invalid(_("%(path)s is no quantity, such as 500m, 2 or 16Gi.") % {"path": path}, field=path)
    return found


def _nodes(gpus: int, tensor: int, pipeline: int, notes: list[str]) -> int:
    """Pipeline stages go over nodes where a pod's GPUs don't hold them; layers are shared inside a node."""
    wanted = tensor * pipeline
    if not gpus:
        if wanted > 1:
            raise Invalid(_("tensorParallelSize x pipelineParallelSize is %(wanted)d, but no %(gpu)s is asked for: each pod "
                            "needs as many GPUs.") % {"wanted": wanted, "gpu": GPU}, field=f"{RESOURCES}.limits")
        return 1
    if wanted <= gpus:
        if wanted < gpus:
            notes.append(_("Each pod has %(gpus)d GPUs, but tensorParallelSize x pipelineParallelSize uses %(wanted)d of them.")
                         % {"gpus": gpus, "wanted": wanted})
        return 1
    if tensor > gpus or wanted % gpus:
        raise Invalid(_("tensorParallelSize %(tensor)d needs %(tensor)d GPUs in each pod, but %(gpus)d are asked for.")
                      % {"tensor": tensor, "gpus": gpus}, field="spec.vllm.tensorParallelSize")
    notes.append(_("%(wanted)d GPUs for each replica, %(gpus)d in each pod: a replica is a group of %(nodes)d pods.")
                 % {"wanted": wanted, "gpus": gpus, "nodes": wanted // gpus})
    return wanted // gpus


def _memory(requests: Mapping[str, Any], limits: Mapping[str, Any], gpus: int, weights_bytes: int, notes: list[str]) -> int:
    """The limit, promised whole: an engine takes its memory at the start and is killed where it was only hoped for."""
    asked = _amount(requests, "requests", "memory")
    most = _amount(limits, "limits", "memory")
    found = most or asked
    if not found:
        notes.append(_("No memory is asked for: each replica gets %(memory)s.") % {"memory": memory(DEFAULT_MEMORY)})
        return DEFAULT_MEMORY
    if asked and most > asked:
        notes.append(_("An engine keeps the memory that it takes at the start, so the limit of %(most)s is promised whole; "
                       "%(asked)s were asked for.") % {"most": memory(most), "asked": memory(asked)})
    least = 0 if gpus else cpu_memory(weights_bytes, 1)
    if found < least:
        notes.append(_("A CPU engine with this model needs about %(least)s; %(found)s may end in “out of memory”.")
                     % {"least": memory(least), "found": memory(found)})
    return found
