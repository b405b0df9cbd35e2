"""The workload as it is sent in this step: what rendering made of it, with the numbers and marks of the rollout. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from clusters.drivers.kinds import LEADER_WORKER_SET
from clusters.namespaces import FIELD_MANAGER, REVISION
from endpoints.targets.base import ReplicaSeen, Spec

from .keda import interceptor_host
from .names import AUTOSCALED, GENERATION, SURGE, WAKES
from .rollout import Live, finds_no_room, rollout_step
from .seen import Workload

HANDOVER = "handover"
TRADE_PLACES = {"partition": 0, "maxSurge": 0, "maxUnavailable": 1}


def staged(
    manifest: dict[str, Any], spec: Spec, live: Workload | None, pods: Sequence[ReplicaSeen], now: datetime,
) -> tuple[dict[str, Any], set[str]]:
    """The manifest to send now, and the names of pods to delete after it was sent."""
    marks, changed, drop = _marks(spec), dict(manifest["spec"]), set[str]()
    if manifest["kind"] == LEADER_WORKER_SET.kind:
        # Where the group that comes first finds no room, one of the old ones gives its own.
        if any(finds_no_room(pod, now) for pod in pods):
            changed["rolloutStrategy"] = {**changed["rolloutStrategy"], "rollingUpdateConfiguration": TRADE_PLACES}
    else:
        roll = rollout_step(spec, numbers_of(live), pods, now)
        changed |= {} if roll.replicas is None else {"replicas": roll.replicas}
        changed["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": roll.partition}}
        marks |= {SURGE: "1"} if roll.surges else {}
        drop = set(roll.drop)
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": marks}, "spec": changed}, drop


def _marks(spec: Spec) -> dict[str, str]:
    marks = {GENERATION: str(spec.generation)}
    if spec.autoscale is not None:
        marks[AUTOSCALED] = "yes"
        if any(trigger.type == "http" for trigger in spec.autoscale.triggers):
            marks[WAKES] = interceptor_host(spec)
    return marks


def numbers_of(live: Workload | None) -> Live | None:
    """The numbers of a workload that a rollout goes by."""
    if live is None:
        return None
    label = live.template.metadata.label(REVISION)
    return Live(int(label) if label.isdecimal() else 0, live.replicas, live.partition)


def handed_over(manifest: dict[str, Any] | None) -> bool:
    """Whether somebody else, the autoscaler, has set the number of replicas (managedFields of server-side apply)."""
    fields = (manifest or {}).get("metadata", {}).get("managedFields", [])
    return any("f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
               for entry in fields if entry.get("manager") != FIELD_MANAGER)
