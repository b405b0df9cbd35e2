"""The scheduler: gives each pod a node, or tells why there is none."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .base import (
    Controller,
    Key,
    Object,
    condition,
    finished,
    name_of,
    namespace_of,
    set_condition,
    terminating,
    uid_of,
)
from .lookups import Pods, claims_of, selects
from .placement import Room, anti_affinity_refuses, pod_requests, preference, refusal_message, refusals

NAME = "default-scheduler"


class Scheduler(Controller):
    kinds = ("Pod", "Node", "PersistentVolumeClaim", "PersistentVolume")

    def __init__(self, cluster: Any, pods: Pods, rules: Any) -> None:
        super().__init__(cluster)
        self.pods, self.rules = pods, rules
        self.rooms: dict[str, Room] = {}
        self.taken: dict[str, tuple[str, Any]] = {}  # pod's uid → its node and requests
        self.waiting: dict[Key, None] = {}
        rules.listeners.append(lambda rule: self.retry())

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "Pod":
            self._pod_changed(event, obj, old)
        elif kind == "Node":
            self._node_changed(event, obj)
        else:
            self.retry()

    def retry(self) -> None:
        """All that wait are looked at again."""
        for key in self.waiting:
            self.enqueue(*key)

    def _pod_changed(self, event: str, pod: Object, old: Object | None) -> None:
        key = (namespace_of(pod), name_of(pod))
        node = pod["spec"].get("nodeName")
        if event == "DELETED" or finished(pod):
            self.waiting.pop(key, None)
            if self._free(pod):
                self.retry()
        elif node:
            self.waiting.pop(key, None)
            self._occupy(pod, node)
        elif pod["spec"].get("schedulerName", NAME) == NAME and not terminating(pod):
            changed = old is not None and old["spec"] != pod["spec"]
            if changed or key not in self.waiting:
                self.enqueue(*key)

    def _occupy(self, pod: Object, node: str) -> None:
        if uid_of(pod) not in self.taken:
            requests = pod_requests(pod)
            self.taken[uid_of(pod)] = (node, requests)
            if node in self.rooms:
                self.rooms[node].take(requests)

    def _free(self, pod: Object) -> bool:
        node, requests = self.taken.pop(uid_of(pod), (None, None))
        if node in self.rooms:
            self.rooms[node].take(requests, -1)
        return node is not None

    def _node_changed(self, event: str, node: Object) -> None:
        name = name_of(node)
        if event == "DELETED":
            self.rooms.pop(name, None)
            return
        room = Room(node)
        for where, requests in self.taken.values() if name not in self.rooms else ():
            if where == name:
                room.take(requests)
        if name in self.rooms:
            room.used = self.rooms[name].used
        self.rooms[name] = room
        self.retry()

    def sync(self, namespace: str, name: str) -> None:
        pod = self.cluster.get("Pod", namespace, name)
        if pod is None or pod["spec"].get("nodeName") or terminating(pod):
            return
        self.waiting[namespace, name] = None
        if pod["spec"].get("schedulingGates"):
            self._say(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates", event=False)
        elif message := self.rules.unschedulable(pod, len(self.rooms)) or self._claims_missing(pod):
            self._say(pod, "Unschedulable", message)
        else:
            self._place(pod)

    def _claims_missing(self, pod: Object) -> str:
        """The volume binding's refusal; "not found" at its end is what the claim allocation's plugin adds."""
        head = f"0/{len(self.rooms)} nodes are available"
        for claim in claims_of(pod):
            found = self.cluster.get("PersistentVolumeClaim", namespace_of(pod), claim)
            if found is None:
                return f'{head}: persistentvolumeclaim "{claim}" not found. not found'
            if terminating(found):
                return f'{head}: persistentvolumeclaim "{claim}" is being deleted. not found'
            if (found.get("status") or {}).get("phase") != "Bound" and not self._binds_late(found):
                return f"{head}: pod has unbound immediate PersistentVolumeClaims. not found"
        return ""

    def _binds_late(self, claim: Object) -> bool:
        class_ = self.cluster.get("StorageClass", "", claim["spec"].get("storageClassName") or "")
        return class_ is not None and class_.get("volumeBindingMode") == "WaitForFirstConsumer"

    def _place(self, pod: Object) -> None:
        reasons: Counter[str] = Counter()
        helpful, best = 0, None
        for name, room in sorted(self.rooms.items()):
            words, would_help = refusals(pod, room)
            if not words and anti_affinity_refuses(pod, room.node, self._neighbours(pod, name), selects):
                words, would_help = ["node(s) didn't match pod anti-affinity rules"], True
            reasons.update(words)
            helpful += bool(words and would_help)
            if not words:
                score = (preference(pod, room.node), room.emptiness())
                best = max(best, (score, name), key=lambda each: each[0]) if best else (score, name)
        if best is None:
            self._say(pod, "Unschedulable", refusal_message(reasons, helpful, len(self.rooms)))
        else:
            self._bind(pod, best[1])

    def _neighbours(self, pod: Object, node: str) -> list[Object]:
        return self.pods.on_node(node) if (pod["spec"].get("affinity") or {}).get("podAntiAffinity") else []

    def _bind(self, pod: Object, node: str) -> None:
        """As the pods/binding subresource does: the node, its zone as a label, and the condition."""
        self.waiting.pop((namespace_of(pod), name_of(pod)), None)
        condition_ = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
        status = {
            **pod["status"],
            "conditions": set_condition(pod["status"].get("conditions") or (), self.cluster.now(), **condition_),
        }
        zones = zone_labels(self.rooms[node].node)
        metadata = (
            {**pod["metadata"], "labels": {**(pod["metadata"].get("labels") or {}), **zones}}
            if zones
            else pod["metadata"]
        )
        bound = {**pod, "metadata": metadata, "spec": {**pod["spec"], "nodeName": node}, "status": status}
        self.cluster.put("Pod", bound)
        self._event(
            pod, "Normal", "Scheduled", f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}", "Binding"
        )

    def _say(self, pod: Object, reason: str, message: str, *, event: bool = True) -> None:
        was = condition(pod, "PodScheduled")
        if (was.get("reason"), was.get("message")) == (reason, message):
            return
        generation = pod["metadata"].get("generation", 1)
        seen = {"observedGeneration": generation} if event else {}
        new = {
            "type": "PodScheduled",
            **seen,
            "status": "False",
            "lastProbeTime": None,
            "reason": reason,
            "message": message,
        }
        conditions = set_condition(pod["status"].get("conditions") or (), self.cluster.now(), **new)
        self.cluster.put_status("Pod", pod, {**pod["status"], "conditions": conditions})
        if event:
            self._event(pod, "Warning", "FailedScheduling", message, "Scheduling")

    def _event(self, pod: Object, type_: str, reason: str, message: str, action: str) -> None:
        self.cluster.record_event(pod, type_, reason, message, NAME, action=action)


def zone_labels(node: Object) -> dict[str, str]:
    labels = node["metadata"].get("labels") or {}
    return {
        key: labels[key] for key in ("topology.kubernetes.io/zone", "topology.kubernetes.io/region") if key in labels
    }
