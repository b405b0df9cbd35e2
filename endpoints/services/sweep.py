"""The keeper of the promise: finds every row whose look is due, one observation per place, and acts where needed.

Right without the broker's messages, right when it runs twice at once: each row has its own lease.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Min, Q
from django.db.models.functions import Now
from django.utils import timezone

from clusters.models import Cluster
from endpoints.judge import Verdict, judge
from endpoints.models import Backend, Endpoint
from endpoints.states import ENDS_AN_ATTEMPT, Status
from endpoints.targets import target_for
from endpoints.targets.base import Follow, Observation, TargetError
from portal.tenancy import heartbeat
from portal.tenancy.queue import after_commit

from .reconcile import reconcile
from .specs import row_view
from .write import addresses_of, postpone, refresh_unchanged, same_addresses, write_figures, write_verdict

log = logging.getLogger(__name__)
BATCH = 500
# A pass ends before the hard limit of a task; what is left is due again at once.
PASS_SECONDS = 20.0
MOST_ROWS = 40 * BATCH
# Rows that are being looked at are not due for others so long; one look has 30 s for its calls.
LOOK_LEASE = timedelta(seconds=45)


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
    """Look at the due rows of one place by one observation; how many needed a step of their own.

    One worker looks at a place at a time, so a slow place holds up nobody but itself.
    """
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    claimed = [] if cluster is None else _claim(cluster)
    if cluster is None or not claimed:
        return 0
    try:
        seen = _observe(cluster, claimed)
    except TargetError as error:
        log.info("a place can't be looked at", extra={"cluster": cluster.name, "cause": error.code})
        postpone(claimed, error)
        return 0
    began, steps = time.monotonic(), 0
    for batch in _batches(claimed):
        if time.monotonic() - began < PASS_SECONDS:
            steps += _judge_batch(batch, seen)
        else:
            Endpoint.objects.filter(pk__in=batch, next_look_at__gt=Now()).update(next_look_at=Now())
    return steps


def _claim(cluster: Cluster) -> list[int]:
    """The due rows of this place, oldest first; none where another worker has just taken them."""
    due = Endpoint.objects.due().filter(cluster=cluster)
    pks = list(due.order_by("next_look_at").values_list("pk", flat=True)[:MOST_ROWS])
    taken = [Endpoint.objects.due().filter(pk__in=batch).update(next_look_at=Now() + LOOK_LEASE) for batch in _batches(pks)]
    return pks if any(taken) else []


def _batches(pks: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(pks), BATCH):
        yield pks[start:start + BATCH]


def _observe(cluster: Cluster, pks: Sequence[int]) -> dict[UUID, Observation]:
    few = list(Endpoint.objects.filter(pk__in=pks).values_list("uid", flat=True)) if len(pks) < BATCH else None
    return target_for(cluster).observe(few)


@dataclass(frozen=True)
class Look:
    """A row with what was seen of it, what that means, and what it says now; all of it from one moment."""

    row: Endpoint
    seen: Observation
    verdict: Verdict
    same_addresses: bool

    @property
    def is_news(self) -> bool:
        row, verdict = self.row, self.verdict
        written = Verdict(row.status, verdict.cause, verdict.message, row.ready_replicas,
                          row.serving.number if row.serving else None)
        return verdict != written or verdict.cause != row.cause or not self.same_addresses or self.figures_differ

    @property
    def figures_differ(self) -> bool:
        return (self.row.ready_replicas, self.row.autoscaled_replicas) != (self.verdict.ready, self.seen.wanted_replicas)

    @property
    def is_refused(self) -> bool:
        """Whether the place has said of this very wish that it can't be; another step would hear the same."""
        row = self.row
        return (row.is_settled and row.status in (Status.FAILED, Status.DEGRADED) and row.cause in ENDS_AN_ATTEMPT
                and self.verdict.status != Status.INSERVICE)

    @property
    def needs_step(self) -> bool:
        """Whether anything moves here, or the place has to be acted upon."""
        if not self.row.is_settled or self.row.attempts or self.seen.follow == Follow.STEP:
            return True
        return self.is_news and self.seen.follow == Follow.STEP_IF_NEWS

    @property
    def only_figures(self) -> bool:
        """Whether the same can be said of the row, with other numbers in it."""
        row, verdict = self.row, self.verdict
        return self.same_addresses and (row.status, row.cause, row.serving.number if row.serving else None) == (
            verdict.status, verdict.cause, verdict.serving)


def _judge_batch(pks: Sequence[int], seen: dict[UUID, Observation]) -> int:
    """Renew the age of rows of which the evidence says nothing new, write what is new, take a step where one is due."""
    quiet: list[int] = []
    figures: dict[tuple[int, int | None, str], list[int]] = defaultdict(list)
    busy = 0
    for look in _looks(pks, seen):
        if look.is_refused:
            quiet.append(look.row.pk)
        elif look.needs_step:
            busy += reconcile(look.row.pk)
        elif not look.is_news:
            quiet.append(look.row.pk)
        elif look.only_figures:
            figures[look.verdict.ready, look.seen.wanted_replicas, look.verdict.message].append(look.row.pk)
        else:
            write_verdict(look.row, look.verdict, look.seen)
    source = next((each.source for each in seen.values() if each.source), "portal")
    for (ready, autoscaled, message), group in figures.items():
        write_figures(group, ready=ready, autoscaled=autoscaled, message=message)
        quiet += group
    if quiet:
        refresh_unchanged(sorted(quiet), source)
    return busy


def _looks(pks: Sequence[int], seen: dict[UUID, Observation]) -> list[Look]:
    late = ExpressionWrapper(Q(deadline_at__lt=Now()), output_field=BooleanField())
    rows = Endpoint.objects.filter(pk__in=pks).select_related("wanted", "serving").annotate(late=late)
    backends: dict[int, list[Backend]] = defaultdict(list)
    for backend in Backend.objects.filter(endpoint_id__in=pks):
        backends[backend.endpoint_id].append(backend)
    return [_look(row, seen.get(row.uid, Observation()), backends[row.pk]) for row in rows.order_by("pk")]


def _look(row: Endpoint, seen: Observation, there: Sequence[Backend]) -> Look:
    verdict = judge(row_view(row, late=bool(getattr(row, "late", False))), seen)
    return Look(row, seen, verdict, same_addresses(there, addresses_of(seen)))
