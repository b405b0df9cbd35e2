"""The pod template. What would let a pod out of its namespace has no way in: these fields are fixed here (T25)."""

from __future__ import annotations

from typing import Any

from clusters.namespaces import REVISION
from endpoints.targets.base import RevisionSpec, Spec

from .drain import grace_seconds, pre_stop
from .engine import PORT, Role, environment, launch, probes
from .names import labels
from .place import PlaceView
from .secrets import pulls_by
from .weights import cache_bytes, mounts, volumes

GPU = "nvidia.com/gpu"
# No engine image needs root: home and caches lie on a volume of this user's.
USER = 1000


def pod_template(spec: Spec, place: PlaceView, role: Role) -> dict[str, Any]:
    revision = spec.wanted
    return {
        "metadata": {"labels": {**labels(spec), REVISION: str(revision.number)}},
        "spec": {
            "serviceAccountName": spec.object_name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # A Service called vllm would set VLLM_PORT (facts.md 7.3).
            "terminationGracePeriodSeconds": grace_seconds(revision),
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
            },
            **pulls_by(spec), **_placement(revision),
            "containers": [_container(spec, place, role)],
            "volumes": volumes(revision),
        },
    }


def _container(spec: Spec, place: PlaceView, role: Role) -> dict[str, Any]:
    command, args = launch(spec, place, role)
    # A worker of a group answers no calls: its leader ends the group when it is gone.
    answers = {} if role.is_worker else {
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}], **probes(spec.wanted),
        "lifecycle": {"preStop": pre_stop(PORT)},
    }
    return {
        "name": "engine", "image": spec.wanted.image, "imagePullPolicy": "IfNotPresent", "command": command, "args": args,
        "env": environment(spec, place, role), "resources": _resources(spec.wanted), **answers,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": mounts(spec.wanted),
    }


def _resources(revision: RevisionSpec) -> dict[str, Any]:
    """Memory and GPUs are promised and capped alike; spare CPU may be used."""
    needed = revision.resources
    most = cache_bytes(revision)
    capped = {"memory": str(needed.memory_bytes), **({} if most is None else {"ephemeral-storage": str(most)})}
    if needed.gpus:
        capped[GPU] = str(needed.gpus)
    return {"requests": {"cpu": f"{needed.cpu_millis}m", **capped}, "limits": capped}


def _placement(revision: RevisionSpec) -> dict[str, Any]:
    where = revision.placement
    tolerations = [dict(toleration) for toleration in where.tolerations]
    if revision.resources.gpus:
        tolerations.append({"key": GPU, "operator": "Exists", "effect": "NoSchedule"})
    made: dict[str, Any] = {
        "nodeSelector": dict(where.node_selector), "tolerations": tolerations,
        "priorityClassName": where.priority_class, "runtimeClassName": where.runtime_class,
    }
    return {name: value for name, value in made.items() if value}
