"""One object in several versions: a custom resource is stored in its storage version, events are in two groups."""

from __future__ import annotations

from tests.simulators.kubernetes.kinds import Kinds, Resource
from tests.simulators.kubernetes.schema import node_for
from tests.simulators.kubernetes.schema.admit import prune
from tests.simulators.kubernetes.store import Object

EVENT_FIELDS = {
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource", "count": "deprecatedCount",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp",
    "reportingComponent": "reportingController",
}  # fmt: skip
"""core/v1 Event and events.k8s.io/v1 Event differ in names only."""

AUTOSCALER = ("autoscaling", "horizontalpodautoscalers")


def shown(res: Resource, obj: Object) -> Object:
    """A stored object as the resource's version has it."""
    if obj.get("apiVersion") == res.api_version:
        return obj
    if res.custom:
        return {**prune(node_for(res), obj, "", []), "apiVersion": res.api_version}
    if res.kind == "Event":
        return {EVENT_FIELDS.get(name, name): value for name, value in obj.items()} | {"apiVersion": res.api_version}
    if res.key == AUTOSCALER:
        return {**obj, "apiVersion": res.api_version, "spec": _autoscaler_v1(obj["spec"])}
    return obj


def _autoscaler_v1(spec: Object) -> Object:
    """autoscaling/v1 knows one metric: the CPU of the pods."""
    kept = {key: spec[key] for key in ("scaleTargetRef", "minReplicas", "maxReplicas") if key in spec}
    for metric in spec.get("metrics") or ():
        resource = metric.get("resource") or {}
        if resource.get("name") == "cpu" and "averageUtilization" in resource.get("target", {}):
            kept["targetCPUUtilizationPercentage"] = resource["target"]["averageUtilization"]
    return kept


def _autoscaler_v2(spec: Object) -> Object:
    kept = {key: value for key, value in spec.items() if key != "targetCPUUtilizationPercentage"}
    if percent := spec.get("targetCPUUtilizationPercentage"):
        target = {"type": "Utilization", "averageUtilization": percent}
        kept["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return kept


def stored(kinds: Kinds, res: Resource, obj: Object) -> Object:
    """An object of the resource's version as it is stored."""
    if res.key == ("", "events") and res.group:
        names = {new: old for old, new in EVENT_FIELDS.items()}
        return {names.get(name, name): value for name, value in obj.items()} | {"apiVersion": "v1"}
    if res.key == AUTOSCALER and res.version == "v1":
        return {**obj, "apiVersion": "autoscaling/v2", "spec": _autoscaler_v2(obj["spec"])}
    return shown(kinds.stored(res), obj) if res.custom else obj
