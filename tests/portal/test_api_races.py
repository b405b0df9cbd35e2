"""Many callers at once: limits hold exactly, repeats make one object, no edit is lost (T63, F35, F36)."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.http import HttpResponse

from endpoints.models import Endpoint
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cast, make_cluster, make_host, make_profile, set_limit
from tests.portal.apiclient import Api, error_of, key_text

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
def ready(db: None) -> Cast:
    cast = make_cast()
    make_host(make_cluster("here"))
    make_profile("tiny-chat-cpu")
    return cast


def body(name: str) -> dict[str, Any]:
    return {"workspace": "alpha", "name": name, "place": "here", "profile": "tiny-chat-cpu"}


def at_once(count: int, call: Callable[[int], HttpResponse]) -> list[HttpResponse]:
    def alone(number: int) -> HttpResponse:
        try:
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(alone, range(count)))


def patiently(call: Callable[[], HttpResponse]) -> HttpResponse:
    """What Retry-After asks for: a busy database is no answer."""
    response = call()
    while response.status_code == 503:
        time.sleep(0.05)
        response = call()
    return response


def test_fifty_creates_at_a_limit_of_five_make_exactly_five(ready: Cast) -> None:
    set_limit(ready.alpha, endpoints=5)
    key = key_text(ready.bob, ready.alpha)
    answers = at_once(50, lambda number: patiently(lambda: Api(key=key).post("endpoints", body(f"e{number}"))))
    assert Counter(answer.status_code for answer in answers) == {202: 5, 403: 45}
    assert {error_of(answer)["code"] for answer in answers if answer.status_code == 403} == {"quota_exceeded"}
    assert Endpoint.objects.count() == 5
    assert AuditEntry.objects.filter(verb="create", kind="endpoints.endpoint").count() == 5


def test_twenty_repeats_of_one_create_make_one_endpoint(ready: Cast) -> None:
    key = key_text(ready.bob, ready.alpha)
    answers = at_once(20, lambda _number: patiently(
        lambda: Api(key=key).post("endpoints", body("one"), Idempotency_Key="deploy")))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["uid"] for answer in answers}) == 1
    assert Endpoint.objects.count() == 1


def test_of_edits_of_the_same_version_exactly_one_is_kept(ready: Cast) -> None:
    key = key_text(ready.bob, ready.alpha)
    row = Api(key=key).post("endpoints", body("one")).json()
    for round_number in range(3):
        etag = Api(key=key).get(f"endpoints/{row['uid']}")["ETag"]
        counts = list(range(2 + 8 * round_number, 10 + 8 * round_number))
        answers = at_once(8, lambda number, counts=counts, etag=etag: patiently(lambda: Api(key=key).post(  # type: ignore[misc]
            f"endpoints/{row['uid']}/scale", {"replicas": counts[number]}, If_Match=etag)))
        assert Counter(answer.status_code for answer in answers) == {202: 1, 412: 7}
        won = next(answer.json()["replicas"] for answer in answers if answer.status_code == 202)
        assert Endpoint.objects.get().replicas == won


def test_of_renames_of_the_same_version_exactly_one_is_kept(ready: Cast) -> None:
    etag = Api(ready.alice).get("workspaces/alpha")["ETag"]
    answers = at_once(8, lambda number: patiently(
        lambda: Api(ready.alice).patch("workspaces/alpha", {"name": f"Name {number}"}, If_Match=etag)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 7}


def test_a_create_takes_few_milliseconds_and_queries(ready: Cast, django_assert_max_num_queries: Any) -> None:
    caller = Api(key=key_text(ready.bob, ready.alpha))
    caller.post("endpoints", body("warm-up"))
    with django_assert_max_num_queries(34):
        assert caller.post("endpoints", body("counted")).status_code == 202
    took = []
    for number in range(20):
        began = time.perf_counter()
        caller.post("endpoints", body(f"e{number}"))
        took.append(time.perf_counter() - began)
    # The goal is 40 ms; the wide margin is for a machine that is busy with other tests.
    assert statistics.median(took) < 0.2, took
