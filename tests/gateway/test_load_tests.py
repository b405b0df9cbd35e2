"""Load tests against a real gateway and a small engine: what is measured, and every way in which a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from endpoints.loadtests.states import Ending, RunState
from endpoints.models import Endpoint, LoadTest
from endpoints.services import loadtest_run, loadtests
from endpoints.services.loadtest_bounds import Ask
from portal.tenancy.actor import Actor
from portal.tenancy.errors import Conflict
from portal.tenancy.models import LimitKind
from tests.cast import make_profile, set_limit
from tests.endpoints.routes_cast import Profile, Revision
from tests.gateway.server import ROOT, Server, Tenant, database, environment, eventually
from tests.simulators.openai_backend import OpenAIBackend

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def here(settings: Any, server: Server) -> None:
    settings.PORTAL_LOAD_TEST_URL = server.url


@pytest.fixture
def endpoint(tenant: Tenant, engine: OpenAIBackend) -> Endpoint:
    engine.script.delay = 0.01
    row = tenant.endpoint("tiny-chat", engine.url, token="engine-token", ready_replicas=1)
    row.wanted = Revision.objects.create(endpoint=row, number=1, profile=Profile.objects.first() or make_profile())
    row.save()
    return row


@pytest.fixture
def begin(tenant: Tenant, endpoint: Endpoint) -> Callable[..., LoadTest]:
    def make(**values: Any) -> LoadTest:
        tenant.wait_for("tiny-chat")
        usual = {"model": "tiny-chat", "rate": Decimal(20), "seconds": 5, "prompt_tokens": 12, "output_tokens": 5}
        ask = Ask(**{**usual, **values})
        return loadtests.start(Actor(user=tenant.owner), tenant.workspace, ask)

    return make


@pytest.fixture
def worker(server: Server) -> Iterator[Callable[[LoadTest], subprocess.Popen[bytes]]]:
    """Runs in a process of its own, as a worker's."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(run: LoadTest) -> subprocess.Popen[bytes]:
        code = (f"import django; django.setup(); from endpoints.services import loadtest_run; loadtest_run.run({run.pk})")
        begun.append(subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={
            **environment(server.folder), "PORTAL_LOAD_TEST_URL": server.url}))
        return begun[-1]

    yield start
    for one in begun:
        one.kill()
        one.wait()


def fresh(run: LoadTest) -> LoadTest:
    return LoadTest.objects.select_related("key").get(pk=run.pk)


def during(run: LoadTest, server: Server, act: Callable[[], object]) -> threading.Thread:
    """Do this in another thread as soon as calls are answered."""
    def wait() -> None:
        with database(server.folder):
            eventually(lambda: fresh(run).summary.get("done"), 60)
            act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_rate_is_kept_and_everything_is_measured(begin: Callable[..., LoadTest], engine: OpenAIBackend) -> None:
    run = begin()
    assert loadtest_run.run(run.pk)
    done = fresh(run)
    assert (done.state, done.ending, done.slot, done.occupies) == (RunState.DONE, "", None, None)
    found = done.summary
    assert 60 <= found["done"] <= 140  # Poisson with 100 expected: four sigma
    assert (found["failed"], found["in_flight"], found["unsent"], found["unreported"]) == (0, 0, 0, 0)
    assert found["done"] * 7 == found["prompt_tokens"]
    assert found["asked_prompt"] == found["done"] * 12
    assert 0.008 < found["first"]["p50"] < 1
    assert 0.008 < found["between"]["p50"] < 0.5
    assert found["between"]["count"] == found["done"] * 4
    assert found["whole"]["p50"] >= 0.05
    assert 4 <= len(done.series["points"]) <= 7
    assert sum(point["done"] for point in done.series["points"]) == found["done"]
    assert done.key is not None
    assert done.key.state == "revoked"
    asked = engine.requests[-1].body
    assert (asked["max_tokens"], len(asked["messages"][0]["content"].split())) == (5, 12)


def test_callers_go_on_when_they_are_answered(begin: Callable[..., LoadTest]) -> None:
    run = begin(mode="callers", callers=3)
    loadtest_run.run(run.pk)
    done = fresh(run)
    assert done.state == RunState.DONE
    assert done.summary["done"] > 20
    assert max(point["in_flight"] for point in done.series["points"]) <= 3


