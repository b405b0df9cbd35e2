"""StatefulSets: pods with fixed names, in order or side by side, updated from the highest ordinal down.

After pkg/controller/statefulset of Kubernetes: the same order of decisions, so that a rollout that hangs there hangs here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.simulators.kubernetes.errors import ApiError

from .base import (
    Controller,
    Object,
    controller_of,
    finished,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    present,
    terminating,
    uid_of,
    with_metadata,
)  # fmt: skip
from .lookups import Pods, selects
from .revisions import Revisions

REVISION_LABEL = "controller-revision-hash"


class StatefulSets(Controller):
    kinds = ("StatefulSet", "Pod")
    delay = 0.02

    def __init__(self, cluster: Any, pods: Pods) -> None:
        super().__init__(cluster)
        self.pods = pods
        self.revisions = Revisions(cluster)

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "StatefulSet":
            if event == "DELETED":
                self.revisions.forget(uid_of(obj))
            return self.enqueue(namespace_of(obj), name_of(obj))
        owner = controller_of(obj)
        if owner is None:
            self._wake_adopter(obj)
        elif owner["kind"] == "StatefulSet":
            self.enqueue(namespace_of(obj), owner["name"])
        return None

    def _wake_adopter(self, pod: Object) -> None:
        """A pod without a controller may belong to the StatefulSet that its name tells."""
        parent = name_of(pod).rpartition("-")[0]
        if self.cluster.get("StatefulSet", namespace_of(pod), parent):
            self.enqueue(namespace_of(pod), parent)

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get("StatefulSet", namespace, name)
        if found is None or terminating(found):
            return
        self._adopt(found)
        update = self.revisions.update_revision(found)
        current = (found.get("status") or {}).get("currentRevision") or update
        failure = None
        try:
            Rollout(self, found, current, update).run()
        except ApiError as error:
            failure = error
        self._write_status(found, current, update)
        if failure:
            raise failure

    def _adopt(self, found: Object) -> None:
        for ordinal in range(start(found), start(found) + found["spec"].get("replicas", 1)):
            pod = self.cluster.get("Pod", namespace_of(found), f"{name_of(found)}-{ordinal}")
            if (
                pod is None
                or terminating(pod)
                or controller_of(pod)
                or not selects(found["spec"]["selector"], labels_of(pod))
            ):
                continue
            refs = [*pod["metadata"].get("ownerReferences", ()), owner_reference(found, "apps/v1", "StatefulSet")]
            self.cluster.put("Pod", with_metadata(pod, ownerReferences=refs))

    def _write_status(self, found: Object, current: str, update: str) -> None:
        spec, pods = found["spec"], self.pods.owned_by(found)
        live = [pod for pod in pods if not terminating(pod)]
        ready = sum(is_ready(pod) for pod in pods)
        updated = sum(labels_of(pod).get(REVISION_LABEL) == update for pod in live)
        at_current = sum(labels_of(pod).get(REVISION_LABEL) == current for pod in live)
        rolling = spec.get("updateStrategy", {}).get("type", "RollingUpdate") == "RollingUpdate"
        if rolling and updated == ready == len(pods) == spec.get("replicas", 1):
            current, at_current = update, updated
        counts = present(readyReplicas=ready, currentReplicas=at_current, updatedReplicas=updated)
        status = {
            "observedGeneration": found["metadata"]["generation"], "replicas": len(pods), **counts,
            "currentRevision": current, "updateRevision": update, "collisionCount": 0, "availableReplicas": ready,
        }  # fmt: skip
        if found.get("status") != status:
            self.cluster.put_status("StatefulSet", found, status)
        self.revisions.prune(found, {current, update, *(labels_of(pod).get(REVISION_LABEL, "") for pod in pods)})


def start(found: Object) -> int:
    return (found["spec"].get("ordinals") or {}).get("start", 0)


def burst(missing: list[int]) -> Iterator[int]:
    """The order in which the controller creates many pods at once: batches of 1, 2, 4, ...; in a batch the last one first.

    The order follows from goroutines that are started together, and shows where GPUs run short.
    """
    size, rest = 1, missing
    while rest:
        batch, rest = rest[:size], rest[size:]
        yield batch[-1]
        yield from batch[:-1]
        size *= 2


class Rollout:
    """One pass over a StatefulSet: what the next steps are, and doing them."""

    def __init__(self, controller: StatefulSets, found: Object, current: str, update: str) -> None:
        self.controller, self.cluster, self.found = controller, controller.cluster, found
        self.current, self.update = current, update
        spec = found["spec"]
        self.ordered = spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        self.first, self.count = start(found), spec.get("replicas", 1)
        self.pods = {ordinal_of(pod): pod for pod in controller.pods.owned_by(found)}
        strategy = spec.get("updateStrategy") or {}
        self.on_delete = strategy.get("type") == "OnDelete"
        self.partition = self.first + ((strategy.get("rollingUpdate") or {}).get("partition") or 0)

    def run(self) -> None:
        wanted = range(self.first, self.first + self.count)
        if self._fill(wanted) and self._condemn(wanted) and not self.on_delete:
            self._update(wanted)

    def _fill(self, wanted: range) -> bool:
        """Creates what is missing; False when something must be waited for first."""
        if not self.ordered:
            for pod in [pod for ordinal, pod in self.pods.items() if ordinal in wanted and finished(pod)]:
                self._replace_finished(pod)
            for ordinal in burst([ordinal for ordinal in wanted if ordinal not in self.pods]):
                self._create(ordinal)
            return True
        for ordinal in wanted:
            pod = self.pods.get(ordinal)
            if pod is None:
                self._create(ordinal)
                return False
            if finished(pod) and not terminating(pod):
                self._replace_finished(pod)
                return False
            if terminating(pod) or not is_ready(pod):
                return False
        return True

    def _condemn(self, wanted: range) -> bool:
        """Removes pods beyond the replicas, from the highest down."""
        for ordinal in sorted((ordinal for ordinal in self.pods if ordinal not in wanted), reverse=True):
            pod = self.pods[ordinal]
            if not terminating(pod):
                self._delete(pod)
            if self.ordered:
                return False
        return True

    def _update(self, wanted: range) -> None:
        """Replaces the highest pod of another revision, once all above it are ready."""
        for ordinal in reversed(wanted):
            pod = self.pods.get(ordinal)
            if ordinal < self.partition or pod is None:
                return
            if labels_of(pod).get(REVISION_LABEL) != self.update and not terminating(pod):
                self._delete(pod)
                return
            if terminating(pod) or not is_ready(pod):
                return

    def _create(self, ordinal: int) -> None:
        name = f"{name_of(self.found)}-{ordinal}"
        strategy = self.found["spec"].get("updateStrategy") or {}
        rolling = strategy.get("type", "RollingUpdate") == "RollingUpdate"
        revision = self.current if rolling and ordinal < self.partition else self.update
        try:
            self._create_claims(name)
            self.cluster.create("Pod", self._pod(name, ordinal, revision))
        except ApiError as error:
            self._event(
                "Warning",
                "FailedCreate",
                f"Create Pod {name} in StatefulSet {name_of(self.found)} failed error: {error}",
            )
            raise
        self._event("Normal", "SuccessfulCreate", f"Create Pod {name} in StatefulSet {name_of(self.found)} successful")

    def _create_claims(self, pod: str) -> None:
        labels = self.found["spec"]["selector"].get("matchLabels") or {}
        for template in self.found["spec"].get("volumeClaimTemplates") or ():
            name = f"{name_of(template)}-{pod}"
            if self.cluster.get("PersistentVolumeClaim", namespace_of(self.found), name):
                continue
            metadata = {
                **template["metadata"], "name": name, "namespace": namespace_of(self.found),
                "labels": {**(template["metadata"].get("labels") or {}), **labels},
            }  # fmt: skip
            if (self.found["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get("whenDeleted") == "Delete":
                metadata["ownerReferences"] = [owner_reference(self.found, "apps/v1", "StatefulSet")]
            claim = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": template["spec"],
            }
            self.cluster.create("PersistentVolumeClaim", claim)

    def _pod(self, name: str, ordinal: int, revision: str) -> Object:
        template = self.found["spec"]["template"]
        if revision != self.update:
            template = self.controller.revisions.template(self.found, revision)
        inner = template.get("metadata") or {}
        labels = {
            **(inner.get("labels") or {}), "apps.kubernetes.io/pod-index": str(ordinal), REVISION_LABEL: revision,
            "statefulset.kubernetes.io/pod-name": name,
        }  # fmt: skip
        metadata = {
            "name": name, "generateName": f"{name_of(self.found)}-", "namespace": namespace_of(self.found), "labels": labels,
            **{key: inner[key] for key in ("annotations", "finalizers") if inner.get(key)},
            "ownerReferences": [owner_reference(self.found, "apps/v1", "StatefulSet")],
        }  # fmt: skip
        spec = {
            **template["spec"],
            "hostname": name,
            **present(subdomain=self.found["spec"].get("serviceName") or None),
        }
        claims = [
            {"name": name_of(each), "persistentVolumeClaim": {"claimName": f"{name_of(each)}-{name}"}}
            for each in self.found["spec"].get("volumeClaimTemplates") or ()
        ]
        if claims:
            taken = {each["name"] for each in claims}
            spec["volumes"] = [*claims, *(each for each in spec.get("volumes") or () if each["name"] not in taken)]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _replace_finished(self, pod: Object) -> None:
        if terminating(pod):
            return
        word = "Failed" if pod["status"]["phase"] == "Failed" else "Terminated"
        message = (
            f"StatefulSet {namespace_of(pod)}/{name_of(self.found)} is recreating {word.lower()} Pod {name_of(pod)}"
        )
        self._event("Warning", f"Recreating{word}Pod", message)
        self._delete(pod)

    def _delete(self, pod: Object) -> None:
        self.cluster.delete("Pod", namespace_of(pod), name_of(pod))
        self._event(
            "Normal", "SuccessfulDelete", f"Delete Pod {name_of(pod)} in StatefulSet {name_of(self.found)} successful"
        )

    def _event(self, type_: str, reason: str, message: str) -> None:
        self.cluster.record_event(self.found, type_, reason, message, "statefulset-controller")


def ordinal_of(pod: Object) -> int:
    digits = name_of(pod).rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1
