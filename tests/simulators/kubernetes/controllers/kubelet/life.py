"""The life of pods on their nodes: from ContainerCreating to Ready, into failures, and away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base import Object, annotations_of, finished, name_of, namespace_of, terminating, uid_of
from ..lookups import Pods
from . import report
from .rules import Play, Rule, Rules

SUCCEED_AFTER = 1.0
"""Seconds from running to done for a pod that is not to be restarted."""


class Kubelet:
    """Plays every pod that has a node. Each pod has at most one timer that counts: an older one sees another turn and stops."""

    def __init__(self, cluster: Any, pods: Pods, rules: Rules) -> None:
        self.cluster, self.pods, self.rules = cluster, pods, rules
        self._turns: dict[str, int] = {}
        self._addresses = 0
        self.stopped: Callable[[str], None] = lambda uid: None
        rules.listeners.append(self._rule_changed)
        cluster.on_change(("Pod",), self._changed)

    def _changed(self, event: str, kind: str, pod: Object, old: Object | None) -> None:
        uid, node = uid_of(pod), pod["spec"].get("nodeName")
        if event == "DELETED":
            if self._turns.pop(uid, None) is not None:
                self.stopped(uid)
        elif not node or self._is_down(node):
            return
        elif terminating(pod) and (old is None or not terminating(old) or shorter(pod, old)):
            self._stop_later(pod)
        elif uid not in self._turns and not finished(pod) and not terminating(pod):
            self._turn(pod, 0, self._start)

    def _is_down(self, node: str) -> bool:
        """Whether the node does not report. One that does not exist has no kubelet either."""
        found = self.cluster.get("Node", "", node)
        return found is None or annotations_of(found).get("test.kubelet/down") == "true"

    def node_back(self, node: str) -> None:
        """A node reports again: its pods get what they missed."""
        for pod in self.pods.on_node(node):
            if terminating(pod):
                self._stop_later(pod)
            elif not finished(pod):
                self._turn(pod, 0, self._start)

    def _rule_changed(self, rule: Rule) -> None:
        """A rule came or went: the pods that it takes start their life again, those that ended stay."""
        for pod in self.cluster.list("Pod"):
            node = pod["spec"].get("nodeName")
            if node and rule.takes(pod) and not terminating(pod) and not finished(pod) and not self._is_down(node):
                self._turn(pod, 0, self._start)

    def _turn(self, pod: Object, seconds: float, step: Callable[[Object], None]) -> None:
        """Does `step` with the pod as it is then, unless something newer was decided for it meanwhile."""
        uid, key = uid_of(pod), (namespace_of(pod), name_of(pod))
        turn = self._turns[uid] = self._turns.get(uid, 0) + 1

        def run() -> None:
            now = self.cluster.get("Pod", *key)
            if now is None or uid_of(now) != uid or self._turns.get(uid) != turn:
                return
            if not self._is_down(now["spec"]["nodeName"]):
                step(now)

        self.cluster.later(seconds, run)

    def _start(self, pod: Object) -> None:
        play = self.rules.play(pod)
        match play.state:
            case "waiting":
                self._wait(pod, play.argument, initialized=True, events=play)
            case "pending":
                self._wait(pod, "ContainerCreating", initialized=False, events=play)
            case "crash":
                self._crash(pod, play, play.restarts)
            case "succeed" | "fail" | "evicted":
                self._end(pod, play)
            case _:
                self._wait(pod, "ContainerCreating", initialized=True)
                self._turn(pod, play.ready_after, self._run)

    def _wait(self, pod: Object, reason: str, *, initialized: bool, events: Play | None = None) -> None:
        containers = []
        for container in pod["spec"]["containers"]:
            waiting = {"reason": reason}
            if reason != "ContainerCreating":
                waiting["message"] = report.waiting_message(reason, pod, container, 0)
            containers.append(report.container_status(container, pod, {"waiting": waiting}))
        self._write(pod, "Pending", started=False, initialized=initialized, ready=False, containers=containers)
        if events:
            self._tell(pod, events.state, events.argument)

    def _run(self, pod: Object) -> None:
        play = self.rules.play(pod)
        ready = play.state != "notready"
        running = {"running": {"startedAt": self.cluster.now()}}
        restarts = restarts_of(pod)
        containers = [
            report.container_status(
                container, pod, running, ready=ready, started=True, restarts=restarts, last=last_state(pod)
            )
            for container in pod["spec"]["containers"]
        ]
        self._write(pod, "Running", started=True, initialized=True, ready=ready, containers=containers)
        self._tell(pod, play.state, "")
        if pod["spec"].get("restartPolicy", "Always") != "Always":
            self._turn(pod, SUCCEED_AFTER, lambda now: self._end(now, Play("succeed")))

    def _crash(self, pod: Object, play: Play, restarts: int) -> None:
        """CrashLoopBackOff at once; a rule's crash goes on crashing, each time after a longer wait."""
        if pod["spec"].get("restartPolicy") == "Never":
            return self._end(pod, Play("fail", play.argument))
        now = self.cluster.now()
        last = report.terminated(int(play.argument or 1), now, now)
        containers = []
        for container in pod["spec"]["containers"]:
            message = report.waiting_message("CrashLoopBackOff", pod, container, restarts)
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
            containers.append(report.container_status(container, pod, waiting, last=last, restarts=restarts))
        self._write(pod, "Running", started=True, initialized=True, ready=False, containers=containers)
        self._tell(pod, "crash", play.argument)
        if play.by_rule:
            wait = min(300, 10 * 2 ** max(0, restarts - 1))
            self._turn(pod, wait, lambda now: self._crash(now, self.rules.play(now), restarts + 1))
        return None

    def _end(self, pod: Object, play: Play) -> None:
        code = int(play.argument or 1) if play.state == "fail" else 0
        now = self.cluster.now()
        if play.state == "evicted":
            self._evicted(pod, now)
            return
        running = (pod.get("status") or {}).get("containerStatuses") or [{}]
        since = ((running[0].get("state") or {}).get("running") or {}).get("startedAt", now)
        state = report.terminated(code, since, now)
        containers = [report.container_status(container, pod, state) for container in pod["spec"]["containers"]]
        phase = "Failed" if code else "Succeeded"
        self._write(pod, phase, started=True, initialized=True, ready=False, containers=containers)

    def _evicted(self, pod: Object, now: str) -> None:
        ended = report.terminated(137, now, now)
        message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. "
        status = report.status(
            pod, "Failed", now, (self._host(pod), ""), started=False, initialized=True, ready=False,
            containers=[report.container_status(each, pod, ended) for each in pod["spec"]["containers"]],
        )  # fmt: skip
        self.cluster.put_status("Pod", pod, {**status, "reason": "Evicted", "message": message})
        self.cluster.record_event(pod, "Warning", "Evicted", message, "kubelet")

    def _write(self, pod: Object, phase: str, **flags: Any) -> None:
        addressed = flags["started"] or (pod.get("status") or {}).get("podIP")
        addresses = self._host(pod), self._address(pod) if addressed else ""
        status = report.status(pod, phase, self.cluster.now(), addresses, **flags)
        self.cluster.put_status("Pod", pod, status)

    def _host(self, pod: Object) -> str:
        node = self.cluster.get("Node", "", pod["spec"]["nodeName"]) or {}
        addresses = (node.get("status") or {}).get("addresses") or ()
        return next((each["address"] for each in addresses if each["type"] == "InternalIP"), "10.0.0.1")

    def _address(self, pod: Object) -> str:
        """A pod keeps the address that it got."""
        if own := (pod.get("status") or {}).get("podIP"):
            return str(own)
        self._addresses += 1
        return f"10.{244 + (self._addresses >> 16)}.{self._addresses >> 8 & 255}.{self._addresses & 255}"

    def _tell(self, pod: Object, state: str, argument: str) -> None:
        for container in pod["spec"]["containers"]:
            for type_, reason, message in report.trouble_events(state, argument, pod, container):
                self.cluster.record_event(pod, type_, reason, message, "kubelet", host=pod["spec"]["nodeName"])

    def _stop_later(self, pod: Object) -> None:
        """Stops the containers, within the grace period, and confirms the deletion."""
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 30)
        self._turn(pod, min(self.rules.play(pod).stop_after, grace), self._stop)

    def _stop(self, pod: Object) -> None:
        self.cluster.delete("Pod", namespace_of(pod), name_of(pod), grace=0)


def shorter(pod: Object, old: Object) -> bool:
    return pod["metadata"].get("deletionGracePeriodSeconds") != old["metadata"].get("deletionGracePeriodSeconds")


def first_status(pod: Object) -> Object:
    return next(iter((pod.get("status") or {}).get("containerStatuses") or ()), {})


def restarts_of(pod: Object) -> int:
    """Restarts survive a recovery: a container that crashed and runs again still counts them."""
    return first_status(pod).get("restartCount", 0)


def last_state(pod: Object) -> Object:
    return first_status(pod).get("lastState") or {}
