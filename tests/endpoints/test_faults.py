"""Workers that die, freeze, come twice or late: nothing is lost, nothing is doubled (reliability.md F2, F4-F9, F11, F37)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.models import F, Sum

from clusters.models import Claim, Cluster, Engine, Node
from clusters.states import Phase
from endpoints import services
from endpoints.judge import Verdict, judge
from endpoints.models import Endpoint, Event
from endpoints.services import lease
from endpoints.services.specs import row_view
from endpoints.services.write import write_verdict
from endpoints.states import MAX_ATTEMPTS, Cause, Status
from endpoints.targets.base import Observation
from portal.tenancy import faults
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import QuotaExceeded, Unavailable
from portal.tenancy.models import Limit, Workspace
from tests.cast import GIB, Cast, make_cast, make_cluster, make_host, make_profile, set_limit
from tests.endpoints.agent_play import clear_stopped, drain, report, serve, step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def worker_dies(endpoint: Endpoint, at: int) -> bool:
    """Run one reconcile in a process of its own that is killed at fault point `at`; whether it got there."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        faults.arm(at)
        try:
            services.reconcile(endpoint.pk)
        finally:
            os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def end_leases() -> None:
    """What half a minute does."""
    Endpoint.objects.update(lease_until=None)


def deployed(cast: Cast, replicas: int = 2) -> Endpoint:
    number = Cluster.objects.count()
    cluster = make_cluster(f"hosts-{number}")
    make_host(cluster)
    profile = make_profile(f"m{number}-cpu")
    return services.create(cast.actor("alice"), cast.alpha, name=f"e{number}", cluster=cluster, profile=profile,
                           replicas=replicas)


def check_world(endpoint: Endpoint, engines: int) -> None:
    """One row for one replica, one claim for one engine, no engine without a row."""
    there = Engine.objects.filter(endpoint_uid=endpoint.uid)
    assert there.count() == engines
    assert there.values("index").distinct().count() == engines
    assert Claim.objects.filter(engine__in=there, accelerator=None).count() == engines
    known = set(Endpoint.objects.values_list("uid", flat=True))
    assert set(Engine.objects.values_list("endpoint_uid", flat=True)) <= known


Prepare = Callable[[Cast, Endpoint], Any]


def update(cast: Cast, endpoint: Endpoint) -> None:
    serve(endpoint)
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    step(endpoint, 1)
    report(Phase.READY)
    step(endpoint, 1)
    drain()  # The next step stops the retired replica; once it is gone, the next new one starts.


def update_again(cast: Cast, endpoint: Endpoint) -> None:
    update(cast, endpoint)
    step(endpoint, 1)
    clear_stopped()


def retire(cast: Cast, endpoint: Endpoint) -> None:
    serve(endpoint)
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    step(endpoint, 1)
    report(Phase.READY)


def scale_down(cast: Cast, endpoint: Endpoint) -> None:
    serve(endpoint)
    services.scale(cast.actor("alice"), endpoint, 1)


def nothing(cast: Cast, endpoint: Endpoint) -> None:
    pass


def delete(cast: Cast, endpoint: Endpoint) -> None:
    serve(endpoint)
    services.delete(cast.actor("alice"), endpoint)


@pytest.mark.parametrize(("prepare", "points", "left"), [
    pytest.param(nothing, 4, 2, id="deploying two replicas"),
    pytest.param(update, 2, 2, id="stopping a replaced replica"),
    pytest.param(update_again, 2, 2, id="starting the next new replica"),
    pytest.param(retire, 2, 2, id="retiring a replaced replica"),
    pytest.param(scale_down, 2, 1, id="scaling down"),
    pytest.param(delete, 4, 0, id="deleting"),
])
def test_a_worker_killed_at_any_outside_call_loses_and_doubles_nothing(
    prepare: Prepare, points: int, left: int,
) -> None:
    cast = make_cast()
    survived = 0
    for at in range(1, points + 2):
        endpoint = deployed(cast)
        prepare(cast, endpoint)
        killed = worker_dies(endpoint, at)
        assert killed is (at <= points), f"fault point {at}"
        end_leases()
        if left:
            serve(endpoint)
            assert endpoint.status == Status.INSERVICE
        else:
            for _ in range(4):
                clear_stopped()
                services.reconcile(endpoint.pk)
            assert not Endpoint.objects.filter(pk=endpoint.pk).exists()
        check_world(endpoint, left)
        survived += killed
    assert survived == points


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_deleting_after_a_worker_died_while_deploying_leaves_no_orphan(at: int) -> None:
    cast = make_cast()
    endpoint = deployed(cast)
    assert worker_dies(endpoint, at)
    services.delete(cast.actor("alice"), Endpoint.objects.get(pk=endpoint.pk))
    end_leases()
    for _ in range(4):
        services.reconcile(endpoint.pk)
        clear_stopped()
    assert not Endpoint.objects.exists()
    assert not Engine.objects.exists()
    assert not Claim.objects.exists()