@pytest.mark.parametrize(("script", "limit", "ending", "kind"), [
    ({"status": 500, "body": b"{}"}, {}, Ending.ERRORS, "http_5"),
    ({"cut_after": 2}, {}, Ending.ERRORS, "cut"),
    ({}, {"requests_per_minute": 10}, Ending.REFUSED, "http_429"),
])
def test_a_run_that_goes_badly_stops_by_itself(
    script: dict[str, Any], limit: dict[str, int], ending: str, kind: str, begin: Callable[..., LoadTest],
    engine: OpenAIBackend, tenant: Tenant,
) -> None:
    run = begin(seconds=60)
    for name, value in script.items():
        setattr(engine.script, name, value)
    if limit:
        set_limit(tenant.workspace, LimitKind.WORKSPACE, **limit)
        time.sleep(1)  # gateways read limits again
    started = time.monotonic()
    loadtest_run.run(run.pk)
    done = fresh(run)
    assert (done.state, done.ending) == (RunState.STOPPED, ending)
    assert any(name.startswith(kind) for name in done.summary["errors"])
    assert time.monotonic() - started < 20


def test_a_budget_is_not_passed(begin: Callable[..., LoadTest], tenant: Tenant) -> None:
    run = begin(seconds=60)
    LoadTest.objects.filter(pk=run.pk).update(most_tokens=500)
    loadtest_run.run(run.pk)
    done = fresh(run)
    assert (done.state, done.ending) == (RunState.STOPPED, Ending.BUDGET)
    assert 300 < done.summary["prompt_tokens"] + done.summary["output_tokens"] <= 500


def test_cancel_acts_within_two_seconds(begin: Callable[..., LoadTest], tenant: Tenant, server: Server,
                                        engine: OpenAIBackend) -> None:
    run, asked = begin(seconds=60), []

    def cancel() -> None:
        asked.append(time.monotonic())
        loadtests.cancel(Actor(user=tenant.owner), run)

    thread = during(run, server, cancel)
    loadtest_run.run(run.pk)
    thread.join()
    assert time.monotonic() - asked[0] < 2
    done = fresh(run)
    assert (done.state, done.ending) == (RunState.CANCELLED, Ending.CANCELLED)
    assert done.summary["done"] > 0
    eventually(lambda: engine.open_requests == 0)


def test_a_run_stops_when_its_endpoint_leaves_service(begin: Callable[..., LoadTest], endpoint: Endpoint,
                                                       server: Server) -> None:
    run = begin(seconds=60)
    thread = during(run, server, lambda: Endpoint.objects.filter(pk=endpoint.pk).update(ready_replicas=0))
    loadtest_run.run(run.pk)
    thread.join()
    assert (fresh(run).state, fresh(run).ending) == (RunState.STOPPED, Ending.GONE)


def test_a_killed_workers_run_ends_as_interrupted_with_what_it_measured(
    begin: Callable[..., LoadTest], worker: Callable[[LoadTest], subprocess.Popen[bytes]], engine: OpenAIBackend,
    tenant: Tenant,
) -> None:
    run = begin(seconds=120)
    process = worker(run)
    eventually(lambda: fresh(run).summary.get("done"), 90)  # a whole Django starts first
    children = [int(pid) for pid in subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True,
                                                   check=True).stdout.split()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: not any(is_alive(pid) for pid in children))  # its calls end with it
    eventually(lambda: engine.open_requests == 0)
    assert loadtest_run.sweep() == 0, "its lease is not over yet"
    with pytest.raises(Conflict):
        begin()
    assert not loadtest_run.run(run.pk), "nobody begins a run twice"
    LoadTest.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert loadtest_run.sweep() == 1
    done = fresh(run)
    assert (done.state, done.ending, done.occupies, done.slot) == (RunState.INTERRUPTED, Ending.WORKER, None, None)
    assert done.summary["done"] > 0
    assert done.key is not None
    assert done.key.state == "revoked"
    assert begin().number == run.number + 1


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_that_lost_its_run_writes_nothing_more(begin: Callable[..., LoadTest], server: Server) -> None:
    run = begin(seconds=60)

    def lose() -> None:
        LoadTest.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(minutes=1), lease_epoch=99)
        assert loadtest_run.sweep() == 1

    thread = during(run, server, lose)
    loadtest_run.run(run.pk)
    thread.join()
    assert fresh(run).state == RunState.INTERRUPTED


def test_without_a_gateway_a_run_fails(begin: Callable[..., LoadTest], settings: Any,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin()
    settings.PORTAL_LOAD_TEST_URL = "http://127.0.0.1:1"
    loadtest_run.run(run.pk)
    assert (fresh(run).state, fresh(run).ending) == (RunState.FAILED, Ending.NO_GATEWAY)


def test_who_left_the_workspace_calls_nothing(begin: Callable[..., LoadTest], tenant: Tenant) -> None:
    run = begin()
    tenant.workspace.memberships.all().delete()
    loadtest_run.run(run.pk)
    assert (fresh(run).state, fresh(run).ending) == (RunState.FAILED, Ending.NO_KEY)
