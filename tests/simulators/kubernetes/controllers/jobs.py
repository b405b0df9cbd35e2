"""Jobs: pods that run to their end, again after a failure, up to backoffLimit."""

from __future__ import annotations

import random
from typing import Any

from .base import (
    Controller,
    Object,
    condition,
    controller_of,
    name_of,
    namespace_of,
    owner_reference,
    present,
    set_condition,
    terminating,
    uid_of,
)
from .hands import SUFFIX
from .lookups import Pods

BACK_OFF = 10.0
"""Seconds before the first retry; doubled for each further one."""
LONGEST_BACK_OFF = 600.0


class Jobs(Controller):
    kinds = ("Job", "Pod")

    def __init__(self, cluster: Any, pods: Pods) -> None:
        super().__init__(cluster)
        self.pods = pods
        self._not_before: dict[str, int] = {}

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "Job":
            if event == "DELETED":
                self._not_before.pop(uid_of(obj), None)
            self.enqueue(namespace_of(obj), name_of(obj))
        elif (owner := controller_of(obj)) and owner["kind"] == "Job":
            self.enqueue(namespace_of(obj), owner["name"])

    def sync(self, namespace: str, name: str) -> None:
        job = self.cluster.get("Job", namespace, name)
        if job is None or terminating(job) or done(job):
            return
        pods = self.pods.owned_by(job)
        phases = [(pod.get("status") or {}).get("phase") for pod in pods if not terminating(pod)]
        succeeded, failed = phases.count("Succeeded"), phases.count("Failed")
        active = len(phases) - succeeded - failed
        conditions = list((job.get("status") or {}).get("conditions") or ())
        if succeeded >= completions(job):
            conditions = self._end(
                job, conditions, "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
            )
        elif failed > job["spec"].get("backoffLimit", 6):
            conditions = self._end(
                job, conditions, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
            )
            self._stop(pods)
            active = 0
        elif not job["spec"].get("suspend"):
            active += self._start(job, succeeded, active, failed)
        self._write(job, conditions, active=active, succeeded=succeeded, failed=failed)

    def _start(self, job: Object, succeeded: int, active: int, failed: int) -> int:
        """Creates what is missing, after a wait when some failed."""
        wanted = min(job["spec"].get("parallelism", 1), completions(job) - succeeded) - active
        if wanted <= 0:
            return 0
        if failed > self._not_before.get(uid_of(job), 0):
            self._not_before[uid_of(job)] = failed
            wait = min(BACK_OFF * 2 ** (failed - 1), LONGEST_BACK_OFF)
            self.cluster.later(wait, lambda: self._retry(job, failed))
            return 0
        if failed and self._not_before[uid_of(job)] > 0:
            return 0
        for _ in range(wanted):
            self._create(job)
        return wanted

    def _retry(self, job: Object, failed: int) -> None:
        fresh = self.cluster.get("Job", namespace_of(job), name_of(job))
        if fresh is not None and uid_of(fresh) == uid_of(job) and not done(fresh) and not terminating(fresh):
            self._create(fresh)

    def _create(self, job: Object) -> None:
        template = job["spec"]["template"]
        inner = template.get("metadata") or {}
        uid, name = uid_of(job), name_of(job)
        own = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "controller-uid": uid,
            "job-name": name,
        }
        metadata = {
            "name": f"{name}-{''.join(random.choices(SUFFIX, k=5))}", "generateName": f"{name}-",
            "namespace": namespace_of(job), "labels": {**(inner.get("labels") or {}), **own},
            **present(annotations=inner.get("annotations")),
            "ownerReferences": [owner_reference(job, "batch/v1", "Job")],
        }  # fmt: skip
        made = self.cluster.create("Pod", {"metadata": metadata, "spec": template["spec"]})
        self._event(job, "Normal", "SuccessfulCreate", f"Created pod: {name_of(made)}")

    def _stop(self, pods: list[Object]) -> None:
        for pod in pods:
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                self.cluster.delete("Pod", namespace_of(pod), name_of(pod))

    def _end(self, job: Object, conditions: list[Object], type_: str, reason: str, message: str) -> list[Object]:
        now = self.cluster.now()
        told = {"lastProbeTime": now, "reason": reason, "message": message}
        target = "SuccessCriteriaMet" if type_ == "Complete" else "FailureTarget"
        for each in (target, type_):
            conditions = set_condition(conditions, now, type=each, status="True", **told)
        if type_ == "Complete":
            self._event(job, "Normal", "Completed", "Job completed")
        else:
            self._event(job, "Warning", reason, message)
        if (seconds := job["spec"].get("ttlSecondsAfterFinished")) is not None:
            self.cluster.later(
                seconds, lambda: self.cluster.delete("Job", namespace_of(job), name_of(job), propagation="Background")
            )
        return conditions

    def _write(self, job: Object, conditions: list[Object], **counts: int) -> None:
        before = job.get("status") or {}
        now = self.cluster.now()
        status = {
            **({"conditions": conditions} if conditions else {}), "startTime": before.get("startTime", now),
            **present(**counts), "ready": counts["active"], "terminating": 0, "uncountedTerminatedPods": {},
        }  # fmt: skip
        if any(each["type"] == "Complete" for each in conditions):
            status["completionTime"] = before.get("completionTime", now)
        if before != status:
            self.cluster.put_status("Job", job, status)

    def _event(self, job: Object, type_: str, reason: str, message: str) -> None:
        self.cluster.record_event(job, type_, reason, message, "job-controller")


def completions(job: Object) -> int:
    spec = job["spec"]
    return spec.get("completions", spec.get("parallelism", 1))


def done(job: Object) -> bool:
    return any(condition(job, type_).get("status") == "True" for type_ in ("Complete", "Failed"))