def test_a_worker_that_wakes_up_late_can_not_write(cast: Cast) -> None:
    endpoint = deployed(cast, 1)
    frozen = lease.take(endpoint.pk)
    assert frozen is not None
    end_leases()
    serve(endpoint)
    late_row, _late = frozen
    assert not write_verdict(late_row, Verdict(Status.FAILED, Cause.ERROR, "stale"), Observation())
    endpoint.refresh_from_db()
    assert endpoint.status == Status.INSERVICE


def test_a_message_delivered_twice_acts_once(cast: Cast) -> None:
    endpoint = deployed(cast, 1)
    assert lease.take(endpoint.pk) is not None
    began = time.monotonic()
    assert services.reconcile(endpoint.pk) is False
    assert time.monotonic() - began < 1
    assert not Engine.objects.exists()


def test_a_lease_belongs_to_its_holder_until_it_ends(cast: Cast) -> None:
    endpoint = deployed(cast, 1)
    assert lease.take(endpoint.pk) is not None
    assert lease.take(endpoint.pk) is None
    end_leases()
    assert lease.take(endpoint.pk) is not None


def test_messages_lost_with_the_broker_are_made_good_by_the_sweep(cast: Cast) -> None:
    cluster = make_cluster()
    make_host(cluster, cpu_millis=10**6, memory_bytes=1000 * GIB)
    profile = make_profile()
    for number in range(20):  # Nobody ever runs the messages that these send.
        services.create(cast.actor("alice"), cast.alpha, name=f"lost-{number}", cluster=cluster, profile=profile)
    for _ in range(6):
        Endpoint.objects.update(next_look_at=F("created_at"))
        services.look_at_cluster(cluster.pk)
        report(Phase.READY)
    assert Endpoint.objects.filter(status=Status.INSERVICE).count() == 20
    assert Engine.objects.count() == 20


def test_two_sweeps_at_once_make_nothing_twice(cast: Cast) -> None:
    endpoint = deployed(cast, 3)
    in_threads([lambda: services.look_at_cluster(endpoint.cluster_id) for _ in range(4)])
    end_leases()
    serve(endpoint)
    check_world(endpoint, 3)


def test_a_poisonous_row_waits_longer_each_time_and_then_asks_for_a_person(cast: Cast) -> None:
    good, bad = deployed(cast, 1), deployed(cast, 1)
    bad.wanted.spec = {"broken": True}
    bad.wanted.save()
    waits = []
    for _ in range(MAX_ATTEMPTS):
        services.reconcile(bad.pk)
        bad.refresh_from_db()
        waits.append((bad.next_look_at - bad.updated_at).total_seconds())
    assert serve(good).status == Status.INSERVICE
    for _ in range(3):
        services.reconcile(bad.pk)
    bad.refresh_from_db()
    assert (bad.status, bad.cause) == (Status.STALLED, Cause.ERROR)
    assert "KeyError" in bad.message
    assert Event.objects.filter(endpoint=bad, kind="error").count() <= 4
    assert not Endpoint.objects.due().filter(pk=bad.pk).exists()


def test_a_failed_look_changes_only_the_age(cast: Cast) -> None:
    endpoint = deployed(cast, 1)
    serve(endpoint)
    seen_at = endpoint.seen_at
    endpoint.wanted.spec = {}
    endpoint.wanted.save()
    services.reconcile(endpoint.pk)
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.seen_at, endpoint.attempts) == (Status.INSERVICE, seen_at, 1)


