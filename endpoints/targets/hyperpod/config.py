"""The body of an InferenceEndpointConfig or a JumpStartModel, version v1 (facts.md 1.2 to 1.9). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from endpoints.targets.base import RevisionSpec, Spec
from endpoints.targets.kubernetes.engine import literal
from models_catalog.choices import ArtifactKind

from .engine import MODEL_PATH, environment, health_path, invocation_path, launch, port_of, probes
from .merge import merged
from .names import OWN_OPTIONS, REVISION_VARIABLE, operator_object
from .place import HyperPodPlace
from .scaling import auto_scaling
from .source import VOLUME, source_of, volumes_of

GPU, MIG = "nvidia.com/gpu", "nvidia.com/mig-"
# The operator calls a deployment failed after this many seconds; its own default.
DEPLOY_SECONDS = 3600
MODEL_NAME_CHARS = 63


def operator_manifest(spec: Spec, place: HyperPodPlace) -> dict[str, Any]:
    """The whole object: what the portal fills, and the options over it. Raises TargetError, permanent."""
    make = _jumpstart if spec.wanted.artifact_kind == ArtifactKind.JUMPSTART else _inference
    given = {name: value for name, value in spec.wanted.options.items() if name not in OWN_OPTIONS}
    body = merged({**make(spec, place), **_scale(spec, place)}, given)
    if "worker" in body:
        body["worker"] = {**body["worker"], "resources": _without_whole_gpus(body["worker"]["resources"])}
    return operator_object(spec, body)


def _scale(spec: Spec, place: HyperPodPlace) -> dict[str, Any]:
    """The autoscaler writes the number of replicas into the object itself, so it is not sent then."""
    scaling = auto_scaling(spec, place.view.prometheus)
    return {"autoScalingSpec": scaling} if scaling else {"replicas": spec.replicas}


def _inference(spec: Spec, place: HyperPodPlace) -> dict[str, Any]:
    revision = spec.wanted
    port, volumes = port_of(revision), volumes_of(spec)
    return {
        "modelName": model_name(spec.public_name),
        "modelSourceConfig": source_of(spec, place),
        "invocationEndpoint": invocation_path(revision),
        "maxDeployTimeInSeconds": max(DEPLOY_SECONDS, revision.start_seconds),
        "worker": {
            "image": revision.image, **launch(spec), "environmentVariables": environment(spec),
            "modelInvocationPort": {"containerPort": port, "name": "http"},
            "modelVolumeMount": {"name": VOLUME, "mountPath": MODEL_PATH},
            "resources": _resources(revision), "probes": probes(revision),
        },
        "loadBalancer": {"healthCheckPath": health_path(revision)},
        # The default is 8080 whatever the engine's port is, and then there are no figures.
        "metrics": {"enabled": True, "modelMetrics": {"path": "/metrics", "port": port}},
        **_kubernetes(spec, volumes), **_affinity(spec),
    }


def _kubernetes(spec: Spec, volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """The operator has no field for a login to a registry: the pods' service account brings it."""
    account = {"serviceAccountName": spec.object_name} if spec.wanted.registry_password else {}
    made = {**account, **({"volumes": volumes} if volumes else {})}
    return {"kubernetes": made} if made else {}


def _affinity(spec: Spec) -> dict[str, Any]:
    """A profile's node selector, where the options don't say which machines."""
    chosen = spec.wanted.placement.node_selector
    if not chosen or any(spec.wanted.options.get(way) for way in ("instanceType", "instanceTypes", "nodeAffinity")):
        return {}
    wanted = [{"key": key, "operator": "In", "values": [value]} for key, value in sorted(chosen.items())]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": wanted}]}}}


def _jumpstart(spec: Spec, _place: HyperPodPlace) -> dict[str, Any]:
    """JumpStart knows the image, the arguments and what the model needs; its variables have no secrets."""
    revision = spec.wanted
    version = {"modelVersion": revision.artifact_revision} if revision.artifact_revision else {}
    values = {**revision.environment, REVISION_VARIABLE: str(revision.number)}
    return {
        "model": {"modelId": revision.artifact_location, "acceptEula": revision.eula_accepted, **version},
        "maxDeployTimeInSeconds": max(DEPLOY_SECONDS, revision.start_seconds),
        "environmentVariables": [{"name": name, "value": literal(value)} for name, value in sorted(values.items())],
    }


def _resources(revision: RevisionSpec) -> dict[str, Any]:
    """Memory and GPUs are promised and capped alike (extended resources must be); spare CPU may be used."""
    needed = revision.resources
    capped = {"memory": str(needed.memory_bytes), **({GPU: str(needed.gpus)} if needed.gpus else {})}
    return {"requests": {"cpu": f"{needed.cpu_millis}m", **capped}, "limits": capped}


def _without_whole_gpus(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of GPUs (MIG) that the options ask for come in place of the profile's whole ones, requested as limited."""
    parts = {name: amount for half in ("requests", "limits") for name, amount in (resources.get(half) or {}).items()
             if name.startswith(MIG)}
    if not parts:
        return dict(resources)
    kept = {half: {name: amount for name, amount in (resources.get(half) or {}).items() if name != GPU} | parts
            for half in ("requests", "limits")}
    return {**resources, **kept}


def model_name(text: str) -> str:
    """A name that SageMaker takes: letters, digits and single hyphens. The CRD's own pattern has no end (facts.md, trap 6)."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:MODEL_NAME_CHARS].strip("-")
    return name or "model"
