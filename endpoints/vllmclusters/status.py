"""The status that `kubectl get vllmclusters` prints, from what the portal has seen of the endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from endpoints.states import Status
from portal.tenancy.text import clean

MOST_MESSAGE = 2000
# The published controller's words where they fit: Pending, Progressing, Ready.
PHASES: Mapping[str, str] = {
    Status.PENDING: "Pending", Status.CREATING: "Progressing", Status.UPDATING: "Progressing", Status.INSERVICE: "Ready",
    Status.DEGRADED: "Degraded", Status.STALLED: "Failed", Status.FAILED: "Failed", Status.STOPPING: "Stopping",
    Status.STOPPED: "Stopped", Status.DELETING: "Terminating", Status.DELETED: "Terminating",
}
ANSWERS = frozenset({Status.INSERVICE, Status.DEGRADED, Status.UPDATING})


@dataclass(frozen=True)
class Seen:
    """The part of an endpoint that its object shows; `generation` is the object's own, as it was last followed."""

    status: str
    cause: str
    message: str
    replicas: int
    ready: int
    generation: int
    notes: Sequence[str]


def status_of(name: str, seen: Seen, old: Mapping[str, Any], now: str, *, refused: str = "") -> dict[str, Any]:
    """The whole status; a condition keeps its time while its status stays. `now` is RFC 3339 in UTC.

    `refused` says why the object's newest generation can't be followed, while the endpoint stays as it was.
    """
    phase = PHASES[seen.status]
    ready = (seen.status in ANSWERS and seen.ready > 0) or (seen.status == Status.INSERVICE and not seen.replicas)
    conditions = [
        _condition("Ready", ready, seen.cause or phase, seen.message or phase, seen.generation),
        _condition("Accepted", not refused, "Invalid" if refused else "Followed",
                   refused or "The portal follows this object.", seen.generation),
    ]
    if seen.notes:
        conditions.append(_condition("Adjusted", True, "Understood", " ".join(seen.notes), seen.generation))
    return {
        "phase": phase, "replicas": seen.replicas, "readyReplicas": seen.ready, "observedGeneration": seen.generation,
        "selector": f"app=vllm-cluster,cluster={name}", "conditions": [_dated(one, old, now) for one in conditions],
    }


def refused_status(why: str, generation: int, old: Mapping[str, Any], now: str) -> dict[str, Any]:
    """For an object that can't be followed: why, and nothing that claims replicas."""
    conditions = [_condition(kind, False, "Invalid", why, generation) for kind in ("Ready", "Accepted")]
    return {"phase": "Failed", "replicas": 0, "readyReplicas": 0, "observedGeneration": generation,
            "conditions": [_dated(one, old, now) for one in conditions]}


def _condition(kind: str, holds: bool, reason: str, message: str, generation: int) -> dict[str, Any]:
    word = "".join(part for part in reason if part.isascii() and part.isalnum()) or "Unknown"
    return {"type": kind, "status": "True" if holds else "False", "reason": word, "message": clean(message, MOST_MESSAGE),
            "observedGeneration": generation}


def _dated(new: dict[str, Any], old: Mapping[str, Any], now: str) -> dict[str, Any]:
    before: Mapping[str, Any] = next((one for one in old.get("conditions") or [] if one.get("type") == new["type"]), {})
    same = before.get("status") == new["status"] and before.get("lastTransitionTime")
    return {**new, "lastTransitionTime": before["lastTransitionTime"] if same else now}
