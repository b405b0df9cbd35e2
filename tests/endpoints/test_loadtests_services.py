"""Who may start, cancel, note and delete load tests; bounds and limits; one at a time; workers that take, lose and end."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from endpoints.loadtests.states import Ending, RunState
from endpoints.models import LoadTest, UsageHour
from endpoints.services import loadtest_run, loadtests
from endpoints.services.loadtest_bounds import Ask
from endpoints.services.token_prices import set_price
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError, QuotaExceeded
from portal.tenancy.models import AuditEntry, LimitKind
from tests.cast import Cast, set_limit
from tests.endpoints.loadtest_cast import make_run, make_serving
from tests.endpoints.routes_cast import make_route

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def ask(**values: Any) -> Ask:
    return Ask(**{"model": "tiny-chat", "rate": Decimal(2), "seconds": 60, "prompt_tokens": 100, "output_tokens": 50, **values})


def start(cast: Cast, who: str = "bob", **values: Any) -> LoadTest:
    return loadtests.start(cast.actor(who), cast.alpha, ask(**values))


@pytest.mark.parametrize(("who", "refusal"), [
    ("alice", None), ("bob", None), ("operator", None), ("vera", NotAllowed), ("charlie", NotFound)])
def test_who_may_call_models_may_test_them(cast: Cast, who: str, refusal: type[PortalError] | None) -> None:
    make_serving(cast.alpha)
    if refusal is None:
        run = start(cast, who)
        assert (run.number, run.state, run.occupies) == (1, RunState.QUEUED, cast.alpha.pk)
        assert AuditEntry.objects.filter(verb="start", object_uid=str(run.uid)).exists()
        return
    with pytest.raises(refusal):
        start(cast, who)
    assert not LoadTest.objects.exists()


@pytest.mark.parametrize(("values", "field"), [
    ({"rate": Decimal("0.05")}, "rate"), ({"rate": Decimal(51)}, "rate"), ({"mode": "callers", "callers": 0}, "callers"),
    ({"mode": "callers", "callers": 129}, "callers"), ({"mode": "flood"}, "mode"), ({"seconds": 4}, "seconds"),
    ({"seconds": 601}, "seconds"), ({"prompt_tokens": 0}, "prompt_tokens"), ({"prompt_tokens": 40_000}, "prompt_tokens"),
    ({"output_tokens": 9000}, "output_tokens"), ({"prompt_spread": 91}, "prompt_spread"),
    ({"output_spread": -1}, "output_spread"), ({"goal_first_ms": -5}, "goal_first_ms"),
    ({"goal_between_ms": 0}, "goal_between_ms"),
    ({"goal_error_percent": Decimal(101)}, "goal_error_percent"),
    ({"rate": Decimal(50), "seconds": 600}, "seconds"),  # 4.5 million tokens
    ({"model": "nowhere"}, "model"), ({"model": "beta-chat"}, "model"), ({"model": "embed"}, "model"),
    ({"prompt_tokens": 4000, "output_tokens": 100}, "prompt_tokens"),  # beyond the context
    ({"notes": "x" * 1001}, "notes"),
])
def test_no_run_may_ask_for_more(cast: Cast, values: dict[str, Any], field: str) -> None:
    endpoint = make_serving(cast.alpha)
    assert endpoint.wanted is not None
    model = endpoint.wanted.profile.model
    model.context_tokens = 4096
    model.save()
    make_serving(cast.beta, "beta-chat")
    if values.get("model") == "embed":
        make_serving(cast.alpha, "embed")
        type(model).objects.update(task="embedding")
    with pytest.raises(Invalid) as refusal:
        start(cast, **values)
    assert refusal.value.field == field
    assert not LoadTest.objects.exists()


def test_what_is_not_in_service_is_not_tested(cast: Cast) -> None:
    make_serving(cast.alpha, ready_replicas=0)
    with pytest.raises(Conflict) as refusal:
        start(cast)
    assert refusal.value.field == "model"


def test_a_workspace_runs_one_at_a_time(cast: Cast) -> None:
    make_serving(cast.alpha)
    first = start(cast)
    with pytest.raises(Conflict, match="under way"):
        start(cast, "alice")
    loadtests.cancel(cast.actor("alice"), first)
    assert start(cast).number == 2


def test_a_route_is_tested_by_its_name(cast: Cast) -> None:
    one, two = make_serving(cast.alpha, "one"), make_serving(cast.alpha, "two")
    make_route(cast, "both", (one, 50), (two, 50))
    run = start(cast, model="both")
    assert (run.endpoint, run.route is not None, run.facts["names"], run.facts["replicas"]) == (None, True, ["one", "two"], 2)


def used(cast: Cast, tokens: int, nano: int = 0) -> None:
    UsageHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=cast.alpha.pk, member_id=cast.bob.pk,
        key_id=1, endpoint_id=1, route_id=0, door=1, model_name="tiny-chat", prompt_tokens=tokens, cost_nano=nano)


@pytest.mark.parametrize(("kind", "of"), [
    (LimitKind.WORKSPACE, lambda _cast: {}), (LimitKind.MEMBER, lambda cast: {"member": cast.bob}),
    (LimitKind.MODEL, lambda _cast: {"model_name": "tiny-chat"})])
def test_the_months_limits_are_not_passed(cast: Cast, kind: str, of: Any) -> None:
    make_serving(cast.alpha)
    used(cast, 90_000)
    limit = set_limit(cast.alpha, kind, of=of(cast), tokens_per_month=100_000)
    with pytest.raises(QuotaExceeded):
        start(cast)  # 120 calls of 150 tokens
    run = start(cast, mode="callers", callers=2)  # ends by itself when the rest is used
    assert run.most_tokens == 10_000
    loadtests.cancel(cast.actor("bob"), run)
    limit.tokens_per_month = 90_000
    limit.save()
    with pytest.raises(QuotaExceeded):
        start(cast, mode="callers", callers=2)


def test_tokens_cost_and_limits_are_said_before(cast: Cast) -> None:
    make_serving(cast.alpha)
    set_price(cast.actor("operator"), workspace=cast.alpha, public_name="tiny-chat", prompt=Decimal(1), completion=Decimal(4))
    set_limit(cast.alpha, money_per_month=Decimal("0.5"), requests_per_minute=100, concurrent_requests=4)
    used(cast, 10, nano=200_000_000)
    found = loadtests.foreseen(cast.actor("bob"), cast.alpha, ask())
    assert (found.expected.calls, found.expected.tokens, found.has_price) == (120, 18_000, True)
    assert found.cost == Decimal("0.036")  # 12,000 at $1 and 6,000 at $4 a million
    told = {one.quantity: (one.used, one.adds, one.most, one.is_passed) for one in found.touched}
    assert told == {"money_per_month": (Decimal("0.2"), Decimal("0.036"), Decimal("0.5"), False),
                    "requests_per_minute": (None, 120, 100, True), "concurrent_requests": (None, None, 4, False)}
    assert found.plan.most_nano == 300_000_000


def test_a_run_is_taken_once_and_only_so_many_run(cast: Cast, settings: Any) -> None:
    settings.PORTAL_LOAD_TESTS_AT_ONCE = 1
    make_serving(cast.alpha)
    make_serving(cast.beta, "beta-chat")
    ours = start(cast)
    theirs = loadtests.start(cast.actor("charlie"), cast.beta, ask(model="beta-chat"))
    taken = loadtest_run.take(ours.pk)
    assert taken is not None
    assert (taken.state, taken.slot, taken.lease_epoch) == (RunState.RUNNING, 0, 1)
    assert loadtest_run.take(ours.pk) is None
    assert loadtest_run.take(theirs.pk) is None, "one at a time in the whole installation"
    loadtest_run._end(taken, Ending.NONE)
    assert loadtest_run.take(theirs.pk) is not None


def test_load_tests_can_be_switched_off(cast: Cast, settings: Any) -> None:
    settings.PORTAL_LOAD_TESTS_AT_ONCE = 0
    make_serving(cast.alpha)
    with pytest.raises(NotAllowed, match="switched off"):
        start(cast)


def test_the_sweep_ends_what_lost_its_worker_and_nothing_else(cast: Cast) -> None:
    make_serving(cast.alpha)
    run = start(cast)
    assert loadtest_run.take(run.pk) is not None
    assert loadtest_run.sweep() == 0
    LoadTest.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert (loadtest_run.sweep(), loadtest_run.sweep()) == (1, 0)
    run.refresh_from_db()
    assert (run.state, run.ending, run.occupies, run.slot) == (RunState.INTERRUPTED, Ending.WORKER, None, None)


def test_a_waiting_run_is_cancelled_at_once_and_a_running_one_is_told(cast: Cast) -> None:
    make_serving(cast.alpha)
    waiting = start(cast)
    loadtests.cancel(cast.actor("alice"), waiting)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.occupies) == (RunState.CANCELLED, None)
    with pytest.raises(Conflict):
        loadtests.cancel(cast.actor("alice"), waiting)
    running = loadtest_run.take(start(cast).pk)
    assert running is not None
    loadtests.cancel(cast.actor("bob"), running)
    running.refresh_from_db()
    assert (running.state, running.stop_asked_at is not None) == (RunState.RUNNING, True)
    with pytest.raises(NotAllowed):
        loadtests.cancel(cast.actor("vera"), running)


@pytest.mark.parametrize(("who", "state", "refusal"), [
    ("bob", RunState.DONE, None), ("alice", RunState.DONE, None), ("vera", RunState.DONE, NotAllowed),
    ("charlie", RunState.DONE, NotFound), ("bob", RunState.RUNNING, Conflict), ("bob", RunState.QUEUED, Conflict)])
def test_ended_runs_go_when_their_maker_or_a_manager_says_so(
    cast: Cast, who: str, state: str, refusal: type[PortalError] | None,
) -> None:
    run = make_run(cast.alpha, cast.bob, state=state)
    if refusal is None:
        loadtests.delete(cast.actor(who), run)
        assert not LoadTest.objects.exists()
        return
    with pytest.raises(refusal):
        loadtests.delete(cast.actor(who), run)
    assert LoadTest.objects.exists()


def test_a_developer_keeps_out_of_others_runs(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        loadtests.delete(cast.actor("bob"), make_run(cast.alpha, cast.alice))


def test_notes_are_kept_and_audited(cast: Cast) -> None:
    run = make_run(cast.alpha, cast.bob)
    loadtests.set_notes(cast.actor("bob"), run, "  after the new card\0 ")
    run.refresh_from_db()
    assert run.notes == "after the new card"
    assert AuditEntry.objects.get(verb="change").after == {"notes": "after the new card"}
    with pytest.raises(NotAllowed):
        loadtests.set_notes(cast.actor("vera"), run, "x")


@pytest.mark.parametrize(("settings_of", "url"), [
    ({"PORTAL_LOAD_TEST_URL": "https://models.example"}, "https://models.example"),
    ({"PORTAL_BIND": "0.0.0.0", "PORTAL_PORT": 8000}, "http://127.0.0.1:8000"),
    ({"PORTAL_BIND": "10.0.0.1", "PORTAL_GATEWAY_WORKERS": 2, "PORTAL_GATEWAY_PORT": 8001}, "http://10.0.0.1:8001"),
])
def test_where_calls_go(settings: Any, settings_of: dict[str, Any], url: str) -> None:
    for name, value in settings_of.items():
        setattr(settings, name, value)
    assert loadtest_run.gateway_url() == url
