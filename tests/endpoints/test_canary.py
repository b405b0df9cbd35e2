"""When a canary returns: the judge by table, its chance of being wrong, and the task over counted calls."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from endpoints import tasks
from endpoints.canary import Guard, Sample, judge, quantile, slower_than, wilson
from endpoints.models import Canary, Endpoint, Event, Route, RouteChange
from endpoints.services import canaries, route_traffic
from endpoints.services.canaries import judge_canaries
from endpoints.services.routes import change_route, resume_canary, return_canary, start_canary
from portal.tenancy.models import AuditEntry
from tests.cast import Cast
from tests.endpoints.routes_cast import count, make_end, make_route

BOUNDS = (0.1, 0.2, 0.4)
DEFAULT = Guard(20, max_error_percent=10, max_error_points=5, max_first_byte_ratio=2)


def quick(calls: int, errors: int = 0) -> Sample:
    return Sample(calls, errors, (calls - errors, 0, 0, 0))


@pytest.mark.parametrize(("canary", "others", "guard", "breach", "judged"), [
    # Too few calls say nothing, whatever they say.
    (quick(19, 19), quick(1000), DEFAULT, "", False),
    (quick(0), quick(1000), DEFAULT, "", False),
    (quick(20, 20), quick(1000), DEFAULT, "100.0 % of its calls failed (20 of 20); 10 %", True),
    (quick(20), quick(1000), DEFAULT, "", True),
    # 3 of 20 may be chance where 10 % are allowed; 60 of 400 is not.
    (quick(20, 3), quick(0), DEFAULT, "", True),
    (quick(400, 60), quick(0), DEFAULT, "15.0 % of its calls failed (60 of 400); 10 %", True),
    # 9 % are allowed, but not beside 0 % of the others; beside 8 % they are.
    (quick(1000, 90), quick(5000), DEFAULT, "9.0 % of its calls failed (90 of 1000), of the others' 0.0 %; 5 points", True),
    (quick(1000, 90), quick(5000, 400), DEFAULT, "", True),
    (quick(1000, 90), quick(19), DEFAULT, "", True),
    # Limits that are not set don't count.
    (quick(100, 100), quick(1000), Guard(20), "", True),
    # The time to the first token, by a fixed limit and beside the others.
    (Sample(100, 0, (50, 20, 30, 0)), quick(1000), Guard(20, max_first_byte=0.2), "367 ms (p95 of 100 calls); 200 ms", True),
    (Sample(100, 0, (97, 0, 3, 0)), quick(1000), Guard(20, max_first_byte=0.2), "", True),
    (Sample(100, 0, (0, 0, 100, 0)), Sample(100, 0, (100, 0, 0, 0)), DEFAULT, "2 times that are allowed", True),
    (Sample(100, 0, (0, 0, 100, 0)), Sample(100, 0, (0, 0, 100, 0)), DEFAULT, "", True),
    (Sample(100, 0, (0, 0, 100, 0)), Sample(19, 0, (19, 0, 0, 0)), DEFAULT, "", True),
    # Calls that failed before their first byte leave none to measure.
    (Sample(100, 9, (0, 0, 10, 0)), quick(1000, 90), DEFAULT, "", True),
])
def test_judge(canary: Sample, others: Sample, guard: Guard, breach: str, *, judged: bool) -> None:
    verdict = judge(canary, others, guard, BOUNDS)
    assert verdict.is_judged is judged
    assert (breach in verdict.reason) if breach else not verdict.reason


@pytest.mark.parametrize(("hits", "tries", "low", "high"), [
    (0, 20, 0.0, 0.213), (20, 20, 0.787, 1.0), (5, 100, 0.0186, 0.128), (60, 400, 0.1136, 0.1953),
])
def test_wilson(hits: int, tries: int, low: float, high: float) -> None:
    assert wilson(hits, tries) == pytest.approx((low, high), abs=0.001)


@pytest.mark.parametrize(("counts", "expected"), [
    ((100, 0, 0, 0), 0.095), ((0, 100, 0, 0), 0.195), ((90, 0, 10, 0), 0.3), ((0, 0, 0, 5), 0.4), ((0, 0, 0, 0), None),
])
def test_quantile(counts: tuple[int, ...], expected: float | None) -> None:
    assert quantile(counts, BOUNDS) == pytest.approx(expected)


@pytest.mark.parametrize(("limit", "expected"), [(0.0, 40), (0.1, 30), (0.15, 25), (0.4, 10), (0.5, 0), (0.3, 15)])
def test_slower_than(limit: float, expected: float) -> None:
    assert slower_than((10, 10, 10, 10), limit, BOUNDS) == pytest.approx(expected)


def test_a_good_canary_is_rarely_sent_back_although_it_is_judged_all_the_time() -> None:
    """2 % errors on both sides and the same times, judged after every 10 of 600 calls."""
    random.seed(11)
    returned = 0
    for _trial in range(200):
        own = others = Sample(0, 0, (0, 0, 0, 0))
        for _look in range(60):
            own, others = own + draw(10, 0.02), others + draw(100, 0.02)
            if judge(own, others, DEFAULT, BOUNDS).reason:
                returned += 1
                break
    assert returned <= 6


def test_a_bad_canary_is_sent_back_soon() -> None:
    """30 % errors, judged after every 10 calls: gone within 100 of its calls, nearly always."""
    random.seed(12)
    for _trial in range(50):
        own = others = Sample(0, 0, (0, 0, 0, 0))
        for _look in range(15):
            own, others = own + draw(10, 0.3), others + draw(100, 0.02)
            if judge(own, others, DEFAULT, BOUNDS).reason:
                break
        else:
            pytest.fail("not seen within 150 calls")


def draw(calls: int, chance: float) -> Sample:
    errors = sum(random.random() < chance for _call in range(calls))
    slow = sum(random.random() < 0.04 for _call in range(calls - errors))
    return Sample(calls, errors, (calls - errors - slow, 0, slow, 0))


NOON = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def ends(cast: Cast) -> tuple[Endpoint, Endpoint]:
    return make_end(cast.alpha, "stable"), make_end(cast.alpha, "trial")


@pytest.fixture
def route(cast: Cast, ends: tuple[Endpoint, Endpoint]) -> Route:
    made = make_route(cast, "chat", (ends[0], 100))
    start_canary(cast.actor("alice"), made, ends[1], percent=5, steps=[20, 100])
    Canary.objects.update(since=NOON - timedelta(seconds=25))
    return made


@pytest.mark.both_databases
def test_a_broken_canary_returns_with_a_reason_everywhere(route: Route, ends: tuple[Endpoint, Endpoint]) -> None:
    stable, trial = ends
    count(route, stable, 500, at=NOON)
    count(route, trial, 19, errors=19, at=NOON)
    assert judge_canaries(NOON) == 0
    count(route, trial, 1, errors=1, at=NOON)
    assert judge_canaries(NOON) == 1
    canary = Canary.objects.get()
    assert (canary.state, canary.percent) == ("returned", 5)
    assert canary.reason == "100.0 % of its calls failed (20 of 20); 10 % are allowed."
    change = RouteChange.objects.latest("id")
    assert (change.verb, change.actor_label) == ("return", "portal")
    assert change.message == f"Trial of trial returned to 0 %. {canary.reason}"
    assert AuditEntry.objects.latest("id").verb == "return"
    assert Event.objects.get(kind="route").endpoint == trial
    assert judge_canaries(NOON) == 0


def test_a_slow_canary_returns(route: Route, ends: tuple[Endpoint, Endpoint]) -> None:
    count(route, ends[0], 500, at=NOON)
    count(route, ends[1], 30, seconds=[1.0] * 30, at=NOON)
    assert judge_canaries(NOON) == 1
    assert "time to the first token" in Canary.objects.get().reason


def test_calls_by_other_routes_and_of_long_ago_do_not_count(cast: Cast, route: Route, ends: tuple[Endpoint, Endpoint]) -> None:
    other = make_route(cast, "other", (ends[1], 100))
    count(other, ends[1], 100, errors=100, at=NOON)
    count(route, ends[1], 100, errors=100, at=NOON - timedelta(minutes=6))
    count(route, ends[1], 100, errors=100, at=NOON - timedelta(minutes=1))  # before it was on trial
    assert judge_canaries(NOON) == 0


def test_what_it_did_before_does_not_count_after_it_was_resumed(
    cast: Cast, route: Route, ends: tuple[Endpoint, Endpoint], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("endpoints.services.routes.timezone.now", lambda: NOON)
    count(route, ends[1], 50, errors=50, at=NOON)
    return_canary(cast.actor("alice"), route)
    resume_canary(cast.actor("alice"), route)
    assert judge_canaries(NOON) == 0
    count(route, ends[1], 30, at=NOON)
    assert judge_canaries(NOON) == 0
    count(route, ends[1], 30, errors=30, at=NOON)
    assert judge_canaries(NOON) == 1
    assert "(30 of 60)" in Canary.objects.get().reason


def test_steps_are_taken_in_time_and_only_after_enough_calls(route: Route, ends: tuple[Endpoint, Endpoint]) -> None:
    later = NOON + timedelta(minutes=10)
    assert judge_canaries(later) == 0  # no calls: nothing is known
    count(route, ends[1], 25, at=later)
    assert judge_canaries(later - timedelta(minutes=1)) == 0
    assert judge_canaries(later) == 1
    assert (Canary.objects.get().percent, Canary.objects.get().steps) == (20, [100])
    Canary.objects.update(since=later)
    last = later + timedelta(minutes=10)
    count(route, ends[1], 25, at=last)
    assert judge_canaries(last) == 1
    assert not Canary.objects.exists()
    assert RouteChange.objects.latest("id").verb == "promote"


def test_a_change_by_people_goes_first(
    cast: Cast, route: Route, ends: tuple[Endpoint, Endpoint], monkeypatch: pytest.MonkeyPatch,
) -> None:
    count(route, ends[1], 100, errors=100, at=NOON)
    read = route_traffic.counted

    def meanwhile(*args: Any) -> Any:
        change_route(cast.actor("bob"), Route.objects.get(), is_sticky=True)
        return read(*args)

    monkeypatch.setattr(canaries, "counted", meanwhile)
    assert judge_canaries(NOON) == 0
    monkeypatch.setattr(canaries, "counted", read)
    assert judge_canaries(NOON) == 1


def test_the_judges_queries_do_not_grow(cast: Cast, ends: tuple[Endpoint, Endpoint], django_assert_num_queries: Any) -> None:
    for number in range(10):
        route = make_route(cast, f"chat-{number}", (ends[0], 100))
        start_canary(cast.actor("alice"), route, ends[1])
        count(route, ends[1], 30, at=NOON)
    with django_assert_num_queries(3):
        judge_canaries(NOON)


def test_the_task_runs(route: Route, ends: tuple[Endpoint, Endpoint]) -> None:
    Canary.objects.update(since=datetime.now(UTC))
    count(route, ends[1], 100, errors=100)
    tasks.judge_canaries()
    assert Canary.objects.get().state == "returned"
