"""The keeper of the promise: finds every row whose look is due, one observation per place, and acts where needed.

Right without the broker's messages, right when it runs twice at once: each row has its own lease.
"""

from __future__ import annotations

import logging
import time
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Min, Q
from django.db.models.functions import Now
from django.utils import timezone

from clusters.models import Cluster
from endpoints.judge import Verdict, judge
from endpoints.models import Endpoint
from endpoints.targets import target_for
from endpoints.targets.base import Observation, TargetError
from portal.tenancy import heartbeat
from portal.tenancy.queue import after_commit

from .reconcile import reconcile
from .specs import row_view
from .write import refresh_unchanged

log = logging.getLogger(__name__)
BATCH = 500
# A pass ends before the hard limit of a task; what is left is due again at once.
PASS_SECONDS = 20.0


def sweep() -> int:
    """Ring the bell for each place with due rows; how many places. Leaves its own age and lag behind."""
    began = time.monotonic()
    due = Endpoint.objects.due().aggregate(oldest=Min("next_look_at"))["oldest"]
    lag = max(0.0, (timezone.now() - due).total_seconds()) if due else 0.0
    places = list(Endpoint.objects.due().order_by().values_list("cluster_id", flat=True).distinct())
    for pk in places:
        after_commit("endpoints.tasks.look_at_cluster", pk)
    heartbeat.mark("sweep", seconds=time.monotonic() - began, lag=lag)
    return len(places)


def look_at_cluster(cluster_id: int) -> int:
    """Look at the due rows of one place by one observation; how many needed a step of their own."""
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    rows = [] if cluster is None else _due_rows(cluster)
    if cluster is None or not rows:
        return 0
    seen = _observe(cluster, [row.uid for row in rows] if len(rows) < BATCH else None)
    began, steps = time.monotonic(), 0
    while rows:
        steps += _judge_batch(rows, seen)
        full = len(rows) == BATCH and time.monotonic() - began < PASS_SECONDS
        rows = _due_rows(cluster) if full else []
    return steps


def _due_rows(cluster: Cluster) -> list[Endpoint]:
    rows = Endpoint.objects.due().filter(cluster=cluster).select_related("wanted", "serving")
    late = ExpressionWrapper(Q(deadline_at__lt=Now()), output_field=BooleanField())
    return list(rows.annotate(late=late).order_by("next_look_at")[:BATCH])


def _observe(cluster: Cluster, uids: list[UUID] | None) -> dict[UUID, Observation] | None:
    """What is there, or None where the place can't be asked: then each row's own step says so in the row."""
    try:
        return target_for(cluster).observe(uids)
    except TargetError as error:
        log.info("a place can't be looked at", extra={"cluster": cluster.name, "cause": error.code})
        return None


def _judge_batch(rows: list[Endpoint], seen: dict[UUID, Observation] | None) -> int:
    """Renew the age of the rows of which the evidence says nothing new, take a step for each other one."""
    busy = [row for row in rows if seen is None or _needs_step(row, seen.get(row.uid, Observation()))]
    quiet = {row.pk for row in rows} - {row.pk for row in busy}
    if quiet and seen is not None:
        refresh_unchanged(sorted(quiet), next((o.source for o in seen.values() if o.source), "portal"))
    for row in busy:
        reconcile(row.pk)
    return len(busy)


def _needs_step(row: Endpoint, seen: Observation) -> bool:
    """Whether anything moves here, or the evidence no longer says what the row says."""
    if not row.is_settled or row.attempts:
        return True
    verdict = judge(row_view(row, late=bool(getattr(row, "late", False))), seen)
    written = Verdict(row.status, verdict.cause, verdict.message, row.ready_replicas,
                      row.serving.number if row.serving else None)
    return verdict != written or verdict.cause != row.cause
