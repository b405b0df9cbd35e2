"""PodDisruptionBudgets, and evictions that ask them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.simulators.kubernetes.errors import ApiError, bad_request, not_found

from .base import (
    Controller,
    Object,
    controller_of,
    finished,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    set_condition,
    terminating,
)  # fmt: skip
from .lookups import Pods, selects

SCALED = ("StatefulSet", "ReplicaSet", "Deployment", "ReplicationController")


class DisruptionBudgets(Controller):
    kinds = ("PodDisruptionBudget", "Pod")

    def __init__(self, cluster: Any, pods: Pods) -> None:
        super().__init__(cluster)
        self.pods = pods

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "PodDisruptionBudget":
            self.enqueue(namespace_of(obj), name_of(obj))
            return
        for budget in self.of(obj):
            self.enqueue(namespace_of(budget), name_of(budget))

    def of(self, pod: Object) -> list[Object]:
        """The budgets that count this pod."""
        budgets = self.cluster.list("PodDisruptionBudget", namespace_of(pod))
        return [each for each in budgets if selects(each["spec"].get("selector"), labels_of(pod))]

    def sync(self, namespace: str, name: str) -> None:
        budget = self.cluster.get("PodDisruptionBudget", namespace, name)
        if budget is None:
            return
        pods = [pod for pod in self.pods.selected(namespace, budget["spec"].get("selector")) if not finished(pod)]
        healthy = sum(is_ready(pod) and not terminating(pod) for pod in pods)
        expected, desired = self._counts(budget, pods)
        allowed = max(0, healthy - desired) if expected else 0
        generation = budget["metadata"]["generation"]
        condition = {
            "type": "DisruptionAllowed", "status": "True" if allowed else "False", "observedGeneration": generation,
            "reason": "SufficientPods" if allowed else "InsufficientPods", "message": "",
        }  # fmt: skip
        before = (budget.get("status") or {}).get("conditions") or ()
        status = {
            "observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": healthy,
            "desiredHealthy": desired, "expectedPods": expected,
            "conditions": set_condition(before, self.cluster.now(), **condition),
        }  # fmt: skip
        if budget.get("status") != status:
            self.cluster.put_status("PodDisruptionBudget", budget, status)

    def _counts(self, budget: Object, pods: list[Object]) -> tuple[int, int]:
        """How many pods there should be, and how many must be healthy."""
        spec = budget["spec"]
        if "maxUnavailable" in spec:
            expected = self._expected(pods)
            return expected, max(0, expected - part(spec["maxUnavailable"], expected))
        least = spec.get("minAvailable", 1)
        expected = self._expected(pods) if isinstance(least, str) else len(pods)
        return expected, part(least, expected)

    def _expected(self, pods: list[Object]) -> int:
        """The replicas that the pods' controllers want."""
        owners = {(ref["kind"], namespace_of(pod), ref["name"]) for pod in pods if (ref := controller_of(pod))}
        found = [self.cluster.get(*each) for each in owners if each[0] in SCALED]
        return sum(each["spec"].get("replicas", 1) for each in found if each)

    def evict(self, namespace: str, name: str, body: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """The eviction subresource: deletes the pod if its budget allows.

        :raises ApiError: 404 no such pod, 429 the budget forbids it, 400 the body names another pod.
        """
        pod = self.cluster.get("Pod", namespace, name)
        if pod is None:
            raise not_found("", "pods", name)
        if (body.get("metadata") or {}).get("name", name) != name:
            raise bad_request("name in URL does not match name in Eviction object")
        for budget in [] if finished(pod) or not is_ready(pod) else self.of(pod):
            self._ask(budget)
        options = body.get("deleteOptions") or {}
        if not dry_run and not options.get("dryRun"):
            self.cluster.delete("Pod", namespace, name, grace=options.get("gracePeriodSeconds"))
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _ask(self, budget: Object) -> None:
        self.sync(namespace_of(budget), name_of(budget))
        status = self.cluster.get("PodDisruptionBudget", namespace_of(budget), name_of(budget))["status"]
        if status["disruptionsAllowed"]:
            return
        needs = f"needs {status['desiredHealthy']} healthy pods and has {status['currentHealthy']} currently"
        told = {"reason": "DisruptionBudget", "message": f"The disruption budget {name_of(budget)} {needs}"}
        message = "Cannot evict pod as it would violate the pod's disruption budget."
        raise ApiError(429, "TooManyRequests", message, {"causes": [told]})


def part(value: int | str, whole: int) -> int:
    """A count or a percentage of the whole, rounded up."""
    return value if isinstance(value, int) else -(-whole * int(value.rstrip("%")) // 100)
