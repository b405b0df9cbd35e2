"""Nodes: heartbeats that stop, taints that follow, and the pods that they drive away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Controller, Object, annotations_of, name_of, namespace_of, set_condition, terminating
from .lookups import Pods
from .placement import UNSCHEDULABLE_TAINT, tolerated

GRACE_PERIOD = 50.0
"""Seconds without a heartbeat until a node counts as lost (node-monitor-grace-period of the controller manager)."""
UNREACHABLE = "node.kubernetes.io/unreachable"
DOWN = "test.kubelet/down"
FINE = {
    "Ready": ("True", "KubeletReady"), "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure"), "PIDPressure": ("False", "KubeletHasSufficientPID"),
}  # fmt: skip


def node(name: str, *, cpu: int, memory: str, disk: str, zone: str = "z1", gpus: int = 0, **more: Any) -> Object:
    """A node that is ready. more: `labels`, `taints`, `address`, `gpu_product`, `gpu_memory` (MiB)."""
    arch = {"arch": "amd64", "os": "linux"}
    labels = {f"{prefix}kubernetes.io/{key}": value for prefix in ("beta.", "") for key, value in arch.items()}
    labels |= {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
    room = {"cpu": str(cpu), "ephemeral-storage": disk, "memory": memory, "pods": str(more.get("pods", 110))}
    if gpus:
        room["nvidia.com/gpu"] = str(gpus)
        labels |= {
            "nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": str(gpus),
            "nvidia.com/gpu.product": more.get("gpu_product", "NVIDIA-H200"),
            "nvidia.com/gpu.memory": str(more.get("gpu_memory", 143771)),
        }  # fmt: skip
    metadata = {
        "name": name,
        "labels": {**labels, **more.get("labels", {})},
        "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
    }
    spec = {"taints": more["taints"]} if more.get("taints") else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": spec,
        "status": node_status(name, room, more),
    }


def node_status(name: str, room: dict[str, str], more: dict[str, Any]) -> Object:
    return {
        "capacity": room, "allocatable": room,
        "addresses": [
            {"type": "InternalIP", "address": more.get("address", "10.0.0.1")}, {"type": "Hostname", "address": name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "6.1.0", "osImage": "fake",
            "containerRuntimeVersion": "containerd://2.1.0", "kubeletVersion": "v1.36.2", "kubeProxyVersion": "",
            "operatingSystem": "linux", "architecture": "amd64",
        },
    }  # fmt: skip


def gpu_node(name: str, gpus: int = 8, **more: Any) -> Object:
    """96 cpu, 1Ti of memory and NVIDIA GPUs."""
    return node(name, gpus=gpus, **{"cpu": 96, "memory": "1Ti", "disk": "2Ti", **more})


def cpu_node(name: str, **more: Any) -> Object:
    """32 cpu, 128Gi of memory, no GPU."""
    return node(name, **{"cpu": 32, "memory": "128Gi", "disk": "500Gi", **more})


class Nodes(Controller):
    kinds = ("Node", "Pod")

    def __init__(self, cluster: Any, pods: Pods, back: Callable[[str], None]) -> None:
        super().__init__(cluster)
        self.pods, self.back = pods, back
        self._down_since: dict[str, int] = {}
        self._evicting: set[str] = set()
        self._leaving: dict[str, object] = {}
        self._turn = 0

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "Node":
            self.enqueue("", name_of(obj))
        elif event != "DELETED" and obj["spec"].get("nodeName") in self._evicting:
            self.enqueue("", obj["spec"]["nodeName"])

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get("Node", "", name)
        if found is None:
            self._down_since.pop(name, None)
            self._orphaned(name)
            return
        down = annotations_of(found).get(DOWN) == "true"
        if down and name not in self._down_since:
            self._watch_out(name)
        elif not down:
            self._alive(found)
        self._taint(self.cluster.get("Node", "", name))
        self._evict(self.cluster.get("Node", "", name))

    def _orphaned(self, name: str) -> None:
        """Pods of a node that was removed go with it."""
        for pod in self.pods.on_node(name):
            self.cluster.delete("Pod", namespace_of(pod), name_of(pod), grace=0)

    def _watch_out(self, name: str) -> None:
        self._turn += 1
        turn = self._down_since[name] = self._turn

        def expire() -> None:
            found = self.cluster.get("Node", "", name)
            if found is not None and self._down_since.get(name) == turn:
                self._lose(found)

        self.cluster.later(GRACE_PERIOD, expire)

    def _alive(self, found: Object) -> None:
        name = name_of(found)
        was_down = self._down_since.pop(name, None) is not None
        conditions = (found.get("status") or {}).get("conditions") or ()
        if any(each["status"] == "Unknown" for each in conditions) or len(conditions) < len(FINE):
            now = self.cluster.now()
            for type_, (status, reason) in FINE.items():
                conditions = set_condition(
                    conditions, now, type=type_, status=status, lastHeartbeatTime=now, reason=reason
                )
            self.cluster.put_status("Node", found, {**(found.get("status") or {}), "conditions": conditions})
        if was_down:
            self.cluster.later(0.1, lambda: self.back(name))

    def _lose(self, found: Object) -> None:
        now = self.cluster.now()
        conditions = (found.get("status") or {}).get("conditions") or ()
        for each in list(conditions):
            lost = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
            new = {
                "type": each["type"],
                "status": "Unknown",
                "lastHeartbeatTime": each.get("lastHeartbeatTime", now),
                **lost,
            }
            conditions = set_condition(conditions, now, **new)
        self.cluster.put_status("Node", found, {**found["status"], "conditions": conditions})
        self.cluster.record_event(
            found, "Normal", "NodeNotReady", f"Node {name_of(found)} status is now: NodeNotReady", "node-controller"
        )
        for pod in self.pods.on_node(name_of(found)):
            self._not_ready(pod, now)

    def _not_ready(self, pod: Object, now: str) -> None:
        status = pod.get("status") or {}
        conditions = [dict(each) for each in status.get("conditions") or ()]
        for each in conditions:
            if each["type"] == "Ready" and each["status"] != "False":
                each |= {"status": "False", "lastTransitionTime": now}
        self.cluster.put_status("Pod", pod, {**status, "conditions": conditions})
        self.cluster.record_event(pod, "Warning", "NodeNotReady", "Node is not ready", "node-controller")

    def _taint(self, found: Object | None) -> None:
        """The taints that follow from the node's state, after those that people set."""
        if found is None:
            return
        before = found["spec"].get("taints") or []
        ready = next(
            (each["status"] for each in found["status"].get("conditions") or () if each["type"] == "Ready"), "True"
        )
        wanted = []
        if found["spec"].get("unschedulable"):
            wanted.append((UNSCHEDULABLE_TAINT, "NoSchedule"))
        if ready == "Unknown":
            wanted += [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
        ours = {(UNSCHEDULABLE_TAINT, "NoSchedule"), (UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
        kept = [
            each
            for each in before
            if (each["key"], each["effect"]) not in ours or (each["key"], each["effect"]) in wanted
        ]
        have = {(each["key"], each["effect"]) for each in kept}
        added = [
            {"key": key, "effect": effect, "timeAdded": self.cluster.now()}
            for key, effect in wanted
            if (key, effect) not in have
        ]
        if kept + added != before:
            spec = {key: value for key, value in {**found["spec"], "taints": kept + added}.items() if value != []}
            self.cluster.put("Node", {**found, "spec": spec})

    def _evict(self, found: Object | None) -> None:
        """NoExecute: pods that do not tolerate the taint go at once, others when their tolerationSeconds are over."""
        taints = [
            each for each in ((found or {}).get("spec") or {}).get("taints") or () if each["effect"] == "NoExecute"
        ]
        if found is None:
            return
        if not taints:
            self._evicting.discard(name_of(found))
            for pod in self.pods.on_node(name_of(found)):
                self._leaving.pop(pod["metadata"]["uid"], None)
            return
        self._evicting.add(name_of(found))
        for pod in self.pods.on_node(name_of(found)):
            wait = patience(pod, taints)
            if wait is None or terminating(pod):
                continue
            if wait <= 0:
                message = f"Marking for deletion Pod {namespace_of(pod)}/{name_of(pod)}"
                self.cluster.record_event(pod, "Normal", "TaintManagerEviction", message, "taint-eviction-controller")
                self.cluster.delete("Pod", namespace_of(pod), name_of(pod))
            else:
                self._evict_later(wait, name_of(found), pod["metadata"]["uid"])

    def _evict_later(self, wait: float, name: str, uid: str) -> None:
        """Once for each pod while the taints stay; a later outage counts from its own beginning."""
        if uid in self._leaving:
            return
        reason = self._leaving[uid] = object()

        def expire() -> None:
            if self._leaving.get(uid) is not reason:
                return
            del self._leaving[uid]
            for pod in self.pods.on_node(name):
                if pod["metadata"]["uid"] == uid and not terminating(pod):
                    self.cluster.delete("Pod", namespace_of(pod), name_of(pod))

        self.cluster.later(wait, expire)


def patience(pod: Object, taints: list[Object]) -> float | None:
    """How long the pod may stay under these taints, in seconds; None is for ever."""
    shortest: float | None = None
    for taint in taints:
        fitting = [each for each in pod["spec"].get("tolerations") or () if tolerated(each, taint)]
        if not fitting:
            return 0
        limits = [each["tolerationSeconds"] for each in fitting if "tolerationSeconds" in each]
        if limits:
            shortest = min([*limits] + ([shortest] if shortest is not None else []))
    return shortest
