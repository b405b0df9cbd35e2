"""What a worker does with a run: take it, let a process make its calls, write what it measures, end it.

The row is the truth: a run is taken once by compare-and-swap, and held by a lease that each write renews. A worker that
dies leaves it `running` until the lease is over; then the sweep ends it as interrupted, with what was measured so far.
Nobody begins a run a second time.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from endpoints.loadtests.plan import Plan
from endpoints.loadtests.process import Process
from endpoints.loadtests.states import LEASE, STATE_AFTER, Ending, RunState
from endpoints.models import Endpoint, LoadTest
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import PortalError
from portal.tenancy.models import ApiKey
from portal.tenancy.page_keys import draw_key
from portal.tenancy.queue import after_commit

from .loadtests import RUN

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
stopping = threading.Event()  # set where this worker is told to end


def run(pk: int) -> bool:
    """Whether this worker ran it. Returns when the run is over, some minutes later."""
    row = take(pk)
    if row is None:
        return False
    ending = Ending.WORKER
    try:
        ending = _run(row)
    finally:
        _end(row, ending)
        ring()
    return True


@retry_tx
def take(pk: int) -> LoadTest | None:
    """The run with its lease, or None where it isn't waiting any more, or as many run as may."""
    for slot in range(settings.PORTAL_LOAD_TESTS_AT_ONCE):
        try:
            with transaction.atomic():
                taken = LoadTest.objects.waiting().filter(pk=pk).update(
                    state=RunState.RUNNING, slot=slot, lease_until=Now() + LEASE, lease_epoch=F("lease_epoch") + 1,
                    began_at=Now())
        except IntegrityError:
            continue  # somebody's run is in this place
        return LoadTest.objects.select_related("workspace", "created_by").get(pk=pk) if taken else None
    return None


def sweep() -> int:
    """End what lost its worker, ring for what waits; how many were ended."""
    gone = list(LoadTest.objects.abandoned().values_list("pk", flat=True))
    ended = sum(_interrupt(pk) for pk in gone)
    ring()
    return ended


def ring() -> None:
    """Send a task for the runs that have waited longest, as many as there may be places."""
    waiting = LoadTest.objects.waiting().order_by("pk").values_list("pk", flat=True)
    for pk in waiting[:settings.PORTAL_LOAD_TESTS_AT_ONCE]:
        after_commit(RUN, pk)


def gateway_url() -> str:
    """Where a run's calls go: as set, else to the gateway of this machine."""
    if settings.PORTAL_LOAD_TEST_URL:
        return str(settings.PORTAL_LOAD_TEST_URL)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.PORTAL_BIND, settings.PORTAL_BIND)  # noqa: S104
    port = settings.PORTAL_GATEWAY_PORT if settings.PORTAL_GATEWAY_WORKERS else settings.PORTAL_PORT
    return f"http://{host}:{port}"


def _run(row: LoadTest) -> Ending:
    actor = Actor(user=row.created_by)
    try:
        key, text = draw_key(actor, row.workspace, name=f"Load test {row.number}", model_names=[row.model_name])
    except PortalError as error:
        log.info("a load test got no key", extra={"load_test": str(row.uid), "code": error.code})
        return Ending.NO_KEY
    LoadTest.objects.filter(pk=row.pk).update(key=key)
    row.key = key
    with Process(plan_of(row), text) as process:
        return _follow(row, process)


def plan_of(row: LoadTest) -> Plan:
    return Plan(
        url=gateway_url(), model=row.model_name, mode=row.mode, rate=float(row.rate), callers=row.callers, seconds=row.seconds,
        prompt_tokens=row.prompt_tokens, prompt_spread=row.prompt_spread, output_tokens=row.output_tokens,
        output_spread=row.output_spread, seed=secrets.randbits(32), most_tokens=row.most_tokens, most_nano=row.most_nano,
        prompt_nano=row.prompt_nano, output_nano=row.output_nano, most_rate=settings.PORTAL_LOAD_TEST_RATE)


def _follow(row: LoadTest, process: Process) -> Ending:
    """Until the process says that it has ended, or this worker has lost the run."""
    while not process.is_over:
        said = process.hear(LOOK_SECONDS)
        process.go_on()
        if not _write(row, said or {}):
            log.warning("a load test was lost to another", extra={"load_test": str(row.uid)})
            return Ending.WORKER
        if said and said.get("ended"):
            return Ending(said.get("why") or "")
        why = _why_stop(row)
        if why:
            process.stop(why)
    log.error("a load test's process ended", extra={"load_test": str(row.uid), "said": process.last_words()})
    return Ending.CRASHED


def _why_stop(row: LoadTest) -> Ending:
    """Whether somebody or something says that the run should end now."""
    if stopping.is_set():
        return Ending.WORKER
    if LoadTest.objects.filter(pk=row.pk, stop_asked_at__isnull=False).exists():
        return Ending.CANCELLED
    return Ending.NONE if _is_served(row) else Ending.GONE


def _is_served(row: LoadTest) -> bool:
    if row.route_id is not None:
        ends = Endpoint.objects.filter(route_targets__route=row.route_id)
    else:
        ends = Endpoint.objects.filter(load_tests=row)
    return any(one.is_serving for one in ends.only("status", "ready_replicas"))


@retry_tx
def _write(row: LoadTest, said: Mapping[str, Any]) -> bool:
    """Renew the lease, with what was measured since; whether the run is still this worker's."""
    news = {name: said[name] for name in ("summary", "series") if said.get("has_begun")}
    return bool(_ours(row).update(lease_until=Now() + LEASE, **news))


@retry_tx
def _end(row: LoadTest, ending: Ending) -> None:
    _ours(row).update(state=STATE_AFTER[ending], ending=ending, ended_at=Now(), lease_until=None, slot=None, occupies=None)
    _revoke(row.key_id)


def _ours(row: LoadTest) -> Any:
    return LoadTest.objects.filter(pk=row.pk, state=RunState.RUNNING, lease_epoch=row.lease_epoch)


@retry_tx
def _interrupt(pk: int) -> int:
    """End this run unless its worker has written after all."""
    done = LoadTest.objects.abandoned().filter(pk=pk).update(
        state=RunState.INTERRUPTED, ending=Ending.WORKER, ended_at=Now(), lease_until=None, slot=None, occupies=None)
    if done:
        _revoke(LoadTest.objects.values_list("key_id", flat=True).get(pk=pk))
    return done


def _revoke(key: int | None) -> None:
    """The run's key opens no door any more."""
    if key is None:
        return
    ApiKey.objects.filter(pk=key, revoked_at=None).update(revoked_at=timezone.now())
