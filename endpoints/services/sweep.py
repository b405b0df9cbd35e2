"""The keeper of the promise: finds every row whose look is due, one observation per place, and acts where needed.

Right without the broker's messages, right when it runs twice at once: each row has its own lease.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.db.models import Min
from django.db.models.functions import Now
from django.utils import timezone

from clusters.models import Cluster
from endpoints.judge import judge, step_towards
from endpoints.models import Backend, Endpoint
from endpoints.states import ENDS_AN_ATTEMPT, Cause, Status, Wish
from endpoints.targets import target_for
from endpoints.targets.base import Follow, Observation, TargetError
from portal.tenancy import heartbeat
from portal.tenancy.queue import after_commit

from .known import known
from .reconcile import reconcile
from .write import addresses_of, differing, postpone, refresh_unchanged
from .write_many import News, write_many

log = logging.getLogger(__name__)
BATCH = 2000
# A pass ends before the hard limit of a task; what is left is due again at once.
PASS_SECONDS = 20.0
MOST_ROWS = 10 * BATCH
# Rows that are being looked at are not due for others so long; one look has 30 s for its calls.
LOOK_LEASE = timedelta(seconds=45)
NOTHING = Observation()


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
        if error.code == Cause.NO_KIND:  # No look will ever show those that go: a step takes away what there may be.
            for pk in Endpoint.objects.filter(pk__in=claimed[:BATCH], wish=Wish.DELETED).values_list("pk", flat=True):
                after_commit("endpoints.tasks.reconcile_endpoint", pk)
        return 0
    end, steps = time.monotonic() + PASS_SECONDS, 0
    for batch in _batches(claimed):
        steps += _judge_batch(batch, seen, end)
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


class Look(News):
    """What one look at a row asks for."""

    @property
    def is_news(self) -> bool:
        row, verdict = self.row, self.verdict
        said = (row.status, row.cause, row.message, row.ready, row.serving, row.autoscaled)
        now = (verdict.status, verdict.cause, self.message, verdict.ready, verdict.serving, self.seen.wanted_replicas)
        return said != now or verdict.failed or differing(self.there, addresses_of(self.seen)) != ([], [])

    @property
    def is_refused(self) -> bool:
        """Whether the place has said of this very wish that it can't be; another step would hear the same.

        Replicas that are all there are no sign that it was carried out: it may have been of something beside them.
        """
        row = self.row
        heals = self.verdict.status == Status.INSERVICE and row.status == Status.FAILED
        return row.is_settled and row.status in (Status.FAILED, Status.DEGRADED) and row.cause in ENDS_AN_ATTEMPT and not heals

    @property
    def kept(self) -> Look:
        """With the refusal as it stands, and what has changed of the replicas that serve all the same."""
        row = self.row
        return replace(self, verdict=replace(self.verdict, status=row.status, cause=Cause(row.cause), message=row.message))

    @property
    def needs_step(self) -> bool:
        """Whether anything moves here, the place has to be acted upon, or more is due than one line of status."""
        row, verdict, follow = self.row, self.verdict, self.seen.follow
        if not row.is_settled or row.attempts or follow == Follow.STEP:
            return True
        if follow == Follow.STEP_IF_NEWS or verdict.failed or verdict.status == Status.DELETED:
            return self.is_news
        return step_towards(row.status, verdict.status) != verdict.status


def _judge_batch(pks: Sequence[int], seen: dict[UUID, Observation], end: float) -> int:
    """Renew the age of rows of which the evidence says nothing new, write what is new, take a step where one is due."""
    if time.monotonic() > end:
        _put_off(pks)
        return 0
    quiet: list[int] = []
    news: list[News] = []
    steps: list[int] = []
    for look in _looks(pks, seen):
        if look.is_refused:
            if look.row.status == Status.DEGRADED and look.kept.is_news:
                news.append(look.kept)
            else:
                quiet.append(look.row.pk)
        elif look.needs_step:
            steps.append(look.row.pk)
        elif look.is_news:
            news.append(look)
        else:
            quiet.append(look.row.pk)
    source = next((each.source for each in seen.values() if each.source), "portal")
    write_many(news, source)
    if quiet:
        refresh_unchanged(quiet, source)
    return _take(steps, end)


def _take(steps: Sequence[int], end: float) -> int:
    """One step of each row, as far as the time goes."""
    for done, pk in enumerate(steps):
        if time.monotonic() > end:
            _put_off(steps[done:])
            return done
        reconcile(pk)
    return len(steps)


def _put_off(pks: Sequence[int]) -> None:
    Endpoint.objects.filter(pk__in=pks, next_look_at__gt=Now()).update(next_look_at=Now())


def _looks(pks: Sequence[int], seen: dict[UUID, Observation]) -> list[Look]:
    """The rows come first: who writes an address later changes what guards them."""
    rows = known(pks)
    backends: dict[int, list[Backend]] = defaultdict(list)
    for backend in Backend.objects.filter(endpoint_id__in=pks):
        backends[backend.endpoint_id].append(backend)
    return [Look(row, found, judge(row.view, found), backends[row.pk])
            for row in rows for found in [seen.get(row.uid, NOTHING)]]
