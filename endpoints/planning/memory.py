"""Where the memory of one device goes when a model is on it: what a page draws to scale. Pure; all figures in bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clusters.units import GIB
from endpoints.targets.base import ModelFacts, RevisionSpec
from models_catalog.sizing import CPU_BASE, Shape

from .preflight import fit_of

CACHE_OF_CPU = "VLLM_CPU_KVCACHE_SPACE"
# An agent holds a replica that claims a part of a GPU to this much of its part (clusters.drivers.hosts).
OF_ITS_PART = 0.95


@dataclass(frozen=True)
class MemorySum:
    """One device: what it has (`total`), what others hold of it, what the engine may take, and what becomes of that.

    `count` devices are alike. `needed` is for one call of full length, `context` tokens; `tokens` fit at once.
    """

    device: str
    count: int
    total: int
    taken: int
    usable: int
    weights: int
    overhead: int
    per_token: int
    tokens: int
    context: int
    needed: int
    is_cpu: bool = False

    @property
    def room(self) -> int:
        """What is left for the KV cache."""
        return max(0, self.usable - self.weights - self.overhead)

    @property
    def fits(self) -> bool:
        return self.needed <= self.usable

    @property
    def short(self) -> int:
        """How much is missing; 0 where it fits."""
        return max(0, self.needed - self.usable)

    @property
    def calls(self) -> float:
        """How many calls of full length fit at once."""
        return self.tokens / self.context if self.context else 0.0

    @property
    def is_tight(self) -> bool:
        """Whether a second call of full length has to wait for the first."""
        return self.fits and self.calls < 2


def gpu_sum(
    revision: RevisionSpec, model: ModelFacts, device: str, total: int, taken: int = 0, *, in_part: bool = False,
) -> MemorySum | None:
    """On one of the revision's GPUs; None where the model's architecture or weights are not known.

    `in_part`: several replicas may share the GPU, each held to what it claims.
    """
    shape = model.shape
    if shape is None or not revision.weights_bytes or not total:
        return None
    found = fit_of(_held_to_its_part(revision, total) if in_part else revision, shape, total, model.context_tokens)
    context = context_of(revision, model)
    return MemorySum(
        device, revision.resources.gpus * revision.resources.nodes, total, taken, found.budget, found.weights, found.overhead,
        _per_token(shape), found.tokens, context, found.weights + found.overhead + found.cache)


def cpu_sum(revision: RevisionSpec, model: ModelFacts, device: str, total: int, taken: int = 0) -> MemorySum | None:
    """In a machine's memory, of which a replica gets what its profile claims."""
    shape = model.shape
    if shape is None or not revision.weights_bytes or not total:
        return None
    weights, usable, context = int(revision.weights_bytes * 1.1), revision.resources.memory_bytes, context_of(revision, model)
    cache = int(revision.environment.get(CACHE_OF_CPU, 0) or 0) * GIB or max(0, usable - weights - CPU_BASE)
    one = shape.sequence_bytes(context)
    return MemorySum(device, 1, total, taken, usable, weights, CPU_BASE, _per_token(shape), shape.tokens_in(cache, context),
                     context, weights + CPU_BASE + min(one, cache), is_cpu=True)


def context_of(revision: RevisionSpec, model: ModelFacts) -> int:
    """How many tokens a call may have at most."""
    return int(revision.arguments.get("max-model-len") or model.context_tokens or 4096)


def _per_token(shape: Shape) -> int:
    return shape.per_token + shape.per_window_token


def _held_to_its_part(revision: RevisionSpec, total: int) -> RevisionSpec:
    part = revision.resources.gpu_memory_bytes
    if not part or part >= total or "gpu-memory-utilization" in revision.arguments:
        return revision
    return replace(revision, arguments={**revision.arguments, "gpu-memory-utilization": OF_ITS_PART * part / total})
