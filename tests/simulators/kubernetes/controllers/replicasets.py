"""ReplicaSets: so many pods of one template, whichever they are."""

from __future__ import annotations

import random
from typing import Any

from tests.simulators.kubernetes.errors import ApiError

from .base import (
    Controller,
    Object,
    condition,
    controller_of,
    finished,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    present,
    set_condition,
    terminating,
    uid_of,
    with_metadata,
)  # fmt: skip
from .hands import SUFFIX
from .lookups import Pods


class ReplicaSets(Controller):
    kinds = ("ReplicaSet", "Pod")

    def __init__(self, cluster: Any, pods: Pods) -> None:
        super().__init__(cluster)
        self.pods = pods

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "ReplicaSet":
            self.enqueue(namespace_of(obj), name_of(obj))
        elif (owner := controller_of(obj)) and owner["kind"] == "ReplicaSet":
            self.enqueue(namespace_of(obj), owner["name"])

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get("ReplicaSet", namespace, name)
        if found is None:
            return
        failure = None
        if not terminating(found):
            self._adopt(found)
            try:
                self._manage(found)
            except ApiError as error:
                failure = error
        self._write(found, failure)
        if failure:
            raise failure

    def _adopt(self, found: Object) -> None:
        for pod in self.pods.selected(namespace_of(found), found["spec"]["selector"]):
            if controller_of(pod) is None and not terminating(pod) and not finished(pod):
                refs = [*pod["metadata"].get("ownerReferences", ()), owner_reference(found, "apps/v1", "ReplicaSet")]
                self.cluster.put("Pod", with_metadata(pod, ownerReferences=refs))

    def _active(self, found: Object) -> list[Object]:
        return [pod for pod in self.pods.owned_by(found) if not terminating(pod) and not finished(pod)]

    def _manage(self, found: Object) -> None:
        active = self._active(found)
        missing = found["spec"].get("replicas", 1) - len(active)
        for _ in range(missing):
            self._create(found)
        for pod in sorted(active, key=worth)[: max(0, -missing)]:
            self.cluster.delete("Pod", namespace_of(pod), name_of(pod))
            self._event(found, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    def _create(self, found: Object) -> None:
        template = found["spec"]["template"]
        inner = template.get("metadata") or {}
        prefix = f"{name_of(found)}-"
        metadata = {
            "name": prefix[:58] + "".join(random.choices(SUFFIX, k=5)), "generateName": prefix,
            "namespace": namespace_of(found), "labels": inner.get("labels") or {},
            **present(annotations=inner.get("annotations")),
            "ownerReferences": [owner_reference(found, "apps/v1", "ReplicaSet")],
        }  # fmt: skip
        try:
            made = self.cluster.create("Pod", {"metadata": metadata, "spec": template["spec"]})
        except ApiError as error:
            self._event(found, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._event(found, "Normal", "SuccessfulCreate", f"Created pod: {name_of(made)}")

    def _write(self, found: Object, failure: ApiError | None) -> None:
        active = self._active(found)
        ready = sum(is_ready(pod) for pod in active)
        template = (found["spec"]["template"].get("metadata") or {}).get("labels") or {}
        labelled = sum(template.items() <= labels_of(pod).items() for pod in active)
        status: Object = {
            "replicas": len(active), **present(fullyLabeledReplicas=labelled, readyReplicas=ready, availableReplicas=ready),
            "terminatingReplicas": sum(terminating(pod) for pod in self.pods.owned_by(found)),
            "observedGeneration": found["metadata"]["generation"],
        }  # fmt: skip
        if failure:
            # the first failure stays: its message names a pod, and another one each time would wake us for ever
            new = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": str(failure)}
            known = condition(found, "ReplicaFailure")
            status["conditions"] = [known] if known else set_condition((), self.cluster.now(), **new)
        if found.get("status") != status:
            self.cluster.put_status("ReplicaSet", found, status)

    def _event(self, found: Object, type_: str, reason: str, message: str) -> None:
        self.cluster.record_event(found, type_, reason, message, "replicaset-controller")


def worth(pod: Object) -> tuple[bool, bool, str, str]:
    """Pods that are lost first come first: without a node, not ready, the youngest."""
    age = pod["metadata"]["creationTimestamp"]
    return bool(pod["spec"].get("nodeName")), is_ready(pod), "".join(chr(255 - ord(each)) for each in age), uid_of(pod)
