"""Claims and volumes: binding, provisioning by a StorageClass, and keeping what is in use."""

from __future__ import annotations

from typing import Any

from .admission import PROTECTION
from .base import (
    Controller,
    Object,
    annotations_of,
    finished,
    labels_of,
    name_of,
    namespace_of,
    terminating,
    uid_of,
    with_metadata,
)
from .lookups import Pods, amount, claims_of, selects

BOUND = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}
PROVISIONER = ("volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner")
FINALIZER = PROTECTION["PersistentVolumeClaim"]


class Volumes(Controller):
    kinds = ("PersistentVolumeClaim", "PersistentVolume", "StorageClass", "Pod")

    def __init__(self, cluster: Any, pods: Pods, rules: Any) -> None:
        super().__init__(cluster)
        self.pods, self.rules = pods, rules

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "PersistentVolumeClaim":
            if event == "DELETED":
                self._release(obj)
            else:
                self.enqueue(namespace_of(obj), name_of(obj))
        elif kind == "Pod":
            if event != "MODIFIED" or finished(obj):
                for claim in claims_of(obj):
                    self.enqueue(namespace_of(obj), claim)
        elif event != "DELETED":
            for claim in self.cluster.list("PersistentVolumeClaim"):
                if phase(claim) != "Bound":
                    self.enqueue(namespace_of(claim), name_of(claim))

    def sync(self, namespace: str, name: str) -> None:
        claim = self.cluster.get("PersistentVolumeClaim", namespace, name)
        if claim is None:
            return
        if terminating(claim):
            self._let_go(claim)
        elif phase(claim) != "Bound":
            self._bind(claim)

    def _let_go(self, claim: Object) -> None:
        """A deleted claim goes when no pod uses it any more."""
        users = [pod for pod in self.pods.using_claim(namespace_of(claim), name_of(claim)) if not finished(pod)]
        finalizers = claim["metadata"].get("finalizers") or []
        if FINALIZER in finalizers and not users:
            rest = [each for each in finalizers if each != FINALIZER]
            self.cluster.update("PersistentVolumeClaim", with_metadata(claim, finalizers=rest or None))

    def _bind(self, claim: Object) -> None:
        wanted = claim["spec"].get("volumeName")
        volume = self._matching(claim, wanted)
        if volume is not None:
            self._join(claim, volume)
            return
        class_name = claim["spec"].get("storageClassName") or ""
        class_ = self.cluster.get("StorageClass", "", class_name) if class_name else None
        if class_ is None or wanted:
            why = "no persistent volumes available for this claim and no storage class is set"
            if class_name:
                why = f'storageclass.storage.k8s.io "{class_name}" not found'
            self._tell(claim, "ProvisioningFailed" if class_name else "FailedBinding", why)
        elif class_.get("volumeBindingMode") == "WaitForFirstConsumer" and not self._wanted(claim):
            self._tell(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
        else:
            self._join(claim, self._provision(claim, class_))

    def _wanted(self, claim: Object) -> bool:
        return bool(self.pods.using_claim(namespace_of(claim), name_of(claim)))

    def _tell(self, claim: Object, reason: str, message: str) -> None:
        if phase(claim) != "Pending":
            self.cluster.put_status("PersistentVolumeClaim", claim, {"phase": "Pending"})
        type_ = "Warning" if reason == "ProvisioningFailed" else "Normal"
        self.cluster.record_event(claim, type_, reason, message, "persistentvolume-controller")

    def _matching(self, claim: Object, wanted: str | None) -> Object | None:
        """The smallest free volume that the claim can have."""
        spec = claim["spec"]
        least = amount(spec["resources"]["requests"]["storage"])

        def suits(volume: Object) -> bool:
            has, ref = volume["spec"], volume["spec"].get("claimRef") or {}
            if ref and (ref.get("namespace"), ref.get("name")) != (namespace_of(claim), name_of(claim)):
                return False
            if wanted or ref.get("uid") not in (None, uid_of(claim)):
                return name_of(volume) == wanted
            return (
                has.get("storageClassName", "") == (spec.get("storageClassName") or "")
                and set(spec.get("accessModes") or ()) <= set(has.get("accessModes") or ())
                and amount(has["capacity"]["storage"]) >= least
                and ("selector" not in spec or selects(spec["selector"], labels_of(volume)))
            )

        found = [
            volume for volume in self.cluster.list("PersistentVolume") if phase(volume) != "Bound" and suits(volume)
        ]
        return min(found, key=lambda volume: amount(volume["spec"]["capacity"]["storage"]), default=None)

    def _provision(self, claim: Object, class_: Object) -> Object:
        provisioner = class_.get("provisioner", "kubernetes.io/no-provisioner")
        name = f"pvc-{uid_of(claim)}"
        metadata = {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": provisioner}}
        spec = {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"].get("accessModes") or ["ReadWriteOnce"], "storageClassName": name_of(class_),
            "persistentVolumeReclaimPolicy": class_.get("reclaimPolicy", "Delete"),
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "hostPath": {"path": f"/tmp/hostpath_pv/{uid_of(claim)}", "type": ""},
        }  # fmt: skip
        made = self.cluster.create("PersistentVolume", {"metadata": metadata, "spec": spec})
        notes = {**annotations_of(claim), **dict.fromkeys(PROVISIONER, provisioner)}
        self.cluster.put("PersistentVolumeClaim", with_metadata(claim, annotations=notes))
        return made

    def _join(self, claim: Object, volume: Object) -> None:
        claim = self.cluster.get("PersistentVolumeClaim", namespace_of(claim), name_of(claim))
        ref = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
        }
        spec = {**volume["spec"], "claimRef": {**ref, "uid": uid_of(claim)}}
        self.cluster.put("PersistentVolume", {**volume, "spec": spec, "status": {"phase": "Bound"}})
        spec = {**claim["spec"], "volumeName": name_of(volume)}
        status = {
            "phase": "Bound", "accessModes": volume["spec"]["accessModes"],
            "capacity": {"storage": volume["spec"]["capacity"]["storage"]},
        }  # fmt: skip
        bound = with_metadata(claim, annotations={**annotations_of(claim), **BOUND})
        self.cluster.put("PersistentVolumeClaim", {**bound, "spec": spec, "status": status})

    def _release(self, claim: Object) -> None:
        volume = self.cluster.get("PersistentVolume", "", claim["spec"].get("volumeName") or "")
        if volume is None:
            return
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            self.cluster.remove("PersistentVolume", "", name_of(volume))
        else:
            self.cluster.put_status("PersistentVolume", volume, {"phase": "Released"})


def phase(obj: Object) -> str:
    return (obj.get("status") or {}).get("phase", "")
