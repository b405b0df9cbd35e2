"""The keeper of the promise: finds every row whose look is due, one observation per place, and acts where needed.

Right without the broker's messages, right when it runs twice at once: each row has its own lease.
"""

from __future__ import annotations

import logging
import time

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
    """Look at the due rows of one place; how many needed a step of their own."""
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is None:
        return 0
    rows = list(
        Endpoint.objects.due().filter(cluster=cluster).select_related("wanted", "serving")
        .annotate(late=ExpressionWrapper(Q(deadline_at__lt=Now()), output_field=BooleanField()))
        .order_by("next_look_at")[:BATCH])
    try:
        seen = target_for(cluster).observe([row.uid for row in rows] if len(rows) < BATCH else None)
    except TargetError as error:
        log.info("a place can't be looked at", extra={"cluster": cluster.name, "cause": error.code})
        seen = None
    busy = [row for row in rows if seen is None or _needs_step(row, seen.get(row.uid, Observation()))]
    quiet = {row.pk for row in rows} - {row.pk for row in busy}
    if quiet:
        refresh_unchanged(sorted(quiet), _source(seen))
    for row in busy:
        reconcile(row.pk)
    return len(busy)


def _source(seen: dict[object, Observation] | object) -> str:
    observations = seen.values() if isinstance(seen, dict) else ()
    return next((o.source for o in observations if o.source), "portal")


def _needs_step(row: Endpoint, seen: Observation) -> bool:
    """Whether anything moves here, or the evidence no longer says what the row says."""
    if not row.is_settled or row.attempts:
        return True
    verdict = judge(row_view(row, late=bool(getattr(row, "late", False))), seen)
    written = Verdict(row.status, verdict.cause, verdict.message, row.ready_replicas,
                      row.serving.number if row.serving else None)
    return verdict != written or verdict.cause != row.cause
