"""LeaderWorkerSet: groups of one leader and its workers, through StatefulSets as the real operator makes them.

After kubernetes-sigs/lws: leaders are one StatefulSet with the set's name; each leader pod owns a StatefulSet of workers
with the pod's name, whose ordinals start at 1.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..base import (
    Controller,
    Object,
    annotations_of,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    present,
    set_condition,
    terminating,
)
from ..revisions import encode

if TYPE_CHECKING:
    from .. import Controllers

KIND = "LeaderWorkerSet.leaderworkerset.x-k8s.io"
LABEL = "leaderworkerset.sigs.k8s.io/"
API = "leaderworkerset.x-k8s.io/v1"


class LeaderWorkerSets(Controller):
    kinds = (KIND, "StatefulSet", "Pod")

    def __init__(self, controllers: Controllers) -> None:
        super().__init__(controllers.hands)
        self.pods = controllers.pods
        self._restarts: dict[str, int] = {}

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        name = name_of(obj) if kind == KIND else labels_of(obj).get(LABEL + "name")
        if not name:
            return
        self.enqueue(namespace_of(obj), name)
        if kind == "Pod":
            self._watch_group(event, obj, old)

    def _watch_group(self, event: str, pod: Object, old: Object | None) -> None:
        """A pod that went or restarted takes its whole group with it (RecreateGroupOnPodRestart)."""
        found = self.cluster.get(KIND, namespace_of(pod), labels_of(pod)[LABEL + "name"])
        if (
            found is None
            or terminating(found)
            or found["spec"]["leaderWorkerTemplate"].get("restartPolicy", "") == "None"
        ):
            return
        restarted = old is not None and restarts(pod) > restarts(old)
        gone = event == "DELETED" and labels_of(pod).get(LABEL + "worker-index") != "0"
        leader = self.cluster.get(
            "Pod", namespace_of(pod), f"{name_of(found)}-{labels_of(pod).get(LABEL + 'group-index')}"
        )
        if (restarted or gone) and leader is not None and not terminating(leader):
            message = f"Worker pod {name_of(pod)} failed, deleted leader pod {name_of(leader)} to recreate group"
            self.cluster.record_event(found, "Normal", "RecreateGroup", message, "leaderworkerset")
            self.cluster.later(0, lambda: self.cluster.delete("Pod", namespace_of(pod), name_of(leader)))

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get(KIND, namespace, name)
        if found is None or terminating(found):
            return
        self._service(found)
        leaders = self._stateful_set(found, self._leaders(found))
        for leader in self.pods.owned_by(leaders):
            if (
                found["spec"]["leaderWorkerTemplate"].get("size", 1) > 1
                and not terminating(leader)
                and self._may_start(found, leader)
            ):
                self._stateful_set(found, self._workers(found, leader))
        self._write(found)

    def _may_start(self, found: Object, leader: Object) -> bool:
        return found["spec"].get("startupPolicy", "LeaderCreated") == "LeaderCreated" or is_ready(leader)

    def _service(self, found: Object) -> None:
        """The headless service that gives leaders their names."""
        if self.cluster.get("Service", namespace_of(found), name_of(found)) is None:
            metadata = {
                "name": name_of(found),
                "namespace": namespace_of(found),
                "ownerReferences": [owner_reference(found, API, "LeaderWorkerSet")],
            }
            spec = {"clusterIP": "None", "selector": {LABEL + "name": name_of(found)}, "publishNotReadyAddresses": True}
            self.cluster.create("Service", {"metadata": metadata, "spec": spec}, manager="lws")

    def _stateful_set(self, found: Object, wanted: Object) -> Object:
        existing = self.cluster.get("StatefulSet", namespace_of(found), name_of(wanted))
        if existing is None:
            return self.cluster.create("StatefulSet", wanted, manager="lws")
        if (
            labels_of(existing).get(LABEL + "template-revision-hash")
            != labels_of(wanted)[LABEL + "template-revision-hash"]
        ):
            spec = {**existing["spec"], "replicas": wanted["spec"]["replicas"], "template": wanted["spec"]["template"]}
            return self.cluster.update(
                "StatefulSet",
                {**existing, "metadata": {**existing["metadata"], "labels": labels_of(wanted)}, "spec": spec},
                manager="lws",
            )
        if existing["spec"]["replicas"] != wanted["spec"]["replicas"]:
            return self.cluster.update(
                "StatefulSet",
                {**existing, "spec": {**existing["spec"], "replicas": wanted["spec"]["replicas"]}},
                manager="lws",
            )
        return existing

    def _leaders(self, found: Object) -> Object:
        template = found["spec"]["leaderWorkerTemplate"]
        return self._made(found, name_of(found), template.get("leaderTemplate") or template["workerTemplate"], {
            "replicas": found["spec"].get("replicas", 1), "owner": owner_reference(found, API, "LeaderWorkerSet"),
            "first": 0, "labels": {LABEL + "worker-index": "0"},
        })  # fmt: skip

    def _workers(self, found: Object, leader: Object) -> Object:
        template, group = found["spec"]["leaderWorkerTemplate"], name_of(leader).rpartition("-")[2]
        labels = {LABEL + "group-index": group, LABEL + "group-key": labels_of(leader).get(LABEL + "group-key", group)}
        return self._made(found, name_of(leader), template["workerTemplate"], {
            "replicas": template.get("size", 1) - 1, "owner": owner_reference(leader, "v1", "Pod"),
            "first": 1, "labels": labels,
        })  # fmt: skip

    def _made(self, found: Object, name: str, template: Object, how: Object) -> Object:
        hash_ = revision(found)
        labels = {LABEL + "name": name_of(found), LABEL + "template-revision-hash": hash_, **how["labels"]}
        inner = template.get("metadata") or {}
        size = found["spec"]["leaderWorkerTemplate"].get("size", 1)
        notes = {**(inner.get("annotations") or {}), LABEL + "size": str(size)}
        pod = {
            "metadata": {**inner, "labels": {**(inner.get("labels") or {}), **labels}, "annotations": notes},
            "spec": template["spec"],
        }
        selector = {key: labels[key] for key in labels if key != LABEL + "template-revision-hash"}
        policy = "Parallel"
        metadata = {"name": name, "namespace": namespace_of(found), "labels": labels, "ownerReferences": [how["owner"]]}
        spec = {
            "replicas": how["replicas"], "serviceName": name_of(found), "podManagementPolicy": policy,
            "selector": {"matchLabels": selector}, "template": pod, "ordinals": {"start": how["first"]},
        }  # fmt: skip
        return {"metadata": metadata, "spec": spec}

    def complete(self, verb: str, res: object, pod: Object, old: Object | None) -> None:
        """What the operator's webhook adds to a pod at its creation: its place in the group, as labels and environment."""
        name = labels_of(pod).get(LABEL + "name") if getattr(res, "kind", "") == "Pod" and verb == "create" else None
        if not name:
            return
        labels, own = dict(labels_of(pod)), name_of(pod)
        if labels.get(LABEL + "worker-index") == "0":
            labels[LABEL + "group-index"] = own.rpartition("-")[2]
            labels[LABEL + "group-key"] = hashlib.sha1(f"{namespace_of(pod)}/{own}".encode()).hexdigest()
            leader = own
        else:
            leader, _, labels[LABEL + "worker-index"] = own.rpartition("-")
        pod["metadata"]["labels"] = labels
        known = [
            {"name": "LWS_LEADER_ADDRESS", "value": f"{leader}.{name}.{namespace_of(pod)}"},
            {"name": "LWS_GROUP_SIZE", "value": annotations_of(pod).get(LABEL + "size", "1")},
            {"name": "LWS_WORKER_INDEX", "value": labels[LABEL + "worker-index"]},
        ]
        containers = [{**each, "env": [*known, *(each.get("env") or ())]} for each in pod["spec"]["containers"]]
        pod["spec"] = {**pod["spec"], "containers": containers, "subdomain": name}

    def _write(self, found: Object) -> None:
        namespace, size = namespace_of(found), found["spec"]["leaderWorkerTemplate"].get("size", 1)
        hash_, count, ready, updated = revision(found), 0, 0, 0
        for number in range(found["spec"].get("replicas", 1)):
            leader = self.cluster.get("Pod", namespace, f"{name_of(found)}-{number}")
            if leader is None:
                continue
            workers = [self.cluster.get("Pod", namespace, f"{name_of(leader)}-{index}") for index in range(1, size)]
            group = [leader, *workers]
            count += 1
            ready += all(each is not None and is_ready(each) for each in group)
            updated += all(
                each is not None and labels_of(each).get(LABEL + "template-revision-hash") == hash_ for each in group
            )
        wanted = found["spec"].get("replicas", 1)
        before = found.get("status") or {}
        status = {
            **present(replicas=count, readyReplicas=ready, updatedReplicas=updated),
            "observedGeneration": found["metadata"]["generation"],
            "hpaPodSelector": f"{LABEL}name={name_of(found)},{LABEL}worker-index=0",
            "conditions": self._conditions(before.get("conditions") or (), ready == wanted, updated == wanted),
        }  # fmt: skip
        if before != status:
            self.cluster.put_status(KIND, found, status)

    def _conditions(self, before: list[Object], ready: bool, updated: bool) -> list[Object]:
        """The real operator sets what is, and turns the others to False once they were there."""
        now, done = self.cluster.now(), ready and updated
        words = {
            "Available": (done, "AllGroupsReady", "All replicas are ready"),
            "Progressing": (not done, "GroupsProgressing", "Replicas are progressing"),
            "UpdateInProgress": (not updated, "GroupsUpdating", "Rolling Upgrade is in progress"),
        }
        found = list(before)
        for type_, (holds, reason, message) in words.items():
            if holds or any(each["type"] == type_ for each in found):
                found = set_condition(found, now, type=type_, status=str(bool(holds)), reason=reason, message=message)
        return found


def revision(found: Object) -> str:
    return hashlib.sha1(encode(found["spec"]["leaderWorkerTemplate"])).hexdigest()[:10]


def restarts(pod: Object) -> int:
    return sum(each.get("restartCount", 0) for each in (pod.get("status") or {}).get("containerStatuses") or ())
