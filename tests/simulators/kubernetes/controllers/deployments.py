"""Deployments: ReplicaSets of successive templates, one growing as the others shrink."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .base import (
    Controller,
    Object,
    annotations_of,
    condition,
    controller_of,
    name_of,
    namespace_of,
    owner_reference,
    present,
    terminating,
    uid_of,
    with_metadata,
)  # fmt: skip
from .lookups import Index, controller_uid
from .revisions import encode, safe_hash

HASH = "pod-template-hash"
PREFIX = "deployment.kubernetes.io/"


class Deployments(Controller):
    kinds = ("Deployment", "ReplicaSet")

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        self._owned = Index(cluster, "ReplicaSet", controller_uid)
        self._progress: dict[str, tuple[Any, datetime]] = {}

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "Deployment":
            if event == "DELETED":
                self._progress.pop(uid_of(obj), None)
            self.enqueue(namespace_of(obj), name_of(obj))
        elif (owner := controller_of(obj)) and owner["kind"] == "Deployment":
            self.enqueue(namespace_of(obj), owner["name"])

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get("Deployment", namespace, name)
        if found is None or terminating(found):
            return
        sets = self._owned.find(uid_of(found))
        new = next((each for each in sets if template_of(each) == found["spec"]["template"]), None)
        created = new is None and not found["spec"].get("paused")
        if created:
            new = self._create(found, sets)
        self._revision(found, new, sets)
        if new is not None:
            self._scale(found, new, [each for each in sets if uid_of(each) != uid_of(new)])
        self._write(found, new, created=created)

    def _create(self, found: Object, sets: list[Object]) -> Object:
        template = found["spec"]["template"]
        hash_ = safe_hash(encode(template) + b"0")
        inner = template.get("metadata") or {}
        labels = {**(inner.get("labels") or {}), HASH: hash_}
        count = self._room(found, sets)
        metadata = {
            "name": f"{name_of(found)}-{hash_}", "namespace": namespace_of(found), "labels": labels,
            "annotations": self._notes(found, next_revision(sets)),
            "ownerReferences": [owner_reference(found, "apps/v1", "Deployment")],
        }  # fmt: skip
        selector = {
            **found["spec"]["selector"],
            "matchLabels": {**(found["spec"]["selector"].get("matchLabels") or {}), HASH: hash_},
        }
        spec = {
            "replicas": count,
            "selector": selector,
            "template": {**template, "metadata": {**inner, "labels": labels}},
        }
        made = self.cluster.create("ReplicaSet", {"metadata": metadata, "spec": spec})
        self._say_scaled(found, made, 0, count)
        return made

    def _room(self, found: Object, sets: list[Object]) -> int:
        """How many pods a new ReplicaSet may have now."""
        wanted = found["spec"].get("replicas", 1)
        if recreates(found):
            return 0 if any(replicas(each) or (each.get("status") or {}).get("replicas") for each in sets) else wanted
        surge, _ = limits(found)
        return max(0, min(wanted, wanted + surge - sum(replicas(each) for each in sets)))

    def _notes(self, found: Object, revision: int) -> dict[str, str]:
        wanted = found["spec"].get("replicas", 1)
        surge = 0 if recreates(found) else limits(found)[0]
        kept = {
            key: value
            for key, value in annotations_of(found).items()
            if not key.startswith((PREFIX, "kubectl.kubernetes.io/last-applied"))
        }
        return {
            **kept,
            f"{PREFIX}desired-replicas": str(wanted),
            f"{PREFIX}max-replicas": str(wanted + surge),
            f"{PREFIX}revision": str(revision),
        }

    def _revision(self, found: Object, new: Object | None, sets: list[Object]) -> None:
        """Numbers the ReplicaSet in use as the newest, and says so on the Deployment."""
        if new is None:
            return
        others = [each for each in sets if uid_of(each) != uid_of(new)]
        number = max(revision_of(new), next_revision(others)) if others else max(1, revision_of(new))
        notes = self._notes(found, number)
        if annotations_of(new) != notes:
            self.cluster.put("ReplicaSet", with_metadata(self._fresh(new), annotations=notes))
        if annotations_of(found).get(f"{PREFIX}revision") != str(number):
            notes = {**annotations_of(found), f"{PREFIX}revision": str(number)}
            fresh = self.cluster.get("Deployment", namespace_of(found), name_of(found))
            self.cluster.put("Deployment", with_metadata(fresh, annotations=notes))

    def _fresh(self, each: Object) -> Object:
        return self.cluster.get("ReplicaSet", namespace_of(each), name_of(each)) or each

    def _scale(self, found: Object, new: Object, old: list[Object]) -> None:
        wanted = found["spec"].get("replicas", 1)
        new = self._fresh(new)
        if recreates(found):
            for each in old:
                self._set(found, each, 0)
            if not any((each.get("status") or {}).get("replicas") for each in map(self._fresh, old)):
                self._set(found, new, wanted)
            return
        surge, unavailable = limits(found)
        total = sum(replicas(each) for each in old)
        if replicas(new) < wanted:
            self._set(found, new, min(wanted, max(replicas(new), wanted + surge - total)))
        elif replicas(new) > wanted:
            self._set(found, new, wanted)
        self._shrink(found, self._fresh(new), old, wanted - unavailable)

    def _shrink(self, found: Object, new: Object, old: list[Object], least: int) -> None:
        """Takes from the old ReplicaSets what is not ready, then what the new one's ready pods make up for."""
        for each in old:
            ready = (each.get("status") or {}).get("readyReplicas", 0)
            spare = sum(replicas(one) for one in map(self._fresh, [*old, new])) - least - self._not_ready(new)
            broken = min(replicas(each) - ready, max(0, spare))
            if broken > 0:
                self._set(found, each, replicas(each) - broken)
        ready = sum((each.get("status") or {}).get("readyReplicas", 0) for each in map(self._fresh, [*old, new]))
        for each in map(self._fresh, old):
            take = min(replicas(each), max(0, ready - least))
            if take:
                self._set(found, each, replicas(each) - take)
                ready -= take

    def _not_ready(self, new: Object) -> int:
        return replicas(new) - (new.get("status") or {}).get("readyReplicas", 0)

    def _set(self, found: Object, each: Object, count: int) -> None:
        fresh = self._fresh(each)
        before = replicas(fresh)
        if before != count:
            self.cluster.update("ReplicaSet", {**fresh, "spec": {**fresh["spec"], "replicas": count}})
            self._say_scaled(found, fresh, before, count)

    def _say_scaled(self, found: Object, each: Object, before: int, count: int) -> None:
        word = "up" if count > before else "down"
        message = f"Scaled {word} replica set {name_of(each)} from {before} to {count}"
        self.cluster.record_event(found, "Normal", "ScalingReplicaSet", message, "deployment-controller")

    def _write(self, found: Object, new: Object | None, *, created: bool) -> None:
        found = self.cluster.get("Deployment", namespace_of(found), name_of(found))
        sets = self._owned.find(uid_of(found))
        total = {key: sum((each.get("status") or {}).get(key, 0) for each in sets)
                 for key in ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")}  # fmt: skip
        new = self._fresh(new) if new is not None else None
        updated = ((new or {}).get("status") or {}).get("replicas", 0)
        wanted = found["spec"].get("replicas", 1)
        conditions = list((found.get("status") or {}).get("conditions") or ())
        if created and new is not None:
            words = {"reason": "NewReplicaSetCreated", "message": f'Created new replica set "{name_of(new)}"'}
            conditions = self._put(conditions, "Progressing", {"status": "True", **words})
        conditions = self._available(found, conditions, total["availableReplicas"])
        conditions = self._progressing(found, conditions, new, {**total, "updated": updated})
        conditions = self._failure(conditions, sets)
        status = {
            "observedGeneration": found["metadata"]["generation"],
            **present(replicas=total["replicas"], updatedReplicas=updated, readyReplicas=total["readyReplicas"],
                      availableReplicas=total["availableReplicas"],
                      unavailableReplicas=max(0, max(total["replicas"], wanted) - total["availableReplicas"])),
            "terminatingReplicas": total["terminatingReplicas"], "conditions": conditions,
        }  # fmt: skip
        if found.get("status") != status:
            self.cluster.put_status("Deployment", found, status)

    def _available(self, found: Object, before: list[Object], available: int) -> list[Object]:
        least = found["spec"].get("replicas", 1) - limits(found)[1]
        if available >= least:
            words = {
                "status": "True",
                "reason": "MinimumReplicasAvailable",
                "message": "Deployment has minimum availability.",
            }
        else:
            words = {
                "status": "False",
                "reason": "MinimumReplicasUnavailable",
                "message": "Deployment does not have minimum availability.",
            }
        return self._put(before, "Available", words)

    def _progressing(self, found: Object, conditions: list[Object], new: Object | None, counts: Object) -> list[Object]:
        if new is None:
            return conditions
        wanted = found["spec"].get("replicas", 1)
        seen = (uid_of(new), tuple(sorted(counts.items())), wanted)
        known, since = self._progress.get(uid_of(found), (None, datetime.now(UTC)))
        moved = known != seen
        if moved:
            since = datetime.now(UTC)
            self._progress[uid_of(found)] = (seen, since)
            self._look_at_deadline(found)
        name = name_of(new)
        if counts["updated"] == wanted == counts["replicas"] == counts["availableReplicas"] or (
            not wanted and not counts["replicas"]
        ):
            words = {
                "status": "True",
                "reason": "NewReplicaSetAvailable",
                "message": f'ReplicaSet "{name}" has successfully progressed.',
            }
        elif not moved and self._late(found, since):
            words = {
                "status": "False",
                "reason": "ProgressDeadlineExceeded",
                "message": f'ReplicaSet "{name}" has timed out progressing.',
            }
        elif moved and counts["updated"]:
            words = {"status": "True", "reason": "ReplicaSetUpdated", "message": f'ReplicaSet "{name}" is progressing.'}
        else:
            return conditions
        return self._put(conditions, "Progressing", words)

    def _late(self, found: Object, since: datetime) -> bool:
        limit = found["spec"].get("progressDeadlineSeconds", 600) / self.cluster.speed
        return (datetime.now(UTC) - since).total_seconds() >= limit

    def _look_at_deadline(self, found: Object) -> None:
        self.enqueue_later(
            found["spec"].get("progressDeadlineSeconds", 600) * 1.01 + 0.05, namespace_of(found), name_of(found)
        )

    def _failure(self, conditions: list[Object], sets: list[Object]) -> list[Object]:
        failed = next((each for one in sets if (each := condition(one, "ReplicaFailure"))), None)
        rest = [each for each in conditions if each["type"] != "ReplicaFailure"]
        if not failed:
            return rest
        words = {key: failed[key] for key in ("status", "reason", "message")}
        return self._put(conditions, "ReplicaFailure", words)

    def _put(self, conditions: list[Object], type_: str, words: Object) -> list[Object]:
        """An update time stays while nothing of the condition changes."""
        now = self.cluster.now()
        was = next((each for each in conditions if each["type"] == type_), {})
        if all(was.get(key) == value for key, value in words.items()):
            return conditions
        if was and type_ == "Available" and was["status"] == words["status"]:
            return conditions
        rest = [each for each in conditions if each["type"] != type_]
        since = was.get("lastTransitionTime", now) if was.get("status") == words["status"] else now
        return [
            *rest,
            {"type": type_, "status": words["status"], "lastUpdateTime": now, "lastTransitionTime": since, **words},
        ]


def template_of(each: Object) -> Object:
    """A ReplicaSet's template without the hash that its Deployment added."""
    template = each["spec"]["template"]
    inner = template.get("metadata") or {}
    labels = {key: value for key, value in (inner.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {**inner, "labels": labels}}


def replicas(each: Object) -> int:
    return each["spec"].get("replicas", 1)


def revision_of(each: Object) -> int:
    return int(annotations_of(each).get(f"{PREFIX}revision", "0"))


def next_revision(sets: list[Object]) -> int:
    return max(map(revision_of, sets), default=0) + 1


def recreates(found: Object) -> bool:
    return (found["spec"].get("strategy") or {}).get("type") == "Recreate"


def limits(found: Object) -> tuple[int, int]:
    """maxSurge and maxUnavailable as counts of pods: percentages are rounded up and down; both 0 is 0 and 1."""
    wanted = found["spec"].get("replicas", 1)
    rolling = (found["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge, down = rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%")
    up = surge if isinstance(surge, int) else -(-wanted * int(surge.rstrip("%")) // 100)
    off = down if isinstance(down, int) else wanted * int(down.rstrip("%")) // 100
    if recreates(found):
        return 0, wanted
    return up, min(wanted, off if off or up else 1)
