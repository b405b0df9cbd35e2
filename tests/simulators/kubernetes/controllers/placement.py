"""Whether a pod fits on a node, with the scheduler's own words for why not (pkg/scheduler/framework/plugins)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from .base import Object, labels_of, name_of
from .lookups import amount, fits, requests_of

UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


def tolerates(pod: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    return any(tolerated(each, taint) for each in pod["spec"].get("tolerations") or ())


def tolerated(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def affinity_fits(pod: Mapping[str, Any], node: Object) -> bool:
    """nodeSelector, and nodeAffinity's required terms (any one of them)."""
    spec, labels = pod["spec"], labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(term_fits(term, node) for term in required.get("nodeSelectorTerms") or ())


def term_fits(term: Mapping[str, Any], node: Object) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    name = {"metadata.name": name_of(node)}
    return all(fits(each, labels_of(node)) for each in expressions) and all(fits(each, name) for each in fields)


def preference(pod: Mapping[str, Any], node: Object) -> int:
    """The weights of the preferred node affinity terms that the node meets, less one for each taint that repels softly."""
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    liked = sum(term["weight"] for term in terms if term_fits(term["preference"], node))
    soft = [taint for taint in node["spec"].get("taints") or () if taint["effect"] == "PreferNoSchedule"]
    return liked - sum(not tolerates(pod, taint) for taint in soft)


class Room:
    """What is left of a node: allocatable less the requests of the pods that stand on it."""

    def __init__(self, node: Object) -> None:
        self.node = node
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        self.total = {resource: amount(text) for resource, text in allocatable.items()}
        self.used: dict[str, Fraction] = {}

    def take(self, requests: Mapping[str, Fraction], sign: int = 1) -> None:
        for resource, value in requests.items():
            self.used[resource] = self.used.get(resource, Fraction(0)) + sign * value

    def short_of(self, requests: Mapping[str, Fraction]) -> list[str]:
        return [
            resource for resource, value in requests.items()
            if value > self.total.get(resource, Fraction(0)) - self.used.get(resource, Fraction(0))
        ]  # fmt: skip

    def emptiness(self) -> Fraction:
        """0 to 1: the mean share of cpu and memory that is free, as LeastAllocated scores."""
        shares = []
        for resource in ("cpu", "memory"):
            if total := self.total.get(resource):
                shares.append(1 - self.used.get(resource, Fraction(0)) / total)
        return sum(shares, Fraction(0)) / max(1, len(shares))


def pod_requests(pod: Mapping[str, Any]) -> dict[str, Fraction]:
    return {**requests_of(pod), "pods": Fraction(1)}


def refusals(pod: Mapping[str, Any], room: Room) -> tuple[list[str], bool]:
    """Why the pod cannot stand on the node (the first plugin that refuses), and whether fewer pods there would help."""
    node = room.node
    if node["spec"].get("unschedulable") and not tolerates(pod, {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}):
        return ["node(s) were unschedulable"], False
    hard = [taint for taint in node["spec"].get("taints") or () if taint["effect"] in ("NoSchedule", "NoExecute")]
    if any(not tolerates(pod, taint) for taint in hard):
        return ["node(s) had untolerated taint(s)"], False
    if not affinity_fits(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"], False
    wanted = pod_requests(pod)
    short = room.short_of(wanted)
    words = ["Too many pods" if resource == "pods" else f"Insufficient {resource}" for resource in short]
    return words, all(wanted[resource] <= room.total.get(resource, Fraction(0)) for resource in short)


def anti_affinity_refuses(pod: Mapping[str, Any], node: Object, neighbours: Iterable[Object], selects: Any) -> bool:
    """Required podAntiAffinity by host name: no neighbour that its selector takes."""
    affinity = (pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    own = pod["metadata"].get("namespace")
    return any(
        term.get("topologyKey") == "kubernetes.io/hostname" and selects(term.get("labelSelector"), labels_of(each))
        for term in terms for each in neighbours if each["metadata"].get("namespace") == own
    )  # fmt: skip


def refusal_message(reasons: Mapping[str, int], helpful: int, nodes: int) -> str:
    """ "0/3 nodes are available: ..." with what preemption would do, as the scheduler of Kubernetes 1.36 says it."""
    if not nodes:
        return "no nodes available to schedule pods"
    why = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    parts = {NO_VICTIMS: helpful, NOT_HELPFUL: nodes - helpful}
    preemption = ", ".join(sorted(f"{count} {words}" for words, count in parts.items() if count))
    head = f"0/{nodes} nodes are available"
    return f"{head}: {why}. no new claims to deallocate, preemption: {head}: {preemption}."
