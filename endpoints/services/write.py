"""The only writer of status: one compare-and-swap a verdict, with its event, revision marks and backends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import F, Q
from django.db.models.functions import Now

from endpoints.judge import Verdict, step_towards
from endpoints.models import Backend, Endpoint, Event, Revision
from endpoints.states import (
    DEADLINES,
    LOOK_CALM,
    LOOK_SOON,
    MAX_ATTEMPTS,
    TRANSITIONAL,
    Cause,
    Status,
    Wish,
    retry_delay,
)
from endpoints.targets.base import Observation, ReplicaSeen, TargetError
from portal.tenancy import audit
from portal.tenancy.actor import PORTAL
from portal.tenancy.db import retry_tx
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.queue import after_commit
from portal.tenancy.text import clean


@retry_tx
def write_verdict(endpoint: Endpoint, verdict: Verdict, seen: Observation) -> bool:
    """Write what the evidence means; False where the wish changed meanwhile or the lease was lost."""
    status = step_towards(endpoint.status, verdict.status)
    if status == Status.DELETED:
        return _bury(endpoint)
    message = clean(verdict.message, 1000)
    serving = _mark_revisions(endpoint, verdict, message)
    fields: dict[str, Any] = {
        "cause": verdict.cause, "message": message, "ready_replicas": verdict.ready, "serving": serving,
        "autoscaled_replicas": seen.wanted_replicas,
        "observed_generation": endpoint.observed_generation if verdict.open else endpoint.generation,
        "seen_at": Now(), "seen_by": seen.source or "portal", "attempts": 0, "last_error": "",
        "next_look_at": Now() + max(pause_of(status, verdict.status), timedelta(seconds=seen.pause)),
    }
    if not _swap(endpoint, status, fields):
        return False
    _write_backends(endpoint, addresses_of(seen))
    if (status, verdict.cause) != (endpoint.status, endpoint.cause):
        _note(endpoint, "status", status, verdict.cause, message)
    if status != verdict.status:
        after_commit("endpoints.tasks.reconcile_endpoint", endpoint.pk)
    return True


@retry_tx
def write_problem(endpoint: Endpoint, error: TargetError) -> bool:
    """The target refused or could not be asked: a permanent refusal ends the attempt, else only the age grows."""
    message = clean(error.message, 1000)
    if error.of_the_place:
        return bool(postpone([endpoint.pk], error))
    if not error.permanent:
        return _later(endpoint, message, error.code, error.pause)
    if _gives_way(endpoint):
        return _give_up(endpoint, message)
    goal = _after_refusal(endpoint)
    status = step_towards(endpoint.status, goal)
    fields = {"cause": error.code, "message": message, "observed_generation": endpoint.generation,
              "next_look_at": Now() + pause_of(status, goal)}
    if not _swap(endpoint, status, fields):
        return False
    if (status, error.code) != (endpoint.status, endpoint.cause):
        _note(endpoint, "error", status, error.code, message)
    return True


def _after_refusal(endpoint: Endpoint) -> Status:
    """What serves goes on serving, whatever else was refused."""
    if endpoint.status in (Status.STOPPING, Status.DELETING):
        return Status.STALLED
    return Status.DEGRADED if endpoint.is_serving else Status.FAILED


def _gives_way(endpoint: Endpoint) -> bool:
    """Whether what was refused is an update, and the revision before it is still there."""
    serving, wanted = endpoint.serving, endpoint.wanted
    return bool(endpoint.wish == Wish.RUNNING and serving and wanted and serving != wanted and wanted.failed_at is None)


def _give_up(endpoint: Endpoint, message: str) -> bool:
    """The wanted revision can never run here: the one in service is wanted again from the next step on."""
    assert endpoint.wanted is not None, "only an update gives way"
    Revision.objects.filter(pk=endpoint.wanted.pk, failed_at=None).update(failed_at=Now(), failure=message)
    status = step_towards(endpoint.status, _after_refusal(endpoint))
    fields = {"cause": Cause.UPDATE_FAILED, "message": message, "observed_generation": endpoint.generation,
              "next_look_at": Now()}
    if not _swap(endpoint, status, fields):
        return False
    _note(endpoint, "error", status, Cause.UPDATE_FAILED, message)
    after_commit("endpoints.tasks.reconcile_endpoint", endpoint.pk)
    return True


@retry_tx
def write_error(endpoint: Endpoint, error: Exception) -> bool:
    """A fault of ours: count it, wait longer each time, and after some tries say that a person is needed."""
    message = clean(f"{type(error).__name__}: {error}", 1000)
    if endpoint.attempts + 1 < MAX_ATTEMPTS:
        return _later(endpoint, message, Cause.ERROR)
    status = step_towards(endpoint.status, Status.STALLED)
    fields = {"cause": Cause.ERROR, "message": message, "last_error": message, "attempts": F("attempts") + 1,
              "next_look_at": Now() + _jittered(retry_delay(endpoint.attempts))}
    if not _swap(endpoint, status, fields):
        return False
    if (status, Cause.ERROR) != (endpoint.status, endpoint.cause):
        _note(endpoint, "error", status, Cause.ERROR, message)
    return True


def postpone(pks: Sequence[int], error: TargetError) -> int:
    """The place can't be asked, which says nothing about its endpoints: only their evidence grows old.

    No try is counted, so all are looked at within a period once the place answers; and no deadline runs on.
    """
    pause = max(LOOK_CALM, timedelta(seconds=error.pause))
    rows = Endpoint.objects.filter(_quiet(), pk__in=pks) if len(pks) > 1 else Endpoint.objects.filter(pk__in=pks)
    return rows.update(last_error=clean(error.message, 1000), deadline_at=None, next_look_at=Now() + _jittered(pause))


def _later(endpoint: Endpoint, message: str, cause: Cause, pause: float = 0.0) -> bool:
    delay = max(_jittered(retry_delay(endpoint.attempts)), timedelta(seconds=pause))
    won = _guard(endpoint).update(attempts=F("attempts") + 1, last_error=message, next_look_at=Now() + delay)
    if won and message != endpoint.last_error:
        _note(endpoint, "error", endpoint.status, cause, message)
    return bool(won)


def _guard(endpoint: Endpoint) -> Any:
    """Only the holder of the newest lease writes, and only while the wish is the one that it acted on."""
    return Endpoint.objects.filter(
        pk=endpoint.pk, lease_epoch=endpoint.lease_epoch, generation=endpoint.generation, status=endpoint.status)


def _swap(endpoint: Endpoint, status: str, fields: dict[str, Any]) -> bool:
    if status != endpoint.status:
        fields |= {"status": status, "status_since": Now(), "version": F("version") + 1}
    if status not in TRANSITIONAL:
        fields["deadline_at"] = None
    elif status != endpoint.status or endpoint.deadline_at is None:
        seconds = endpoint.wanted.spec.get("start_seconds", 0) if endpoint.wanted else 0
        fields["deadline_at"] = Now() + time_for(status, endpoint.replicas_now, seconds)
    return bool(_guard(endpoint).update(**fields))


def time_for(status: str, replicas: int, start_seconds: int) -> timedelta:
    """How long this state may take: its own time, and the profile's for each replica that starts in turn.

    An update may start one replica more than there are.
    """
    starts = {Status.CREATING: 1, Status.UPDATING: replicas + 1}.get(Status(status), 0)
    return DEADLINES[status] + timedelta(seconds=starts * start_seconds)


def pause_of(status: str, goal: str) -> timedelta:
    if status != goal:
        return timedelta(0)
    return LOOK_SOON if status in TRANSITIONAL else LOOK_CALM


def _jittered(delay: timedelta) -> timedelta:
    return delay * (0.5 + random.random())


def _mark_revisions(endpoint: Endpoint, verdict: Verdict, message: str) -> Revision | None:
    """Note which revision serves, and give the wanted one up where its update failed."""
    if verdict.failed and endpoint.wanted is not None:
        Revision.objects.filter(pk=endpoint.wanted.pk, failed_at=None).update(failed_at=Now(), failure=message)
        after_commit("endpoints.tasks.reconcile_endpoint", endpoint.pk)
    if verdict.serving is None:
        return endpoint.serving if endpoint.status not in (Status.STOPPING, Status.STOPPED) else None
    for known in (endpoint.wanted, endpoint.serving):
        if known is not None and known.number == verdict.serving:
            if known.served_at is None:
                Revision.objects.filter(pk=known.pk, served_at=None).update(served_at=Now())
            return known
    return endpoint.serving


def addresses_of(seen: Observation) -> list[ReplicaSeen]:
    """Who takes calls: the one entrance for all replicas, else each that has an address."""
    return [seen.entrance] if seen.entrance is not None else [replica for replica in seen.replicas if replica.url]


def _is_as(row: Backend, replica: ReplicaSeen) -> bool:
    plain = (row.url, row.ca, row.client_certificate, row.host)
    if plain != (replica.url, replica.ca, replica.client_certificate, replica.host):
        return False
    try:
        return (row.secret("token"), row.secret("client_key")) == (replica.token, replica.client_key)
    except SecretUnreadable:
        return False


def _write_backends(endpoint: Endpoint, wanted: Sequence[ReplicaSeen]) -> None:
    """Make the gateway's table say who answers now; unchanged rows stay untouched."""
    gone, missing = differing(list(Backend.objects.filter(endpoint_id=endpoint.pk)), wanted)
    if gone:
        Backend.objects.filter(pk__in=gone).delete()
    for replica in missing:
        new_backend(endpoint.pk, replica).save(force_insert=True)


