"""The keeper of copies: one LIST a kind for each cluster, then arithmetic; right when it runs twice at once.

A look that fails says nothing of the copies: only their age shows it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db.models.functions import Now

from clusters.drivers.kinds import DATASET, JOB, POD, PVC
from clusters.drivers.kube import Kube, kube_for
from clusters.drivers.kube_errors import KubeError
from clusters.models import Cluster
from clusters.namespaces import COPY_UID
from portal.tenancy import heartbeat
from portal.tenancy.queue import after_commit

from ..models import ModelCopy
from ..preheating.seen import Claim, Dataset, Found, Job, Pod
from ..preheating.view import job_name
from ..states import LOOK_LEASE, CopyMethod, CopyState
from .copy_look import Look
from .copy_write import look_later

log = logging.getLogger(__name__)
MOST_ROWS = 500
# Whose logs one look reads; each is a call.
MOST_LOGS = 20
# A selector is part of the address of a call.
MOST_NAMED = 100


def sweep_copies() -> int:
    """Ring the bell for each place with copies that are due; how many places."""
    places = list(ModelCopy.objects.due().order_by().values_list("cluster_id", flat=True).distinct())
    for pk in places:
        after_commit("models_catalog.tasks.look_at_copies", pk)
    heartbeat.mark("copies")
    return len(places)


def look_at_copies(cluster_id: int) -> int:
    """Look at the due copies of one cluster and take a step with each that needs one; how many were looked at.

    Never raises for what the cluster does. Not inside a transaction.
    """
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    rows = [] if cluster is None else _claimed(cluster)
    if cluster is None or not rows:
        return 0
    try:
        kube = kube_for(cluster)
        found = _listed(kube, rows)
    except KubeError as error:
        log.info("copies of a place can't be looked at", extra={"cluster": cluster.name, "problem": error.problem})
        for row in rows:
            look_later(row)
        return 0
    logs_left = MOST_LOGS
    for row in rows:
        logs_left -= Look(kube, row, found, may_read=logs_left > 0).take()
    return len(rows)


def _claimed(cluster: Cluster) -> list[ModelCopy]:
    """The due rows of this place; none where another worker has just taken them."""
    due = ModelCopy.objects.due().filter(cluster=cluster)
    pks = list(due.order_by("next_look_at").values_list("pk", flat=True)[:MOST_ROWS])
    if not pks or not ModelCopy.objects.due().filter(pk__in=pks).update(next_look_at=Now() + LOOK_LEASE):
        return []
    return list(ModelCopy.objects.filter(pk__in=pks).select_related(
        "workspace", "cluster", "shared", "artifact__model").order_by("pk"))


def _listed(kube: Kube, rows: Iterable[ModelCopy]) -> Found:
    """One list a kind, over all namespaces. Raises KubeError."""
    found = Found()
    if kube.has(DATASET):
        found.datasets = {each.metadata.copy: each for each in kube.list(DATASET, Dataset, labels=COPY_UID).items}
    for job in kube.list(JOB, Job, labels=COPY_UID).items:
        found.jobs[job.metadata.copy].append(job)
    found.claims = {each.metadata.copy: each for each in kube.list(PVC, Claim, labels=COPY_UID).items}
    names = sorted({name for row in rows for name in _loading_job(row)})[:MOST_NAMED]
    if names:
        labels = f"job-name in ({','.join(names)})"
        found.pods = _newest(kube.list(POD, Pod, labels=labels).items)
    return found


def _loading_job(row: ModelCopy) -> list[str]:
    """The Job whose pod tells how far a moving copy is."""
    moves = row.state in (CopyState.PENDING, CopyState.LOADING) and row.method != CopyMethod.REFERENCE
    return [job_name(row.method, row.name, row.round)] if moves else []


def _newest(pods: Iterable[Pod]) -> dict[tuple[str, str], Pod]:
    """A Job that tries again has several pods."""
    return {(pod.metadata.namespace, pod.job): pod for pod in sorted(pods, key=lambda pod: pod.metadata.creation_timestamp)}
