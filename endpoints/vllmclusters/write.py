"""From an endpoint to a VLLMCluster, and to values of the vLLM production stack's Helm chart.

Chart values: github.com/vllm-project/production-stack, helm/values.yaml (`servingEngineSpec.modelSpec`).
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.kinds import VLLM_CLUSTER
from endpoints.autoscale import signals
from endpoints.targets.base import Autoscale, RevisionSpec, Spec, Trigger
from models_catalog.arguments import to_argv

GPU = "nvidia.com/gpu"
# Arguments that a VLLMCluster has a field for; reading one sets the last four anew.
FIELDS = {"max-model-len", "quantization", "tensor-parallel-size", "pipeline-parallel-size", "gpu-memory-utilization"}
IMPLIED = {"shutdown-timeout", "dtype", "enforce-eager", "max-num-seqs"}


def vllmcluster(spec: Spec) -> tuple[dict[str, Any], list[str]]:
    """The object, and notes on what it has no field for."""
    wanted = spec.wanted
    made: dict[str, Any] = {
        "apiVersion": VLLM_CLUSTER.api_version, "kind": VLLM_CLUSTER.kind, "metadata": {"name": spec.name},
        "spec": {"model": _model(wanted), "vllm": _vllm(wanted), "replicas": spec.replicas,
                 "resources": {"resources": _resources(wanted), **_placement(wanted)}},
    }
    if spec.autoscale is not None:
        made["spec"]["autoScaling"] = _autoscaling(spec.autoscale)
    return made, _left_out(spec)


def _model(wanted: RevisionSpec) -> dict[str, Any]:
    found = {
        "modelPath": wanted.artifact_location, "revision": wanted.artifact_revision,
        "maxModelLength": wanted.arguments.get("max-model-len"), "quantizationMethod": wanted.arguments.get("quantization"),
    }
    return {name: value for name, value in found.items() if value}


def _vllm(wanted: RevisionSpec) -> dict[str, Any]:
    made: dict[str, Any] = {
        "tensorParallelSize": wanted.arguments.get("tensor-parallel-size", 1),
        "pipelineParallelSize": wanted.arguments.get("pipeline-parallel-size", 1), "servePort": 8000,
    }
    if "gpu-memory-utilization" in wanted.arguments:
        made["gpuMemoryUtilization"] = str(wanted.arguments["gpu-memory-utilization"])
    return made


def _resources(wanted: RevisionSpec) -> dict[str, Any]:
    """Memory and GPUs as request and limit alike: an extended resource needs both."""
    needed = wanted.resources
    capped = {"memory": str(needed.memory_bytes), **({GPU: str(needed.gpus)} if needed.gpus else {})}
    return {"requests": {"cpu": f"{needed.cpu_millis}m", **capped}, "limits": capped}


def _placement(wanted: RevisionSpec) -> dict[str, Any]:
    where = wanted.placement
    found = {"nodeSelector": dict(where.node_selector), "tolerations": [dict(one) for one in where.tolerations]}
    return {name: value for name, value in found.items() if value}


def _autoscaling(wish: Autoscale) -> dict[str, Any]:
    triggers = [{"type": one.type, "metadata": dict(one.metadata)} for one in wish.triggers]
    return {"enabled": True, "minReplicas": wish.min_replicas, "maxReplicas": wish.max_replicas, "triggers": triggers}


def _left_out(spec: Spec) -> list[str]:
    wanted, notes = spec.wanted, []
    implied = IMPLIED if not wanted.resources.gpus else {"shutdown-timeout"}
    if other := sorted(set(wanted.arguments) - FIELDS - implied):
        notes.append(_("A VLLMCluster has no field for: %(names)s.") % {"names": ", ".join(other)})
    if names := sorted(set(wanted.environment) - {"VLLM_CPU_KVCACHE_SPACE"}):
        notes.append(_("A VLLMCluster has no field for the environment: %(names)s.") % {"names": ", ".join(names)})
    if wanted.placement.priority_class or wanted.placement.runtime_class:
        notes.append(_("A VLLMCluster has no field for the priority class and the runtime class."))
    if spec.autoscale is not None:
        notes.append(_("Triggers with a “signal” are understood by this portal; KEDA itself wants a query."))
    if wanted.hub_token:
        notes.append(_("The hub's token is not written: give it to the artifact again."))
    if wanted.registry_password:
        notes.append(_("The login of the image's registry is not written: give it to the engine release again."))
    return notes


def helm_values(spec: Spec) -> tuple[dict[str, Any], list[str]]:
    """Values for one model of the chart, and notes on what it does otherwise."""
    wanted = spec.wanted
    repository, tag = _image(wanted.image)
    revision = ["--revision", wanted.artifact_revision] if wanted.artifact_revision else []
    model: dict[str, Any] = {
        "name": spec.name, "enabled": True, "repository": repository, "tag": tag, "modelURL": wanted.artifact_location,
        "replicaCount": spec.replicas, "resources": _resources(wanted), "requestGPU": wanted.resources.gpus,
        "requestGPUType": GPU,
        "vllmConfig": {"extraArgs": ["--served-model-name", spec.public_name, *revision, *to_argv(wanted.arguments)]},
        "env": [{"name": name, "value": value} for name, value in sorted(wanted.environment.items())],
        "nodeSelectorTerms": _terms(wanted), "tolerations": [dict(one) for one in wanted.placement.tolerations],
        "priorityClassName": wanted.placement.priority_class, "runtimeClassName": wanted.placement.runtime_class,
    }
    model = {name: value for name, value in model.items() if value not in ("", [], {})}
    notes = [_("The hub's token is not written: make a Secret and name it as hf_token.")] if wanted.hub_token else []
    if wanted.registry_password:
        notes.append(_("The login of the image's registry is not written: make a pull secret and name it in the values."))
    if wanted.resources.nodes > 1:
        notes.append(_("A replica spans %(nodes)d nodes: the chart needs raySpec for that.")
                     % {"nodes": wanted.resources.nodes})
    if spec.autoscale is not None:
        model["keda"], said = _helm_keda(spec, spec.autoscale)
        notes += said
    return {"servingEngineSpec": {"modelSpec": [model]}}, notes


def _image(image: str) -> tuple[str, str]:
    """Repository and tag; the chart joins them with a colon, so a digest is split before its last part."""
    repository, _colon, tag = image.rpartition(":")
    return (repository, tag) if repository and "/" not in tag else (image, "")


def _terms(wanted: RevisionSpec) -> list[dict[str, Any]]:
    found = wanted.placement.node_selector.items()
    return [{"matchExpressions": [{"key": key, "operator": "In", "values": [value]} for key, value in found]}] if found else []


def _helm_keda(spec: Spec, wish: Autoscale) -> tuple[dict[str, Any], list[str]]:
    triggers = [_helm_trigger(spec, one) for one in wish.triggers if one.type != "http"]
    missing = len(triggers) < len(wish.triggers)
    notes = [_("The trigger “http” was left out: the chart makes no route for it.")] if missing else []
    window = {"scaleUp": {"stabilizationWindowSeconds": wish.stabilisation_up_seconds},
              "scaleDown": {"stabilizationWindowSeconds": wish.stabilisation_down_seconds}}
    return {
        "enabled": True, "minReplicaCount": wish.min_replicas, "maxReplicaCount": wish.max_replicas,
        "pollingInterval": wish.polling_seconds, "cooldownPeriod": wish.cooldown_seconds, "triggers": triggers,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": window}},
    }, notes


def _helm_trigger(spec: Spec, trigger: Trigger) -> dict[str, Any]:
    metadata = dict(trigger.metadata)
    if signal := metadata.pop("signal", ""):
        metadata["query"] = signals.query_of_model(spec.wanted.engine, signal, spec.public_name)
    made: dict[str, Any] = {"type": trigger.type, "metadata": metadata, "metricType": trigger.metric_type}
    if trigger.authentication:
        made["authenticationRef"] = {"name": trigger.authentication}
    return made
