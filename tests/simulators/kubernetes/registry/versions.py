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


def shown(res: Resource, obj: Object) -> Object:
    """A stored object as the resource's version has it."""
    if obj.get("apiVersion") == res.api_version:
        return obj
    if res.custom:
        return {**prune(node_for(res), obj, "", []), "apiVersion": res.api_version}
    if res.kind == "Event":
        return {EVENT_FIELDS.get(name, name): value for name, value in obj.items()} | {"apiVersion": res.api_version}
    return obj


def stored(kinds: Kinds, res: Resource, obj: Object) -> Object:
    """An object of the resource's version as it is stored."""
    if res.key == ("", "events") and res.group:
        names = {new: old for old, new in EVENT_FIELDS.items()}
        return {names.get(name, name): value for name, value in obj.items()} | {"apiVersion": "v1"}
    return shown(kinds.stored(res), obj) if res.custom else obj