def differing(there: Sequence[Backend], wanted: Sequence[ReplicaSeen]) -> tuple[list[int], list[ReplicaSeen]]:
    """Which rows of the gateway's table must go, and whose are missing there."""
    by_key = {replica.key: replica for replica in wanted}
    kept = {row.key for row in there if row.key in by_key and _is_as(row, by_key[row.key])}
    return [row.pk for row in there if row.key not in kept], [each for key, each in by_key.items() if key not in kept]


def new_backend(endpoint_pk: int, replica: ReplicaSeen) -> Backend:
    row = Backend(endpoint_id=endpoint_pk, key=replica.key, url=replica.url, revision=replica.revision, ca=replica.ca,
                  client_certificate=replica.client_certificate, host=replica.host)
    row.put_secret("token", replica.token)
    row.put_secret("client_key", replica.client_key)
    return row


def _bury(endpoint: Endpoint) -> bool:
    """The end: everything outside is gone, now the row goes, and the audit keeps that it was."""
    guard = _guard(endpoint)
    if not guard.update(wanted=None, serving=None):
        return False
    audit.record(PORTAL, "deleted", endpoint, workspace=endpoint.workspace, before=audit.snapshot(endpoint))
    Endpoint.objects.filter(pk=endpoint.pk).delete()
    return True


def _note(endpoint: Endpoint, kind: str, status: str, cause: str, message: str) -> None:
    Event.objects.create(endpoint=endpoint, kind=kind, was=endpoint.status, now=status, cause=cause, message=message,
                         actor_label="portal", generation=endpoint.generation)


def _quiet() -> Q:
    """Rows that no worker holds now."""
    return Q(lease_until=None) | Q(lease_until__lt=Now())


def refresh_unchanged(pks: list[int], source: str) -> int:
    """Renew the age of rows whose evidence says what is written already: one statement for all."""
    return Endpoint.objects.filter(_quiet(), pk__in=pks).update(
        seen_at=Now(), seen_by=source, last_error="", next_look_at=Now() + LOOK_CALM)
