"""The pages of load tests: what a person sees before, while and after, and what each role may do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from endpoints.loadtests.states import Ending, RunState
from endpoints.models import LoadTest
from endpoints.services.token_prices import set_price
from tests.cast import Cast, set_limit
from tests.endpoints.loadtest_cast import make_run, make_serving

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
FORM = {"model": "tiny-chat", "mode": "rate", "rate": "2", "seconds": "60", "prompt_tokens": "256", "output_tokens": "128"}
NEW = "/w/alpha/loadtests/new/"


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


def title_of(answer: Any) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.content.decode(), re.S)
    assert found is not None
    return unescape(found[1])


def page_of(run: LoadTest) -> str:
    return f"/w/{run.workspace.slug}/loadtests/{run.uid}/"


def test_an_empty_list_offers_the_first_run_to_who_may_start_one(client_of: ClientOf) -> None:
    assert b"Run the first one" in client_of("bob").get("/w/alpha/loadtests/").content
    viewer = client_of("vera").get("/w/alpha/loadtests/")
    assert b"Run the first one" not in viewer.content
    assert "Developers of the workspace start them." in text_of(viewer)


def test_the_list_searches_pages_and_stays_cheap(client_of: ClientOf, cast: Cast, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        make_run(cast.alpha, cast.bob, "big-chat" if number == 7 else "tiny-chat", result={"seconds": 5, "rate": 1.0},
                 notes="new card" if number == 9 else "")
    alice = client_of("alice")
    alice.get("/w/alpha/")  # the first page of a session writes it down
    with django_assert_max_num_queries(14):
        first = alice.get("/w/alpha/loadtests/")
    assert first.content.count(b'<th scope="row">') == 50
    older = re.search(r'rel="next" href="([^"]+)"', first.content.decode())
    assert older is not None
    assert alice.get(f"/w/alpha/loadtests/{unescape(older[1])}").content.count(b'<th scope="row">') == 10
    for query, count in (("q=big", 1), ("q=new+card", 1), ("q=12", 1), ("state=done&q=tiny", 50), ("state=failed", 0),
                         ("q=nothing-like-it", 0)):
        assert alice.get(f"/w/alpha/loadtests/?{query}").content.count(b'<th scope="row">') == count, query


def test_what_it_will_use_is_said_before_the_start(client_of: ClientOf, cast: Cast) -> None:
    make_serving(cast.alpha)
    set_price(cast.actor("operator"), workspace=cast.alpha, public_name="tiny-chat", prompt=Decimal(1), completion=Decimal(4))
    set_limit(cast.alpha, tokens_per_month=1_000_000, requests_per_minute=60)
    seen = text_of(client_of("bob").get(NEW, FORM))
    for words in ("about 120", "Tokens in all 46.0 k", "0 used and 46,080 more, of 1,000,000 tokens a month",
                  "Limit of the workspace: 120 of 60 requests a minute", "Calls beyond it are refused", "It stops by itself",
                  "$0.0921"):
        assert words in seen, words
    at_most = text_of(client_of("bob").get(NEW, {**FORM, "mode": "callers", "callers": "8"}))
    assert "at most 2604" in at_most  # of a million tokens, 384 each
    piece = client_of("bob").get(NEW, FORM, headers={"HX-Request": "true"})
    assert piece.content.strip().startswith(b'<section class="sheet meant" id="estimate"')


@pytest.mark.parametrize(("values", "status", "field", "words"), [
    ({"seconds": "700"}, 422, "seconds", "Enter a number from 5 to 600."),
    ({"rate": ""}, 422, "rate", "Enter a number."), ({"rate": "900"}, 422, "rate", "Enter a number from 0.1 to 50."),
    ({"mode": "callers", "callers": "500"}, 422, "callers", "Enter a number from 1 to 128."),
    ({"model": "nowhere"}, 422, "model", "no endpoint or route with this name"),
    ({"model": "beta-chat"}, 422, "model", "no endpoint or route with this name"),
    ({"prompt_tokens": "many"}, 422, "prompt_tokens", "Enter a whole number."),
    ({"rate": "50", "seconds": "600"}, 422, "seconds", "a run may use 2000000"),
    ({"model": "asleep"}, 409, "model", "not in service"),
])
def test_a_refusal_stands_at_its_field_and_keeps_what_was_typed(
    client_of: ClientOf, cast: Cast, values: dict[str, str], status: int, field: str, words: str,
) -> None:
    make_serving(cast.alpha)
    make_serving(cast.alpha, "asleep", ready_replicas=0)
    make_serving(cast.beta, "beta-chat")
    answer = client_of("bob").post(NEW, {**FORM, "notes": "kept words", **values})
    assert answer.status_code == status
    found = re.search(rf'id="id_{field}_error"[^>]*>(.*?)</p>', answer.content.decode(), re.S)
    assert found is not None
    assert words in unescape(found[1])
    assert b"kept words" in answer.content
    assert not LoadTest.objects.exists()


def test_the_months_limit_refuses_with_403_and_says_what_to_do(client_of: ClientOf, cast: Cast) -> None:
    make_serving(cast.alpha)
    set_limit(cast.alpha, tokens_per_month=1000)
    answer = client_of("bob").post(NEW, FORM)
    assert answer.status_code == 403
    assert "leaves too little for this run" in text_of(answer)


def test_a_double_click_starts_one_run(client_of: ClientOf, cast: Cast) -> None:
    make_serving(cast.alpha)
    bob, once = client_of("bob"), str(uuid4())
    answers = [bob.post(NEW, {**FORM, "once": once}) for _ in range(2)]
    run = LoadTest.objects.get()
    assert [answer["Location"] for answer in answers] == [page_of(run)] * 2
    second = bob.post(NEW, {**FORM, "once": str(uuid4())})
    assert second.status_code == 409
    assert "under way" in text_of(second)


def test_an_endpoint_or_an_earlier_run_fills_the_form(client_of: ClientOf, cast: Cast) -> None:
    endpoint, theirs = make_serving(cast.alpha), make_serving(cast.beta, "beta-chat")
    bob = client_of("bob")
    assert b'value="tiny-chat"' in bob.get(NEW, {"endpoint": str(endpoint.uid)}).content
    run = make_run(cast.alpha, cast.alice, mode="callers", callers=17, seconds=42, goal_first_ms=800)
    again = bob.get(NEW, {"again": str(run.uid)}).content
    assert all(part in again for part in (b'value="17"', b'value="42"', b'value="800"', b'value="callers" checked'))
    foreign = make_run(cast.beta, cast.charlie)
    for name, uid in (("endpoint", theirs.uid), ("endpoint", uuid4()), ("again", foreign.uid), ("again", uuid4())):
        assert bob.get(NEW, {name: str(uid)}).status_code == 404


@pytest.mark.parametrize(("values", "result", "title"), [
    ({}, {}, "Run 1: 95 of 100 calls had their first token within"),
    ({"goal_first_ms": 5000}, {}, "Run 1 held its goals"),
    ({"goal_first_ms": 100}, {}, "Run 1 missed a goal. First token, p95:"),
    ({"goal_error_percent": Decimal(1)}, {"failing": 0.3}, "Run 1 missed a goal. Failed calls: "),
    ({"state": RunState.STOPPED, "ending": Ending.GONE}, {}, "Run 1 stopped by itself"),
    ({"state": RunState.INTERRUPTED, "ending": Ending.WORKER}, {}, "Run 1 was interrupted"),
    ({"state": RunState.FAILED, "ending": Ending.NO_GATEWAY}, {}, "Run 1 made no calls"),
    ({"state": RunState.QUEUED}, {}, "Run 1 waits for its turn"),
    ({"state": RunState.RUNNING}, {}, "Run 1 of tiny-chat is under way"),
])
def test_the_title_answers(client_of: ClientOf, cast: Cast, values: dict[str, Any], result: dict[str, Any], title: str) -> None:
    run = make_run(cast.alpha, cast.bob, result=result, **values)
    answer = client_of("vera").get(page_of(run))
    assert title_of(answer).startswith(title)
    if run.ending:
        assert str({"gone": "left service", "worker": "The worker that ran it ended", "no_gateway": "gateway did not answer"}[
            run.ending]) in text_of(answer)


def charts_of(answer: Any) -> dict[str, dict[str, Any]]:
    shape = r'<h2>([^<]+)</h2>(?:(?!<h2>).)*?aria-label="([^"]*)" data-chart="([^"]+)"'
    found = re.findall(shape, answer.content.decode(), re.S)
    return {unescape(title): {**json.loads(unescape(data)), "words": unescape(words)} for title, words, data in found}


def test_charts_hold_what_was_measured_with_the_goal_and_words(client_of: ClientOf, cast: Cast) -> None:
    run = make_run(cast.alpha, cast.bob, goal_first_ms=800)
    charts = charts_of(client_of("alice").get(page_of(run)))
    assert len(charts) == 5
    first = charts["Time to first token"]
    assert [line["label"] for line in first["lines"]] == ["p99", "p95", "p50"]
    assert first["limit"] == 0.8
    assert len(first["at"]) == len(first["lines"][0]["values"]) == 60
    assert "Goal, 800 ms" in first["words"]
    assert re.search(r"p95 \d+ ms", first["words"])
    assert sum(charts["How first tokens are spread"]["lines"][0]["values"]) == 300


def test_two_runs_are_compared_with_percent_and_which_is_better(client_of: ClientOf, cast: Cast) -> None:
    slow = make_run(cast.alpha, cast.bob, result={"first": 0.4, "seconds": 30})
    fast = make_run(cast.alpha, cast.bob, result={"first": 0.2, "seconds": 60, "seed": 3})
    alice = client_of("alice")
    answer = alice.get(page_of(fast), {"with": str(slow.uid)})
    assert re.search(r"First token .* \d\d % faster", text_of(answer))
    between = charts_of(answer)["Between tokens, p95"]
    assert [line["label"] for line in between["lines"]] == ["Run 2", "Run 1"]
    assert all(len(line["values"]) == len(between["at"]) for line in between["lines"])
    for uid in (make_run(cast.beta, cast.charlie).uid, uuid4(), "nonsense"):
        assert alice.get(page_of(fast), {"with": str(uid)}).status_code == 404


def test_the_moving_part_asks_for_itself_and_ends_with_the_run(client_of: ClientOf, cast: Cast,
                                                             django_assert_max_num_queries: Any) -> None:
    run = make_run(cast.alpha, cast.bob, state=RunState.RUNNING, seconds=120, lease_until=timezone.now() + timedelta(seconds=9))
    bob, live = client_of("bob"), f"{page_of(run)}live/"
    bob.get("/w/alpha/")
    with django_assert_max_num_queries(10):
        piece = bob.get(live, headers={"HX-Request": "true"})
    assert b"<html" not in piece.content
    assert b'hx-trigger="every 1s"' in piece.content
    assert "HX-Refresh" not in piece
    assert "300 calls answered" in text_of(piece)
    LoadTest.objects.update(state=RunState.DONE)
    assert bob.get(live, headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_a_run_is_cancelled_noted_and_deleted(client_of: ClientOf, cast: Cast) -> None:
    run = make_run(cast.alpha, cast.bob, state=RunState.RUNNING)
    bob = client_of("bob")
    assert bob.post(f"{page_of(run)}delete/").status_code == 409
    assert bob.post(f"{page_of(run)}cancel/")["Location"] == page_of(run)
    run.refresh_from_db()
    assert run.stop_asked_at is not None
    LoadTest.objects.update(state=RunState.CANCELLED, ending=Ending.CANCELLED)
    assert bob.post(f"{page_of(run)}cancel/").status_code == 409
    bob.post(f"{page_of(run)}notes/", {"notes": "after the new card"})
    assert b"after the new card" in bob.get(page_of(run)).content
    assert "go for good" in text_of(bob.get(f"{page_of(run)}delete/"))
    assert LoadTest.objects.exists()
    assert bob.post(f"{page_of(run)}delete/")["Location"] == "/w/alpha/loadtests/"
    assert not LoadTest.objects.exists()


@pytest.mark.parametrize("act", ["cancel", "notes", "delete"])
def test_a_viewer_changes_nothing(client_of: ClientOf, cast: Cast, act: str) -> None:
    run = make_run(cast.alpha, cast.bob)
    assert client_of("vera").post(f"{page_of(run)}{act}/", {"notes": "x"}).status_code == 403
    assert client_of("vera").post(NEW, FORM).status_code == 403
    run.refresh_from_db()
    assert run.notes == ""


def test_an_operator_looks_over_all_workspaces(client_of: ClientOf, cast: Cast) -> None:
    for workspace, user in ((cast.alpha, cast.bob), (cast.beta, cast.charlie)):
        make_run(workspace, user)
    answer = client_of("operator").get("/w/-/loadtests/")
    assert answer.content.count(b'<th scope="row">') == 2
    assert b'href="/w/beta/loadtests/' in answer.content
    assert client_of("operator").get("/w/-/loadtests/new/").status_code == 404


def test_points_can_be_taken_away(client_of: ClientOf, cast: Cast) -> None:
    run = make_run(cast.alpha, cast.bob)
    answer = client_of("vera").get(f"{page_of(run)}points.csv")
    lines = answer.content.decode().splitlines()
    assert lines[0].startswith("seconds,started,done,failed,in_flight,tokens_per_second,first_p50")
    assert len(lines) == 61
    assert "load-test-1.csv" in answer["Content-Disposition"]


def test_what_engines_say_is_shown_as_text(client_of: ClientOf, cast: Cast) -> None:
    run = make_run(cast.alpha, cast.bob)
    run.summary["errors"] = {"http_500": {"count": 3, "message": "<script>alert(1)</script>"}}
    run.save()
    content = client_of("alice").get(page_of(run)).content
    assert b"<script>alert" not in content
    assert b"&lt;script&gt;alert" in content


def test_a_runs_page_is_cheap(client_of: ClientOf, cast: Cast, django_assert_max_num_queries: Any) -> None:
    runs = [make_run(cast.alpha, cast.bob, result={"seconds": 5}) for _ in range(30)]
    alice = client_of("alice")
    alice.get("/w/alpha/")
    with django_assert_max_num_queries(14):
        alice.get(page_of(runs[3]), {"with": str(runs[5].uid)})
    make_serving(cast.alpha)
    set_limit(cast.alpha, tokens_per_month=10**9, money_per_month=Decimal(10))
    with django_assert_max_num_queries(18):
        assert alice.get(NEW, FORM).status_code == 200
