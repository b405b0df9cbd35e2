"""How each engine is started in the operator's container: an argument list, never a shell line.

Launch forms as in facts.md 1.12 and 2.6. The operator puts the weights where `MODEL_PATH` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from endpoints.states import Cause
from endpoints.targets.base import RevisionSpec, Spec, TargetError
from endpoints.targets.kubernetes.engine import literal
from endpoints.targets.kubernetes.names import secret_key, secret_name
from models_catalog.arguments import to_argv
from models_catalog.choices import ArtifactKind, EngineKind, Task
from models_catalog.container_env import container_environment
from portal.tenancy.errors import Invalid

from .names import BY_LOAD_BALANCER, REVISION_VARIABLE, entrance_of

MODEL_PATH = "/opt/ml/model"
PORTS: dict[str, int] = {EngineKind.VLLM: 8000, EngineKind.SGLANG: 8080, EngineKind.LMI: 8080}
# What JumpStart's containers listen on, as every container for SageMaker does (facts.md 2.5).
SAGEMAKER_PORT = 8080
_MODULES = {EngineKind.VLLM: "vllm.entrypoints.openai.api_server", EngineKind.SGLANG: "sglang.launch_server"}
_MODEL_FLAGS = {EngineKind.VLLM: "--model", EngineKind.SGLANG: "--model-path"}
_PATHS: dict[str, str] = {Task.EMBEDDING: "v1/embeddings", Task.RERANK: "v1/rerank"}
# Engines report to their makers unless they are told not to.
_QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def port_of(revision: RevisionSpec) -> int:
    return SAGEMAKER_PORT if revision.artifact_kind == ArtifactKind.JUMPSTART else PORTS[revision.engine]


def invocation_path(revision: RevisionSpec) -> str:
    """Where the operator sends a call of SageMaker or of its router, without a leading slash."""
    return "invocations" if revision.engine == EngineKind.LMI else _PATHS.get(revision.task, "v1/chat/completions")


def health_path(revision: RevisionSpec) -> str:
    return "/ping" if revision.engine == EngineKind.LMI else "/health"


def launch(spec: Spec) -> dict[str, list[str]]:
    """Command and arguments; LMI's image starts by itself from its environment."""
    revision = spec.wanted
    if revision.engine == EngineKind.LMI:
        return {}
    engine = EngineKind(revision.engine)
    own = [_MODEL_FLAGS[engine], MODEL_PATH, "--served-model-name", spec.public_name,
           "--host", "0.0.0.0", "--port", str(PORTS[engine])]  # noqa: S104  Inside a pod.
    if engine == EngineKind.SGLANG:
        own += ["--enable-metrics", *(["--tp", str(revision.resources.gpus)] if revision.resources.gpus > 1 else [])]
    args = [literal(item) for item in [*own, *to_argv(revision.arguments)]]
    # SGLang reads its key from an argument only; Kubernetes puts it in, so it does not stand in the object.
    keyed = ["--api-key", "$(ENGINE_KEY)"] if engine == EngineKind.SGLANG and wants_key(spec) else []
    return {"command": ["python3", "-m", _MODULES[engine]], "args": [*args, *keyed]}


def environment(spec: Spec) -> list[dict[str, Any]]:
    """Sorted by name; secrets are read from our Secret and never stand here."""
    revision = spec.wanted
    values = {**(_of_lmi(spec) if revision.engine == EngineKind.LMI else _QUIET), **revision.environment,
              REVISION_VARIABLE: str(revision.number)}
    made: list[dict[str, Any]] = [{"name": name, "value": literal(value)} for name, value in values.items()]
    made += [{"name": variable, "valueFrom": {"secretKeyRef": {"name": secret_name(spec), "key": key}}}
             for variable, key, _value in secrets_of(spec) if variable]
    return sorted(made, key=lambda entry: str(entry["name"]))


def _of_lmi(spec: Spec) -> dict[str, str]:
    """Raises TargetError, permanent, for an argument that LMI has no way to take."""
    wanted = spec.wanted
    try:
        return container_environment(wanted.engine, wanted.arguments, model_path=MODEL_PATH, served_name=spec.public_name,
                                     gpus=wanted.resources.gpus)
    except Invalid as error:
        raise TargetError(Cause.INVALID, error.message, permanent=True) from error


def wants_key(spec: Spec) -> bool:
    """Where others can reach the engine, it wants a key of its own. The API server's proxy and SageMaker pass none on."""
    return entrance_of(spec.wanted.options) == BY_LOAD_BALANCER and spec.wanted.engine in _MODULES


def secrets_of(spec: Spec) -> Iterator[tuple[str, str, str]]:
    """Variable of the engine ("" for what it does not get), key in our Secret, and value."""
    if spec.wanted.hub_token and spec.wanted.artifact_kind == ArtifactKind.HUGGING_FACE:
        yield "", secret_key("hub", spec.wanted.hub_token), spec.wanted.hub_token
    if wants_key(spec) and spec.engine_key:
        variable = "VLLM_API_KEY" if spec.wanted.engine == EngineKind.VLLM else "ENGINE_KEY"
        yield variable, secret_key("key", spec.engine_key), spec.engine_key


def secret_data(spec: Spec) -> dict[str, str]:
    """What our Secret holds: also the token that pods of the revision in service load their weights with."""
    older = spec.serving.hub_token if spec.serving is not None else ""
    kept = {secret_key("hub", older): older} if older else {}
    return kept | {key: value for _variable, key, value in secrets_of(spec)}


def probes(revision: RevisionSpec) -> dict[str, Any]:
    """The operator's own readiness probe gives an engine one second, which is too short (facts.md 1.12)."""
    ask = {"path": health_path(revision), "port": port_of(revision)}
    return {
        "startupProbe": {"httpGet": ask, "periodSeconds": 10, "timeoutSeconds": 5,
                         "failureThreshold": max(3, -(-revision.start_seconds // 10))},
        "readinessProbe": {"httpGet": ask, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {"httpGet": ask, "periodSeconds": 30, "timeoutSeconds": 10, "failureThreshold": 3},
    }
