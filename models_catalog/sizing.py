"""How much memory a model needs: weights, cache and overhead. Pure arithmetic, bytes in and bytes out.

A cache has up to four parts: bytes for each further token (full or latent attention), bytes for each token
within a window (sliding or chunked attention), a fixed state for each sequence (linear attention), and the
keys of a sparse attention's index. The engine rounds to blocks, so real figures are 5 to 10 % higher.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clusters.units import GIB

# What an engine takes of a GPU beside weights and cache (activations, graphs, communication).
GPU_BASE, GPU_SHARED, GPU_WEIGHT_SHARE = int(1.5 * GIB), GIB // 2, 0.05
UTILISATION = 0.92
# API server, engine core and worker of a CPU engine without weights and cache; measured 2.2, rounded up.
CPU_BASE = int(2.5 * GIB)
LATENT = frozenset({"mla", "compressed-mla"})
TENSOR_PARALLEL = (1, 2, 4, 8)
DTYPE_BYTES = {"bfloat16": 2, "float16": 2, "half": 2, "float32": 4, "float": 4, "fp8": 1}


def volume_bytes(weights: int, share: float = 1.2) -> int:
    """How large a volume for a copy of the weights is made: a fifth to spare, and 1 GiB for the file system."""
    return math.ceil(share * weights) + GIB


def token_bytes(layers: int, kv_heads: int, head_dim: int, value_bytes: float = 2) -> int:
    """Cache bytes of one token over `layers` that keep keys and values of every token."""
    return int(2 * layers * kv_heads * head_dim * value_bytes)


def latent_token_bytes(layers: int, kv_lora_rank: int, rope_dim: int, value_bytes: float = 2) -> int:
    """Cache bytes of one token with latent attention (MLA): one vector a layer, for all heads together."""
    return int(layers * (kv_lora_rank + rope_dim) * value_bytes)


@dataclass(frozen=True)
class Shape:
    """The architecture numbers that memory depends on; cache figures at 2 bytes a value."""

    heads: int
    kv_heads: int
    per_token: int
    per_window_token: int = 0
    window: int = 0
    per_sequence: int = 0
    index_per_token: int = 0
    latent: bool = False

    @classmethod
    def of(cls, numbers: Mapping[str, Any]) -> Shape | None:
        """From a catalogue row's `shape`; None where it lacks the numbers of the cache."""
        if numbers.get("kv_bytes_per_token") is None or not numbers.get("heads"):
            return None
        layout = numbers.get("kv_layout") or {}
        return cls(
            heads=numbers["heads"], kv_heads=numbers.get("kv_heads") or numbers["heads"],
            per_token=numbers["kv_bytes_per_token"], per_window_token=numbers.get("kv_sliding_bytes_per_token") or 0,
            window=numbers.get("kv_window") or 0, per_sequence=numbers.get("kv_state_bytes") or 0,
            index_per_token=numbers.get("kv_indexer_bytes_per_token") or 0,
            latent=layout.get("type") in LATENT or "kv_lora_rank" in layout)

    def rank_share(self, tensor_parallel: int) -> float:
        """The part of the cache that each GPU holds: heads are split, but never below one; latents are repeated."""
        return 1.0 if self.latent else max(1, self.kv_heads // tensor_parallel) / self.kv_heads

    def sequence_bytes(self, tokens: int, *, value_bytes: float = 2, tensor_parallel: int = 1) -> int:
        """Cache bytes on each GPU of one sequence of `tokens`; `value_bytes` 1 is an 8-bit cache."""
        windowed = min(tokens, self.window) if self.window else tokens
        values = (self.per_token * tokens + self.per_window_token * windowed) * value_bytes / 2
        split = values * self.rank_share(tensor_parallel) + self.per_sequence / tensor_parallel
        return math.ceil(split + self.index_per_token * tokens)

    def tokens_in(self, room: int, context: int, *, value_bytes: float = 2, tensor_parallel: int = 1) -> int:
        """How many tokens of sequences of `context` tokens `room` bytes on each GPU hold."""
        one = self.sequence_bytes(context, value_bytes=value_bytes, tensor_parallel=tensor_parallel)
        return 0 if room <= 0 or context <= 0 else int(room / one * context) if one else context * 1_000_000


def gpu_overhead(weights: int, tensor_parallel: int = 1) -> int:
    """Bytes on each GPU beside its part of the weights (`weights`, bytes) and the cache."""
    return GPU_BASE + (GPU_SHARED if tensor_parallel > 1 else 0) + int(weights * GPU_WEIGHT_SHARE)


@dataclass(frozen=True)
class Fit:
    """Whether a model fits, and why: all figures in bytes on each GPU; `concurrency` in sequences of full length."""

    fits: bool
    budget: int
    weights: int
    overhead: int
    cache: int
    needed: int
    tokens: int
    concurrency: float


def fit(
    shape: Shape, weights_bytes: int, gpu_bytes: int, *, context: int, sequences: int = 1, tensor_parallel: int = 1,
    pipeline_parallel: int = 1, value_bytes: float = 2, utilisation: float = UTILISATION,
) -> Fit:
    """Put a model on GPUs of `gpu_bytes` each, for `sequences` at once of `context` tokens.

    It fits when what is left after weights and overhead holds all of them. The engine itself asks for one.
    """
    weights = math.ceil(weights_bytes / (tensor_parallel * pipeline_parallel))
    overhead = gpu_overhead(weights, tensor_parallel)
    budget = int(gpu_bytes * utilisation)
    one = shape.sequence_bytes(context, value_bytes=value_bytes, tensor_parallel=tensor_parallel)
    room = budget - weights - overhead
    cache = math.ceil(one / pipeline_parallel) * sequences
    tokens = shape.tokens_in(room * pipeline_parallel, context, value_bytes=value_bytes,
                             tensor_parallel=tensor_parallel)
    return Fit(fits=room >= cache and room > 0, budget=budget, weights=weights, overhead=overhead, cache=cache,
               needed=math.ceil((weights + overhead + cache) / utilisation), tokens=tokens,
               concurrency=tokens / context if context else 0.0)


def smallest_tensor_parallel(
    shape: Shape, weights_bytes: int, gpu_bytes: int, *, context: int, sequences: int = 1,
    sizes: Iterable[int] = TENSOR_PARALLEL,
) -> int | None:
    """The fewest GPUs of `gpu_bytes` in one host that hold the model, or None where none of `sizes` does."""
    for size in sizes:
        if shape.heads % size:
            continue
        if fit(shape, weights_bytes, gpu_bytes, context=context, sequences=sequences, tensor_parallel=size).fits:
            return size
    return None


def cpu_cache_gib(shape: Shape, *, context: int, sequences: int = 1) -> int:
    """Whole GiB of cache for a CPU engine (VLLM_CPU_KVCACHE_SPACE), at least 1."""
    return max(1, math.ceil(shape.sequence_bytes(context) * sequences * 1.1 / GIB))


def cpu_memory(weights_bytes: int, cache_gib: int) -> int:
    """Bytes of memory that a CPU engine needs: weights with room to load them, cache, and its processes."""
    return math.ceil(weights_bytes * 1.1) + cache_gib * GIB + CPU_BASE
