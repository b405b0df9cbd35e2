"""A worker that sleeps through its lease, a wrong clock, and a beat that is gone (F5, F8, F28)."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections
from django.utils import timezone

from clusters.models import Engine, Host
from clusters.services import mark_lost_hosts
from clusters.states import HostState
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services import lease
from endpoints.states import STALE_AFTER, Status
from portal.tenancy import faults, heartbeat
from portal.tenancy.models import Heartbeat
from tests.cast import Cast, make_cast, make_cluster, make_host, make_profile
from tests.endpoints.agent_play import clear_stopped, serve
from tests.portal.apiclient import Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
SKEWS = [timedelta(minutes=-10), timedelta(minutes=10)]


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def deployed(cast: Cast) -> Endpoint:
    cluster = make_cluster()
    make_host(cluster)
    return services.create(cast.actor("alice"), cast.alpha, name="chat", cluster=cluster, profile=make_profile())


def worker_that_freezes(endpoint: Endpoint, at: int) -> int:
    """Reconcile in a process of its own that stops itself at fault point `at`, as SIGSTOP from outside would; its pid."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        points = iter(range(1, 100))

        def freeze() -> None:
            if next(points) == at:
                os.kill(os.getpid(), signal.SIGSTOP)

        faults.fault_point = freeze
        try:
            services.reconcile(endpoint.pk)
        finally:
            os._exit(0)
    _pid, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "the fault point was not reached"
    return pid


@pytest.mark.parametrize("at", [1, 2])
def test_a_frozen_worker_that_wakes_after_its_lease_writes_nothing(cast: Cast, at: int) -> None:
    endpoint = deployed(cast)
    pid = worker_that_freezes(endpoint, at)
    try:
        Endpoint.objects.update(lease_until=None)  # what half a minute does
        serve(endpoint)
        services.stop(cast.actor("alice"), endpoint)
        for _ in range(4):
            services.reconcile(endpoint.pk)
            clear_stopped()
        before = Endpoint.objects.get(pk=endpoint.pk)
        assert before.status == Status.STOPPED
    finally:
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
    after = Endpoint.objects.get(pk=endpoint.pk)
    assert (after.status, after.version, after.lease_epoch) == (before.status, before.version, before.lease_epoch)
    services.reconcile(endpoint.pk)
    clear_stopped()
    assert not Engine.objects.exists(), "what the late worker may have ordered outside is taken back"


@pytest.fixture
def skewed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> timedelta:
    """This process's clock is wrong by so much; the database's is right."""
    skew: timedelta = request.param
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + skew.total_seconds())
    monkeypatch.setattr(timezone, "now", lambda: datetime.now(tz=UTC) + skew)
    return skew


@pytest.mark.parametrize("skewed", SKEWS, indirect=True, ids=["late", "early"])
def test_a_worker_with_a_wrong_clock_steals_no_lease_and_keeps_none(cast: Cast, skewed: timedelta) -> None:
    endpoint = deployed(cast)
    held = lease.take(endpoint.pk)
    assert held is not None
    assert lease.take(endpoint.pk) is None, "stolen"
    left = Endpoint.objects.get().lease_until - datetime.now(tz=UTC)
    assert timedelta(0) < left <= timedelta(seconds=31), "measured by the database's clock"
    lease.release(held[0])
    assert lease.take(endpoint.pk) is not None


@pytest.mark.parametrize("skewed", SKEWS, indirect=True, ids=["late", "early"])
def test_a_worker_with_a_wrong_clock_loses_no_host_and_finds_what_is_due(cast: Cast, skewed: timedelta) -> None:
    endpoint = deployed(cast)
    assert list(Endpoint.objects.due()) == [endpoint], "a new row is due at once, whatever the clock of its maker"
    Host.objects.update(lease_until=datetime.now(tz=UTC) + timedelta(seconds=20), seen_at=datetime.now(tz=UTC))
    assert mark_lost_hosts() == 0
    assert Host.objects.get().state == HostState.READY
    Host.objects.update(lease_until=datetime.now(tz=UTC) - timedelta(minutes=2))
    assert mark_lost_hosts() == 1
    Endpoint.objects.update(next_look_at=datetime.now(tz=UTC) - timedelta(seconds=1))
    assert list(Endpoint.objects.due()) == [endpoint]
    Endpoint.objects.update(next_look_at=datetime.now(tz=UTC) + timedelta(minutes=1))
    assert not Endpoint.objects.due().exists()


def test_without_beat_everything_says_that_it_is_old_until_it_is_back(cast: Cast) -> None:
    endpoint = deployed(cast)
    serve(endpoint)
    heartbeat.mark("sweep")
    caller = Api(cast.operator)

    def told() -> tuple[str, bool, list[str], int]:
        row = caller.get(f"endpoints/{endpoint.uid}").json()
        return (row["status"], row["stale"], Api().get("/readyz").json()["warnings"],
                Api().get("/readyz?strict=1").status_code)

    assert told() == (Status.INSERVICE, False, [], 200)
    minute = timedelta(minutes=1)
    assert minute >= STALE_AFTER
    Endpoint.objects.update(seen_at=timezone.now() - minute, next_look_at=timezone.now() - minute)
    Heartbeat.objects.update(at=timezone.now() - minute)
    status, stale, warnings, ready = told()
    assert (status, stale, ready) == (Status.INSERVICE, True, 503)
    assert "The last sweep ended" in warnings[0]
    assert services.sweep() == 1
    services.look_at_cluster(endpoint.cluster_id)
    assert told() == (Status.INSERVICE, False, [], 200)
