"""Dataset (dataset.baizeai.io): a claim, a loader Job for each round, and the phase.

After BaizeAI/dataset, internal/controller/dataset: names, phases and the order of conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import (
    Controller,
    Object,
    condition,
    controller_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    set_condition,
    terminating,
    uid_of,
)

if TYPE_CHECKING:
    from .. import Controllers

KIND = "Dataset.dataset.baizeai.io"
API = "dataset.baizeai.io/v1alpha1"
LOADED = ("GIT", "S3", "HTTP", "CONDA", "HUGGING_FACE", "MODEL_SCOPE", "DATABASE", "HADOOP")
"""The sources that a loader Job fetches; the others are only pointed to."""
KEPT_ROUNDS = 5


class Datasets(Controller):
    kinds = (KIND, "Job", "PersistentVolumeClaim")

    def __init__(self, controllers: Controllers) -> None:
        super().__init__(controllers.hands)

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == KIND:
            self.enqueue(namespace_of(obj), name_of(obj))
            for other in self.cluster.list(KIND):
                if is_reference(other) and other["spec"]["source"]["uri"] == uri_of(obj):
                    self.enqueue(namespace_of(other), name_of(other))
        elif (owner := controller_of(obj)) and owner["kind"] == "Dataset":
            self.enqueue(namespace_of(obj), owner["name"])

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get(KIND, namespace, name)
        if found is None or terminating(found):
            return
        if is_reference(found):
            self._refer(found)
            return
        claim = self._claim(found)
        if found["spec"]["source"]["type"] in LOADED:
            self._load(found, claim)
        else:
            self._write(found, {"phase": "READY" if claim else "PENDING", "pvcName": claim, "inProcessing": False})

    def _claim(self, found: Object) -> str:
        """The claim that holds the data; made from the template unless one is named."""
        spec, source = found["spec"], found["spec"]["source"]
        if source["type"] == "PVC":
            return source["uri"].removeprefix("pvc://").partition("/")[0]
        if ref := spec.get("volumeClaimRef"):
            return ref["name"]
        if self.cluster.get("PersistentVolumeClaim", namespace_of(found), name_of(found)) is None:
            template = spec.get("volumeClaimTemplate") or {}
            wanted = {
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "100Ti"}},
                **(template.get("spec") or {}),
            }
            self.cluster.create(
                "PersistentVolumeClaim",
                {"metadata": self._metadata(found, name_of(found)), "spec": wanted},
                manager="dataset",
            )
        return name_of(found)

    def _refer(self, found: Object) -> None:
        """A clone of the shared volume, and a claim for it in this namespace; a reason where there can't be one."""
        namespace, _, name = found["spec"]["source"]["uri"].removeprefix("dataset://").partition("/")
        other = self.cluster.get(KIND, namespace, name)
        claim = ((other or {}).get("status") or {}).get("pvcName", "")
        source = self.cluster.get("PersistentVolumeClaim", namespace, claim) if claim else None
        volume = self.cluster.get("PersistentVolume", "", (source or {}).get("spec", {}).get("volumeName") or "")
        if other is None or not other["spec"].get("share"):
            self._refuse(found, "Config", f"source dataset dataset://{namespace}/{name} is not shared")
        elif source is None or volume is None:
            self._refuse(found, "PVC", f"source dataset {namespace}/{name} has no pvc")
        else:
            self._clone(found, source, volume)
            ready = {"phase": "READY", "pvcName": name_of(found), "readOnly": True, "inProcessing": False}
            self._write(found, {**ready, "lastSucceedRound": found["spec"].get("dataSyncRound", 1)})

    def _clone(self, found: Object, source: Object, volume: Object) -> None:
        name = f"dataset-{namespace_of(found)}-{name_of(found)}-{uid_of(found)[:12]}"
        if self.cluster.get("PersistentVolume", "", name) is None:
            spec = {key: value for key, value in volume["spec"].items() if key != "claimRef"}
            clone = {"metadata": {"name": name}, "spec": {**spec, "persistentVolumeReclaimPolicy": "Retain"}}
            self.cluster.create("PersistentVolume", clone, manager="dataset")
        if self.cluster.get("PersistentVolumeClaim", namespace_of(found), name_of(found)) is None:
            made = {"metadata": self._metadata(found, name_of(found)), "spec": {**source["spec"], "volumeName": name}}
            self.cluster.create("PersistentVolumeClaim", made, manager="dataset")

    def _refuse(self, found: Object, type_: str, message: str) -> None:
        before = found.get("status") or {}
        told = {"type": type_, "status": "False", "reason": f"{type_}Error", "message": message}
        conditions = set_condition(before.get("conditions") or (), self.cluster.now(), **told)
        status = {**before, "phase": "FAILED", "conditions": conditions}
        if before != status:
            self.cluster.put_status(KIND, found, status)

    def _metadata(self, found: Object, name: str) -> Object:
        return {
            "name": name, "namespace": namespace_of(found), "labels": dict(labels_of(found)),
            "ownerReferences": [owner_reference(found, API, "Dataset")],
        }  # fmt: skip

    def _load(self, found: Object, claim: str) -> None:
        before = found.get("status") or {}
        round_ = found["spec"].get("dataSyncRound", 1)
        if before.get("lastSucceedRound") == round_ and not before.get("inProcessing"):
            self._write(found, {"phase": "READY", "pvcName": claim, "inProcessing": False})
            return
        job_name = f"dataset-{name_of(found)}-round-{round_}"
        job = self.cluster.get("Job", namespace_of(found), job_name)
        if job is None:
            if any(each["round"] == round_ and "endTime" in each for each in before.get("syncRoundStatuses") or ()):
                return
            job = self.cluster.create("Job", self._job(found, job_name, claim), manager="dataset")
        succeeded, failed = (condition(job, type_).get("status") == "True" for type_ in ("Complete", "Failed"))
        self._write(found, self._progress(found, round_, job, succeeded=succeeded, failed=failed) | {"pvcName": claim})

    def _progress(self, found: Object, round_: int, job: Object, *, succeeded: bool, failed: bool) -> Object:
        before, now = found.get("status") or {}, self.cluster.now()
        rounds = [each for each in before.get("syncRoundStatuses") or () if each["round"] != round_]
        current = next((each for each in before.get("syncRoundStatuses") or () if each["round"] == round_), {})
        current = {"round": round_, "jobName": name_of(job), "startTime": current.get("startTime", now), **current}
        if succeeded or failed:
            current = {**current, "endTime": current.get("endTime", now), "succeed": succeeded}
        status: Object = {
            "inProcessing": not (succeeded or failed),
            "syncRoundStatuses": [*rounds, current][-KEPT_ROUNDS:],
        }
        if succeeded:
            status |= {"phase": "READY", "lastSucceedRound": round_, "lastSyncTime": current["endTime"]}
        else:
            status |= {"phase": "FAILED" if failed else "PROCESSING"}
        if status["inProcessing"]:
            status["inProcessingRound"] = round_
        return status

    def _job(self, found: Object, name: str, claim: str) -> Object:
        source = found["spec"]["source"]
        options = [f"--options={key}={value}" for key, value in sorted((source.get("options") or {}).items())]
        container = {
            "name": "dataset-loader", "image": "ghcr.io/baizeai/dataset-data-loader:latest",
            "args": [source["type"], source["uri"], *options], "volumeMounts": [{"name": "data", "mountPath": "/dataset"}],
        }  # fmt: skip
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
        notes = {
            key: value
            for key, value in (found["metadata"].get("annotations") or {}).items()
            if key.startswith("test.kubelet/")
        }
        pod = {
            "metadata": {"labels": dict(labels_of(found)), **({"annotations": notes} if notes else {})},
            "spec": {"restartPolicy": "Never", "containers": [container], "volumes": [volume]},
        }  # fmt: skip
        return {"metadata": self._metadata(found, name), "spec": {"backoffLimit": 0, "template": pod}}

    def _write(self, found: Object, new: Object) -> None:
        before = found.get("status") or {}
        status: dict[str, Any] = {**before, **new}
        if not new.get("inProcessing"):
            status.pop("inProcessingRound", None)
        now = self.cluster.now()
        conditions = before.get("conditions") or ()
        for type_ in ("Config", "PVC"):
            conditions = set_condition(conditions, now, type=type_, status="True", reason=f"{type_}Ready", message="")
        if found["spec"]["source"]["type"] in LOADED:
            conditions = set_condition(conditions, now, type="Job", status="True", reason="JobReady", message="")
            state = {"READY": "True", "FAILED": "False"}.get(status.get("phase", ""), "Unknown")
            reason = {"True": "JobStatusReady", "False": "JobFailed"}.get(state, "JobRunning")
            conditions = set_condition(conditions, now, type="JobStatus", status=state, reason=reason, message="")
        status["conditions"] = conditions
        status = {key: value for key, value in status.items() if value not in (None, "")}
        if before != status:
            self.cluster.put_status(KIND, found, status)


def is_reference(dataset: Object) -> bool:
    return bool(dataset["spec"]["source"]["type"] == "REFERENCE")


def uri_of(dataset: Object) -> str:
    """As references name it."""
    return f"dataset://{namespace_of(dataset)}/{name_of(dataset)}"
