"""An agent's report against the rows: leases, fencing, engines of others, what stays and what goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters import services
from clusters.agent import causes
from clusters.agent.messages import Condition, EngineReport, Gpu, Sync
from clusters.models import Accelerator, AgentNonce, Claim, Engine, Host, Node
from clusters.services import Superseded
from clusters.states import LEASE, LEASE_MARGIN, EngineCause, HostState, Phase
from clusters.tasks import mark_lost_hosts
from portal.tenancy import queue
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import Conflict, NotAllowed
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_cluster, make_host

from .agent_rig import order_engine
from .test_enrolment import INVENTORY

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def host(db: None) -> Host:
    return make_host(make_cluster())


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> Iterator[list[Any]]:
    """What was sent to the queue after commit: the real call, less the broker."""
    sent: list[Any] = []
    monkeypatch.setattr(queue, "_send", lambda task, args: sent.append((task, *args)))
    with django_capture_on_commit_callbacks(execute=True):
        yield sent


def report(engine: Engine | UUID, phase: str = Phase.READY, **values: Any) -> EngineReport:
    uid = engine.uid if isinstance(engine, Engine) else engine
    defaults = {"message": "", "cause": "", "restarts": 0, "pid": 4711, "port": 9000}
    return EngineReport(uid=str(uid), phase=phase, **{**defaults, **values})


def sync(host: Host, *engines: EngineReport, epoch: int = 1, **values: Any) -> Any:
    fresh = Host.objects.select_related("node__cluster").get(pk=host.pk)
    return services.sync(fresh, Sync(epoch=epoch, agent_version="0.1.0", conditions=values.pop("conditions", ()),
                                     engines=engines, **values))


def queries(host: Host, *engines: EngineReport, **values: Any) -> int:
    with CaptureQueriesContext(connection, ) as seen:
        sync(host, *engines, **values)
    return len([q for q in seen if "SAVEPOINT" not in q["sql"]]) - 1  # less the test's own look at the host


def test_a_report_is_written_and_answered_with_the_complete_orders(host: Host) -> None:
    engine = order_engine(host, "/models/x", "--seed", "1", env={"OMP_NUM_THREADS": "2"})
    orders = sync(host, report(engine, message="fine", log="line", previous_log="older", restarts=2, exit_code=1))
    engine.refresh_from_db()
    assert (engine.phase, engine.pid, engine.port, engine.restarts, engine.exit_code, engine.message, engine.log,
            engine.previous_log) == (Phase.READY, 4711, 9000, 2, 1, "fine", "line", "older")
    assert engine.reported_at
    assert engine.phase_since
    host.refresh_from_db()
    assert host.lease_until - host.seen_at == LEASE
    assert (orders.complete, orders.epoch, orders.version, orders.lease_seconds, orders.margin_seconds) == (
        True, 1, 1, LEASE.seconds, LEASE_MARGIN.seconds)
    (order,) = orders.engines
    assert (order.uid, order.argv, order.env) == (
        str(engine.uid), ("--model", "/models/x", "--seed", "1"), {"OMP_NUM_THREADS": "2"})


@pytest.mark.parametrize(("local", "token"), [(True, ""), (False, "engine-token-0123456789")])
def test_only_a_host_that_others_reach_gets_the_token_of_its_engines(host: Host, local: bool, token: str) -> None:
    Host.objects.update(is_local=local)
    order_engine(host, "/models/x")
    assert sync(host).engines[0].token == token


def test_every_cause_that_an_agent_can_name_can_be_translated(host: Host) -> None:
    source = (Path(causes.__file__).parent / "engines.py").read_text()
    named = {rule.code for rule in causes.RULES} | set(re.findall(r'Why\("(\w+)"', source)) | {
        causes.explain(code, "").code for code in (None, 0, 1, 2, 137)}
    assert named <= set(EngineCause.values)
    engine = order_engine(host, "/models/x")
    sync(host, report(engine, Phase.BACKOFF, cause="of_the_future"))
    engine.refresh_from_db()
    assert engine.get_cause_display() == "The engine failed."


def test_logs_that_a_report_leaves_out_stay(host: Host) -> None:
    engine = order_engine(host, "/models/x")
    sync(host, report(engine, log="line", previous_log="older"))
    sync(host, report(engine))
    engine.refresh_from_db()
    assert (engine.log, engine.previous_log) == ("line", "older")


def test_text_of_an_agent_is_cleaned_and_an_unknown_phase_is_not_taken(host: Host) -> None:
    engine = order_engine(host, "/models/x")
    sync(host, report(engine, "LOST", message="\x1b[31mred\x00\u202e", log="a\x07b\n"))
    engine.refresh_from_db()
    assert (engine.phase, engine.message, engine.log) == (Phase.STARTING, "red", "ab\n")


def test_a_moved_engine_rings_for_its_endpoint_and_a_still_one_does_not(host: Host, rung: list[Any],
                                                                        django_capture_on_commit_callbacks: Any) -> None:
    engine = order_engine(host, "/models/x")
    with django_capture_on_commit_callbacks(execute=True):
        sync(host, report(engine, Phase.LOADING))
    assert rung == [("endpoints.tasks.look_at", str(engine.endpoint_uid))]
    with django_capture_on_commit_callbacks(execute=True):
        sync(host, report(engine, Phase.LOADING, message="Loading the weights: 50 %"))
    assert len(rung) == 1
    with django_capture_on_commit_callbacks(execute=True):
        sync(host, report(engine, Phase.READY))
    assert len(rung) == 2


def test_an_engine_that_must_go_goes_when_the_agent_no_longer_names_it(host: Host, rung: list[Any]) -> None:
    engine = order_engine(host, "/models/x")
    Claim.objects.create(engine=engine, node=host.node, cpu_millis=1000)
    Engine.objects.update(stop=True)
    assert sync(host, report(engine, Phase.STOPPING)).engines == ()
    assert Claim.objects.exists(), "its claims stay while its process does"
    sync(host)
    assert not Engine.objects.exists()
    assert not Claim.objects.exists()


def test_an_engine_that_the_agent_does_not_know_is_assigned_again(host: Host) -> None:
    engine = order_engine(host, "/models/x")
    sync(host, report(engine))
    sync(host)
    engine.refresh_from_db()
    assert (engine.phase, engine.pid, engine.port) == (Phase.ASSIGNED, None, None)


def test_an_agent_neither_sees_nor_changes_the_engine_of_another_host(host: Host) -> None:
    other = make_host(host.node.cluster, "host-2")
    engine = order_engine(other, "/models/x")
    theirs = sync(host, report(engine, Phase.CRASHLOOP, port=1, message="mine now"))
    nothing = sync(host, report(UUID(int=7), Phase.CRASHLOOP, port=1, message="mine now"))
    assert theirs == nothing
    assert theirs.engines == ()
    engine.refresh_from_db()
    assert (engine.phase, engine.port, engine.message, engine.reported_at) == (Phase.ASSIGNED, None, "", None)
    Engine.objects.update(stop=True)
    sync(host)
    assert Engine.objects.exists(), "another host's silence removes nothing"


def test_a_report_of_an_older_lease_is_refused_with_the_new_epoch(host: Host) -> None:
    engine = order_engine(host, "/models/x")
    Host.objects.update(lease_epoch=5)
    before = Host.objects.values().get()
    with pytest.raises(Superseded) as refusal:
        sync(host, report(engine), epoch=4)
    assert (refusal.value.epoch, refusal.value.status, refusal.value.code) == (5, 409, "superseded")
    assert Host.objects.values().get() == before
    assert Engine.objects.get().phase == Phase.ASSIGNED
    with pytest.raises(Superseded):
        sync(host, epoch=6)


@pytest.mark.parametrize("launch", [{}, {"argv": ["x" * 9000]}, {"env": {"A": 1}}, {"release": None}])
def test_an_order_that_cannot_be_sent_does_not_hold_up_the_others(host: Host, launch: dict[str, Any]) -> None:
    good, bad = order_engine(host, "/models/x"), order_engine(host, "/models/y")
    Engine.objects.filter(pk=bad.pk).update(launch={**bad.launch, **launch} if launch else {})
    for _ in range(2):
        assert [order.uid for order in sync(host).engines] == [str(good.uid)]
        bad.refresh_from_db()
        assert (bad.phase, bad.cause) == (Phase.CRASHLOOP, "bad_order")
    Engine.objects.filter(pk=bad.pk).update(stop=True)
    sync(host)
    assert Engine.objects.get() == good


def test_a_secret_that_cannot_be_read_does_not_hold_up_the_others(host: Host) -> None:
    Host.objects.update(is_local=False)
    good, bad = order_engine(host, "/models/x"), order_engine(host, "/models/y")
    Engine.objects.filter(pk=bad.pk).update(token=good.token)
    assert [order.uid for order in sync(host).engines] == [str(good.uid)]


def test_the_queries_of_a_report_do_not_grow_with_engines(host: Host) -> None:
    engines = [order_engine(host, "/models/x") for _ in range(12)]
    one = [report(engines[0])]
    every = [report(engine, log="x") for engine in engines]
    sync(host, *one)
    assert queries(host, *one) == 3, "lease, engines, seen"
    assert queries(host, *every) == 5, "and what changed, and since when"
    assert queries(host, *every) == 3
    assert queries(host, *every, inventory=INVENTORY) == 6, "and node, GPUs, a new GPU"
    assert queries(host, *every, inventory=INVENTORY) == 4


def test_a_new_inventory_is_written_and_a_gpu_that_is_gone_goes(host: Host) -> None:
    sync(host, inventory=INVENTORY, conditions=(Condition("DiskPressure", "full"),))
    node = Node.objects.get()
    assert (node.cpu_millis, node.labels["system"]) == (8000, "Linux")
    assert Accelerator.objects.get().model == "NVIDIA H100"
    host.refresh_from_db()
    assert (host.releases, host.conditions) == (["small-1"], [{"type": "DiskPressure", "message": "full"}])
    two = (Gpu(1, "GPU-2", "NVIDIA L4", 24 * GIB, 0),)
    engine = order_engine(host, "/models/x")
    held = Accelerator.objects.create(node=node, index=7, model="NVIDIA H100", memory_bytes=80 * GIB)
    Claim.objects.create(engine=engine, node=node, accelerator=held)
    sync(host, inventory=INVENTORY.__class__(**{**INVENTORY.__dict__, "gpus": two}))
    assert list(Accelerator.objects.values_list("index", "memory_bytes")) == [(1, 24 * GIB), (7, 0)]


class TestLostHosts:
    def lose(self, host: Host, ago: timedelta = LEASE_MARGIN + timedelta(seconds=1)) -> None:
        Host.objects.filter(pk=host.pk).update(lease_until=timezone.now() - ago)

    def test_a_host_that_is_heard_of_in_time_stays(self, host: Host) -> None:
        self.lose(host, LEASE_MARGIN - timedelta(seconds=5))
        mark_lost_hosts()
        host.refresh_from_db()
        assert (host.state, host.lease_epoch) == (HostState.READY, 1)

    def test_a_place_was_looked_at_when_its_last_agent_called(self, host: Host) -> None:
        other = make_host(host.node.cluster, "other")
        called = timezone.now() - timedelta(seconds=7)
        Host.objects.filter(pk=host.pk).update(seen_at=called)
        Host.objects.filter(pk=other.pk).update(seen_at=called - timedelta(minutes=2))
        empty = make_cluster("empty")
        services.mark_lost_hosts()
        for place in (empty, host.node.cluster):
            place.refresh_from_db()
        assert (host.node.cluster.seen_at, empty.seen_at) == (called, None)

    def test_a_late_host_is_lost_once_with_its_engines(self, host: Host, rung: list[Any],
                                                       django_capture_on_commit_callbacks: Any) -> None:
        engine = order_engine(host, "/models/x")
        sync(host, report(engine))
        self.lose(host)
        with django_capture_on_commit_callbacks(execute=True):
            mark_lost_hosts()
            mark_lost_hosts()
        host.refresh_from_db()
        engine.refresh_from_db()
        assert (host.state, host.lease_epoch, host.node.ready) == (HostState.LOST, 2, False)
        assert (engine.phase, engine.pid, engine.port) == (Phase.LOST, None, None)
        assert rung.count(("endpoints.tasks.look_at", str(engine.endpoint_uid))) >= 1
        assert AuditEntry.objects.filter(verb="mark host lost").count() == 1

    def test_a_host_that_comes_back_is_ready_again(self, host: Host) -> None:
        engine = order_engine(host, "/models/x")
        self.lose(host)
        mark_lost_hosts()
        with pytest.raises(Superseded):
            sync(host, report(engine))
        assert sync(host, report(engine), epoch=2).epoch == 2
        host.refresh_from_db()
        engine.refresh_from_db()
        assert (host.state, host.node.ready, engine.phase) == (HostState.READY, True, Phase.READY)

    def test_a_draining_host_still_drains_when_it_is_back(self, host: Host) -> None:
        services.drain(PORTAL, host)
        self.lose(host)
        mark_lost_hosts()
        sync(host, epoch=2)
        host.refresh_from_db()
        assert host.state == HostState.DRAINING

    def test_nobody_waits_for_an_engine_on_a_lost_host_to_stop(self, host: Host) -> None:
        order_engine(host, "/models/x")
        Engine.objects.update(stop=True)
        self.lose(host)
        mark_lost_hosts()
        assert not Engine.objects.exists()

    def test_the_agents_own_clock_does_not_matter(self, host: Host) -> None:
        """The lease is the database's: a report renews it however wrong the web host's clock is."""
        self.lose(host)
        sync(host)
        mark_lost_hosts()
        host.refresh_from_db()
        assert host.state == HostState.READY

    def test_old_nonces_are_forgotten(self, host: Host) -> None:
        for nonce, minutes in (("old", 6), ("new", 4)):
            row = AgentNonce.objects.create(caller=host.uid, nonce=nonce)
            AgentNonce.objects.filter(pk=row.pk).update(at=timezone.now() - timedelta(minutes=minutes))
        mark_lost_hosts()
        assert list(AgentNonce.objects.values_list("nonce", flat=True)) == ["new"]


class TestVerbs:
    def test_drain_and_undrain_are_noted_once(self, host: Host, cast: Cast) -> None:
        operator = cast.actor("operator")
        for _ in range(2):
            assert services.drain(operator, host).state == HostState.DRAINING
        for _ in range(2):
            assert services.undrain(operator, host).state == HostState.READY
        assert sorted(AuditEntry.objects.values_list("verb", flat=True)) == ["drain host", "undrain host"]

    def test_only_operators_act_on_hosts(self, host: Host, cast: Cast) -> None:
        for verb in (services.drain, services.undrain, services.forget_host):
            with pytest.raises(NotAllowed):
                verb(cast.actor("alice"), host)

    def test_a_host_with_engines_is_not_forgotten_unless_it_is_lost(self, host: Host) -> None:
        order_engine(host, "/models/x")
        with pytest.raises(Conflict):
            services.forget_host(PORTAL, host)
        Host.objects.update(state=HostState.LOST)
        host.refresh_from_db()
        services.forget_host(PORTAL, host)
        assert not Node.objects.exists()
        assert not Engine.objects.exists()