def test_a_wish_that_comes_while_a_worker_looks_is_not_overwritten(cast: Cast) -> None:
    endpoint = deployed(cast, 1)
    held = lease.take(endpoint.pk)
    assert held is not None
    services.stop(cast.actor("alice"), Endpoint.objects.get(pk=endpoint.pk))
    row, late = held
    assert not write_verdict(row, judge(row_view(row, late=late), Observation()), Observation())
    endpoint.refresh_from_db()
    assert (endpoint.wish, endpoint.observed_generation) == ("stopped", 0)


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run all at once, each on its own database connection; what each returned or raised."""

    def one(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  Returned to the test, which names the ones it expects.
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def test_parallel_creates_stop_exactly_at_the_limit(cast: Cast) -> None:
    set_limit(cast.alpha, endpoints=5)
    cluster, profile, alice = make_cluster(), make_profile(), cast.actor("alice")
    answers = in_threads([
        lambda n=n: services.create(alice, cast.alpha, name=f"p{n}", cluster=cluster, profile=profile)  # type: ignore[misc]
        for n in range(20)])
    made = [answer for answer in answers if isinstance(answer, Endpoint)]
    others = {type(answer) for answer in answers if not isinstance(answer, Endpoint)}
    assert (len(made), others, Endpoint.objects.count()) == (5, {QuotaExceeded}, 5)


def test_parallel_placement_never_claims_more_than_a_node_has(cast: Cast) -> None:
    cluster = make_cluster()
    make_host(cluster, memory_bytes=6 * GIB, gpus=0)
    profile = make_profile(memory_bytes=2 * GIB)
    rows = [services.create(cast.actor("alice"), cast.alpha, name=f"p{n}", cluster=cluster, profile=profile)
            for n in range(8)]
    in_threads([lambda pk=row.pk: services.reconcile(pk) for row in rows])  # type: ignore[misc]
    node = Node.objects.get()
    claimed = Claim.objects.filter(node=node).aggregate(memory=Sum("memory_bytes"))["memory"]
    assert (Engine.objects.count(), claimed) == (3, node.memory_bytes)


def test_parallel_edits_lose_no_update(cast: Cast) -> None:
    endpoint = deployed(cast, 1)

    def edit() -> int:
        row = Endpoint.objects.get(pk=endpoint.pk)
        services.scale(cast.actor("alice"), row, row.replicas + 1, expected_generation=row.generation)
        return 1

    won = sum(answer for answer in in_threads([edit] * 12) if answer == 1)
    endpoint.refresh_from_db()
    assert endpoint.replicas == endpoint.generation == 1 + won


def test_transactions_in_opposite_order_all_end_well(cast: Cast) -> None:
    one, two = Workspace.objects.order_by("pk")[:2]

    @retry_tx
    def bump(first: int, second: int) -> None:
        for pk in (first, second):
            Workspace.objects.filter(pk=pk).update(claims_version=F("claims_version") + 1)

    def many(first: int, second: int) -> None:
        for _ in range(40):
            bump(first, second)

    answers = in_threads([lambda: many(one.pk, two.pk), lambda: many(two.pk, one.pk)] * 2)
    assert [answer for answer in answers if answer is not None] == []
    assert set(Workspace.objects.values_list("claims_version", flat=True)) == {160}


def test_a_block_that_fails_half_way_leaves_nothing(cast: Cast) -> None:
    @retry_tx
    def half() -> None:
        set_limit(cast.alpha, gpus=9)
        raise QuotaExceeded("no")

    with transaction.atomic():
        with pytest.raises(QuotaExceeded):
            half()
        assert not Limit.objects.exists()


@pytest.mark.parametrize("code", [2013, 2003])  # the second is of the connection that is made anew behind the first
def test_a_commit_whose_answer_is_lost_is_not_done_twice(cast: Cast, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    commit = connection._commit

    def commit_and_lose_the_answer() -> None:
        commit()
        raise OperationalError(code, "Lost connection to server during query")

    @retry_tx
    def bump() -> None:
        Workspace.objects.filter(pk=cast.alpha.pk).update(claims_version=F("claims_version") + 1)

    monkeypatch.setattr(connection, "_commit", commit_and_lose_the_answer)
    with pytest.raises(Unavailable):
        bump()
    monkeypatch.undo()
    assert Workspace.objects.get(pk=cast.alpha.pk).claims_version == 1


def test_a_connection_that_is_lost_before_the_commit_is_made_anew(cast: Cast) -> None:
    tries = []

    @retry_tx
    def bump() -> None:
        Workspace.objects.filter(pk=cast.alpha.pk).update(claims_version=F("claims_version") + 1)
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError(2013, "Lost connection to server during query")

    bump()
    assert Workspace.objects.get(pk=cast.alpha.pk).claims_version == 1
