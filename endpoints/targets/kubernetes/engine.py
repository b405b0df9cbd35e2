"""How each engine is started in a container: an argument list, never a shell line, and an environment made from nothing.

Launch forms: vLLM and SGLang as in facts.md 2.6, 3.5 and 7.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from endpoints.targets.base import RevisionSpec, Spec
from models_catalog.arguments import to_argv
from models_catalog.choices import ArtifactKind, EngineKind

from .names import secret_key, secret_name
from .place import PlaceView
from .weights import CACHE_PATH, claim_of, model_of

PORT = 8000
MASTER_PORT = "29501"
# Kubernetes puts these in where LeaderWorkerSet has set the variables.
_RANK, _SIZE, _LEADER = "$(LWS_WORKER_INDEX)", "$(LWS_GROUP_SIZE)", "$(LWS_LEADER_ADDRESS)"


@dataclass(frozen=True)
class Role:
    """Which pod of a replica this is: alone, or leader or worker of a group over several nodes."""

    is_grouped: bool = False
    is_worker: bool = False


ALONE, LEADER, WORKER = Role(), Role(is_grouped=True), Role(is_grouped=True, is_worker=True)


def launch(spec: Spec, place: PlaceView, role: Role) -> tuple[list[str], list[str]]:
    """Command and arguments of the container."""
    if spec.wanted.engine == EngineKind.SGLANG:
        command, own = ["python3", "-m", "sglang.launch_server"], _sglang(spec)
    else:
        command, own = ["vllm", "serve"], _vllm(spec)
    given = [literal(item) for item in [*own, *to_argv(spec.wanted.arguments)]]
    given += _sglang_key(spec, place)
    group = _vllm_group(role) if spec.wanted.engine == EngineKind.VLLM else _sglang_group(role)
    return command, [*given, *group]


def literal(text: str) -> str:
    """Text that Kubernetes must not take for the name of a variable: it reads $$ as $."""
    return text.replace("$", "$$")


def _hub_revision(revision: RevisionSpec) -> list[str]:
    from_hub = revision.artifact_kind == ArtifactKind.HUGGING_FACE and claim_of(revision) is None
    return ["--revision", revision.artifact_revision] if from_hub and revision.artifact_revision else []


def _vllm(spec: Spec) -> list[str]:
    return [model_of(spec.wanted), "--served-model-name", spec.public_name, "--host", "0.0.0.0",  # noqa: S104  Inside a pod.
            "--port", str(PORT), *_hub_revision(spec.wanted)]


def _vllm_group(role: Role) -> list[str]:
    if not role.is_grouped:
        return []
    headless = ["--headless"] if role.is_worker else []
    return ["--nnodes", _SIZE, "--node-rank", _RANK, "--master-addr", _LEADER, "--master-port", MASTER_PORT, *headless]


def _sglang(spec: Spec) -> list[str]:
    wanted = spec.wanted
    gpus = wanted.resources.gpus * wanted.resources.nodes
    parallel = ["--tp", str(gpus)] if gpus > 1 else []
    return ["--model-path", model_of(wanted), "--served-model-name", spec.public_name,
            "--host", "0.0.0.0", "--port", str(PORT), "--enable-metrics",  # noqa: S104  Inside a pod.
            *parallel, *_hub_revision(wanted)]


def _sglang_key(spec: Spec, place: PlaceView) -> list[str]:
    """SGLang reads its key from an argument only; Kubernetes puts it in, so it does not stand in the pod."""
    has_key = any(variable == "ENGINE_KEY" for variable, _key, _value in secrets_of(spec, place))
    return ["--api-key", "$(ENGINE_KEY)"] if has_key else []


def _sglang_group(role: Role) -> list[str]:
    return ["--nnodes", _SIZE, "--node-rank", _RANK, "--dist-init-addr", f"{_LEADER}:{MASTER_PORT}"] if role.is_grouped else []


def environment(spec: Spec, place: PlaceView, role: Role) -> list[dict[str, Any]]:
    """Sorted by name. The home is a folder that any user can write; USER is there because torch asks who it is."""
    revision = spec.wanted
    values = {
        "HOME": CACHE_PATH, "USER": "engine", "HF_HOME": f"{CACHE_PATH}/huggingface", "XDG_CACHE_HOME": CACHE_PATH,
        "VLLM_CACHE_ROOT": f"{CACHE_PATH}/vllm", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
        **({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if claim_of(revision) is not None else {}),
        **{name: literal(value) for name, value in revision.environment.items()},
    }
    made: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items()]
    made += [_from_secret(variable, spec, key) for variable, key, _value in secrets_of(spec, place)]
    if role.is_grouped:
        made.append({"name": "VLLM_HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    return sorted(made, key=lambda entry: str(entry["name"]))


def secrets_of(spec: Spec, place: PlaceView) -> list[tuple[str, str, str]]:
    """Variable, key in the Secret, and value of each secret that the container gets.

    Where calls come by a Gateway, anybody who reaches it could call the engine, so the engine wants a key of its own.
    """
    found = []
    if spec.wanted.hub_token and claim_of(spec.wanted) is None:
        found.append(("HF_TOKEN", secret_key("hub", spec.wanted.hub_token), spec.wanted.hub_token))
    if place.gateway and spec.engine_key:
        variable = "VLLM_API_KEY" if spec.wanted.engine == EngineKind.VLLM else "ENGINE_KEY"
        found.append((variable, secret_key("key", spec.engine_key), spec.engine_key))
    return found


def secret_data(spec: Spec, place: PlaceView) -> dict[str, str]:
    """What the endpoint's Secret holds: also what pods of the revision in service were started with."""
    data = {key: value for _variable, key, value in secrets_of(spec, place)}
    older = spec.serving.hub_token if spec.serving is not None else ""
    return {**({secret_key("hub", older): older} if older else {}), **data}


def _from_secret(variable: str, spec: Spec, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret_name(spec), "key": key}}}


def probes(revision: RevisionSpec) -> dict[str, Any]:
    """facts.md 3.4. The start may take as long as the profile says; only then the other two count."""
    ask = {"path": "/health", "port": "http"}
    return {
        "startupProbe": {"httpGet": ask, "periodSeconds": 10, "timeoutSeconds": 5,
                         "failureThreshold": max(3, -(-revision.start_seconds // 10))},
        "readinessProbe": {"httpGet": ask, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {"httpGet": ask, "periodSeconds": 30, "timeoutSeconds": 10, "failureThreshold": 3},
    }
