"""What the API server knows of single kinds when it stores them: pkg/registry/*/*/strategy.go of Kubernetes."""

from __future__ import annotations

import copy

from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.store import Object

COUNTED = {
    "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod", "Ingress",
    "NetworkPolicy", "PodDisruptionBudget", "CustomResourceDefinition", "PriorityClass",
}  # fmt: skip
"""The built-in kinds that have metadata.generation."""
SHOWN_GONE = {
    "pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes", "podtemplates", "resourcequotas",
    "storageclasses", "csidrivers",
}  # fmt: skip
"""Kinds whose DELETE answers with the object even when it is gone at once."""
STATUS: dict[str, Object] = {
    "Service": {"loadBalancer": {}},
    "Ingress": {"loadBalancer": {}},
    "StatefulSet": {"replicas": 0, "availableReplicas": 0},
    "ReplicaSet": {"replicas": 0},
    "ReplicationController": {"replicas": 0},
    "DaemonSet": {"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0},
    "Deployment": {},
    "Job": {},
    "CronJob": {},
    "ResourceQuota": {},
    "PersistentVolumeClaim": {"phase": "Pending"},
    "PersistentVolume": {"phase": "Pending"},
    "HorizontalPodAutoscaler": {"desiredReplicas": 0, "currentMetrics": None},
    "PodDisruptionBudget": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
}
"""The status that a new object has before a controller saw it."""


def counted(res: Resource) -> bool:
    """Whether the kind has metadata.generation."""
    return res.custom or res.kind in COUNTED


def first_status(res: Resource, obj: Object) -> Object | None:
    if res.custom:
        return None
    if res.kind == "CustomResourceDefinition":
        stored = [each["name"] for each in obj["spec"]["versions"] if each.get("storage")]
        return {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}
    return copy.deepcopy(STATUS.get(res.kind))


def completed(res: Resource, obj: Object) -> Object:
    """A new object with what is added after it was noted who owns which field."""
    metadata = obj["metadata"]
    if res.key != ("", "namespaces") or not metadata.get("name"):
        return obj
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    return {**obj, "metadata": {**metadata, "labels": labels}}


CRD = "CustomResourceDefinition"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer of a CRD whose objects are still to go."""
TERMINATING = {
    "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
    "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
}  # fmt: skip


def crd_marked(crd: Object, now: str) -> Object:
    """A CRD that is being deleted waits until its objects are gone."""
    metadata = {key: value for key, value in crd["metadata"].items() if key != "deletionGracePeriodSeconds"}
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), CLEANUP]
    status = crd.get("status") or {}
    conditions = [*(status.get("conditions") or ()), {**TERMINATING, "lastTransitionTime": now}]
    return {**crd, "metadata": metadata, "status": {**status, "conditions": conditions}}
