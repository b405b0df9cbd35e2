from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

from ..arguments import check_arguments, check_environment
from ..choices import EngineKind, Task
from ..models import Profile

# vLLM serves these with its pooling runner; a chat model's own files would make it write text instead.
POOLED = frozenset({Task.EMBEDDING, Task.RERANK})
MAX_DEVICE = 127


def revision_spec(
    profile: Profile, *, arguments: Mapping[str, Any] | None = None, environment: Mapping[str, Any] | None = None,
    devices: Sequence[int] = (),
) -> dict[str, Any]:
    """What a revision keeps for good: the profile with the caller's changes on top, all checked, as plain JSON.

    An argument or variable set to None is taken out. Memory is in bytes, CPU in thousandths, per replica.
    Raises Invalid.
    """
    model, release, artifact = profile.model, profile.release, profile.artifact
    merged, variables = check_profile(profile, arguments, environment)
    return {
        "engine": release.kind, "release": release.slug, "device": release.device, "image": release.image, "task": model.task,
        "model": model.slug, "profile": profile.slug,
        "artifact": {"kind": artifact.kind, "location": artifact.location, "revision": artifact.revision},
        "arguments": merged,
        "environment": variables,
        "resources": {
            "cpu_millis": profile.cpu_millis, "memory_bytes": profile.memory_bytes, "gpus": profile.gpus,
            "nodes": profile.nodes,
            "gpu_memory_bytes": profile.gpu_memory_bytes, "devices": check_devices(devices, profile.gpus),
        },
        "placement": dict(profile.placement), "weights_bytes": model.weights_bytes or artifact.size_bytes or 0,
        "start_seconds": profile.start_seconds, "places": list(profile.places),
    }


def check_profile(
    profile: Profile, arguments: Mapping[str, Any] | None = None, environment: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Arguments and environment of the profile with the changes on top. Raises Invalid for what can't start."""
    merged = merged_arguments(profile, arguments)
    variables = check_environment(_merge(profile.environment, environment))
    _check_shape(profile, merged)
    _check_context(profile, merged, variables)
    return merged, variables


def merged_arguments(profile: Profile, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The profile's arguments with `changes` on top, checked, and with what the task itself needs."""
    release = profile.release
    own = check_arguments(release, profile.arguments)
    given = changes or {}
    new = check_arguments(release, {name: value for name, value in given.items() if value is not None})
    gone = {str(name).removeprefix("--").replace("_", "-") for name, value in given.items() if value is None}
    merged = {**{name: value for name, value in own.items() if name not in gone}, **new}
    if release.kind == EngineKind.VLLM and profile.model.task in POOLED:
        merged.setdefault("runner", "pooling")
    return dict(sorted(merged.items()))


def _merge(own: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in {**own, **(changes or {})}.items() if value is not None}


def _check_shape(profile: Profile, arguments: Mapping[str, Any]) -> None:
    """What the engine would only find out after minutes of loading."""
    wanted = 1
    for name in ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"):
        wanted *= arguments.get(name, 1)
    claimed = profile.gpus * profile.nodes
    if claimed and wanted > claimed:
        raise Invalid(_("The parallel sizes need %(wanted)d GPUs, but the profile claims %(gpus)d.")
                      % {"wanted": wanted, "gpus": claimed}, field="arguments")
    heads = profile.model.shape.get("heads")
    if heads and heads % arguments.get("tensor-parallel-size", 1):
        raise Invalid(_("“tensor-parallel-size” must divide the model's %(heads)d attention heads.")
                      % {"heads": heads}, field="arguments")


def _check_context(profile: Profile, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    most = profile.model.context_tokens
    wanted = arguments.get("max-model-len")
    if most and wanted and wanted > most and environment.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") != "1":
        raise Invalid(_("“max-model-len” is %(wanted)d, but the model reads at most %(most)d tokens.")
                      % {"wanted": wanted, "most": most}, field="arguments")


def check_devices(devices: Sequence[int], gpus: int) -> list[int]:
    """GPU numbers of the host that each replica must have; none leaves the choice to the portal."""
    chosen = list(devices)
    if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= MAX_DEVICE for n in chosen):
        raise Invalid(_("GPU numbers are whole numbers from 0."), field="devices")
    if len(set(chosen)) != len(chosen):
        raise Invalid(_("A GPU number is given twice."), field="devices")
    if chosen and len(chosen) != gpus:
        raise Invalid(_("The profile takes %(gpus)d GPUs, but %(given)d are named.")
                      % {"gpus": gpus, "given": len(chosen)}, field="devices")
    return chosen
