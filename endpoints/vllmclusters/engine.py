"""The engine's arguments and environment from a VLLMCluster, by vLLM's own names of today (facts.md 3.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from clusters.units import GIB
from models_catalog.sizing import cpu_cache_gib
from portal.tenancy.errors import Invalid

from .facts import ModelFacts
from .needs import Needs
from .parts import text_at, unknown, whole_at

PORT = 8000
MODEL_PARTS = ("modelPath", "maxModelLength", "quantizationMethod", "revision")
VLLM_PARTS = ("tensorParallelSize", "pipelineParallelSize", "servePort", "gpuMemoryUtilization")
# Methods that quantise plain weights while they load; all others need a checkpoint made for them.
ONLINE = frozenset({"fp8", "fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "int8_per_channel_weight_only", "experts_int8",
                    "mxfp8", "online", "torchao"})
CPU_SEQUENCES = 4
# vLLM's AWQ kernels begin with compute capability 7.5; a V100 has 7.0 (facts.md 8, trap 50).
_OLD_GPU = re.compile(r"v100|volta|p100|p40|pascal", re.IGNORECASE)
_UTILISATION = re.compile(r"[01](?:\.[0-9]{1,6})?|\.[0-9]{1,6}")


def arguments(
    model: Mapping[str, Any], vllm: Mapping[str, Any], needed: Needs, known: ModelFacts, notes: list[str],
) -> dict[str, Any]:
    """Checked again against the release's own table when the profile is made. Raises Invalid."""
    notes += [*unknown(model, MODEL_PARTS, "spec.model"), *unknown(vllm, VLLM_PARTS, "spec.vllm")]
    found: dict[str, Any] = {
        "max-model-len": _context(model, known, notes),
        "quantization": _quantisation(text_at(model, "quantizationMethod", "spec.model.quantizationMethod"), known, notes),
        "gpu-memory-utilization": _utilisation(vllm, needed, notes),
        "tensor-parallel-size": needed.tensor if needed.tensor > 1 else None,
        "pipeline-parallel-size": needed.pipeline if needed.pipeline > 1 else None,
        # In-flight calls get so long when a pod is taken away; the engine's own default is none.
        "shutdown-timeout": 30,
    }
    if not needed.gpus:
        found |= {"dtype": "bfloat16", "enforce-eager": True, "max-num-seqs": CPU_SEQUENCES}
        notes.append(_("No GPU is asked for, and the usual vLLM images need CUDA: a CPU release of the engine serves it."))
    port = whole_at(vllm, "servePort", "spec.vllm.servePort", PORT)
    if port != PORT:
        notes.append(_("servePort %(port)d is not taken over: every engine and its Service listen on %(ours)d.")
                     % {"port": port, "ours": PORT})
    return {name: value for name, value in found.items() if value is not None}


def environment(needed: Needs, known: ModelFacts, arguments: Mapping[str, Any]) -> dict[str, str]:
    """A CPU engine is told how much cache it may take: its own guess is a share of the node's memory, not the pod's."""
    if needed.gpus:
        return {}
    if known.shape is None or not known.weights_bytes:
        cache = max(1, needed.memory_bytes // GIB // 4)
    else:
        context = arguments.get("max-model-len") or known.context_tokens or 4096
        room = (needed.memory_bytes - int(known.weights_bytes * 1.1)) // GIB - 3
        cache = max(1, min(cpu_cache_gib(known.shape, context=context, sequences=CPU_SEQUENCES), room))
    return {"VLLM_CPU_KVCACHE_SPACE": str(cache)}


def _context(model: Mapping[str, Any], known: ModelFacts, notes: list[str]) -> int | None:
    if model.get("maxModelLength") is None:
        return None
    wanted = whole_at(model, "maxModelLength", "spec.model.maxModelLength")
    if known.context_tokens and wanted > known.context_tokens:
        notes.append(_("maxModelLength %(wanted)d is more than the %(most)d tokens that this model reads, and the engine would "
                       "not start: %(most)d is used.") % {"wanted": wanted, "most": known.context_tokens})
        return known.context_tokens
    return wanted


def _quantisation(method: str, known: ModelFacts, notes: list[str]) -> str | None:
    if not method:
        return None
    # The catalogue writes "awq int4 group 128" where the engine says awq or awq_marlin.
    family = known.quantisation.partition(" ")[0]
    if family and method.startswith(family):
        return method
    if family:
        notes.append(_("The weights are quantised with %(family)s, which the engine reads from them: quantizationMethod "
                       "%(method)s was left out.") % {"family": family, "method": method})
        return None
    if known.weights_bytes and method not in ONLINE:
        notes.append(_("This repository's weights are not quantised, and %(method)s can't be made while they load, so the "
                       "engine would not start: quantizationMethod was left out. For %(method)s name a repository that has it.")
                     % {"method": method})
        return None
    if method not in ONLINE:
        notes.append(_("quantizationMethod %(method)s only works where the repository's weights are quantised with it.")
                     % {"method": method})
    return method


def _utilisation(vllm: Mapping[str, Any], needed: Needs, notes: list[str]) -> float | None:
    path = "spec.vllm.gpuMemoryUtilization"
    text = text_at(vllm, "gpuMemoryUtilization", path)
    if not text:
        return None
    share = float(text) if _UTILISATION.fullmatch(text) else 0.0
    if not 0.05 <= share <= 1:
        raise Invalid(_("%(path)s is a share of the memory as text, such as \"0.9\".") % {"path": path}, field=path)
    if not needed.gpus:
        notes.append(_("gpuMemoryUtilization means nothing without a GPU and was left out."))
        return None
    return share


def warn_of_hardware(placement: Mapping[str, Any], arguments: Mapping[str, Any], notes: list[str]) -> None:
    """What the chosen nodes can't do, as far as their labels say."""
    old = next((value for value in placement.get("node_selector", {}).values() if _OLD_GPU.search(value)), "")
    if old and str(arguments.get("quantization", "")).startswith("awq"):
        notes.append(_("AWQ needs GPUs of compute capability 7.5, and %(label)s has less: the engine will not start there.")
                     % {"label": old})
    elif old:
        notes.append(_("%(label)s is an old GPU: no bfloat16, no FP8, no AWQ. New engine releases may not start there.")
                     % {"label": old})
