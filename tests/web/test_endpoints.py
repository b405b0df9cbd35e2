"""Endpoints in the portal: the list, the page, its parts, and every verb on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.models import Engine
from clusters.states import Phase
from endpoints import services
from endpoints.models import Backend, Endpoint, Event, TrafficMinute
from endpoints.services.route_traffic import minute_of
from endpoints.services.samples import forget_samples
from endpoints.states import Cause, DriftPolicy, Status
from portal.tenancy.actor import PORTAL
from portal.tenancy.models import ApiKey
from tests.cast import Cast, make_cluster, make_host, make_profile, set_limit
from tests.portal.world import make_endpoint, make_engine
from tests.simulators.openai_backend import OpenAIBackend

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
NASTY = '<script>alert(1)</script>\x1b[31mred\x1b[0m <img src=x onerror=alert(1)>'


@pytest.fixture
def row(cast: Cast) -> Endpoint:
    cluster = make_cluster("shared")
    host = make_host(cluster, "host-shared")
    made = make_endpoint(cast, cast.alpha, cluster, make_profile(), "chat")
    make_engine(made, host)
    Endpoint.objects.filter(pk=made.pk).update(
        status=Status.INSERVICE, ready_replicas=1, seen_at=timezone.now(), serving=made.wanted, observed_generation=1,
        seen_by="agent")
    made.refresh_from_db()
    return made


def address(row: Endpoint, rest: str = "") -> str:
    return f"/w/{row.workspace.slug}/endpoints/{row.uid}/{rest}"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def fresh(row: Endpoint) -> Endpoint:
    return Endpoint.objects.get(pk=row.pk)


def form(row: Endpoint, **more: Any) -> dict[str, Any]:
    return {"generation": fresh(row).generation, **more}


@pytest.mark.parametrize(("query", "found"), [
    ("", True), ("?q=cha", True), ("?q=CHAT", True), ("?q=other", False), ("?state=INSERVICE", True), ("?state=failed", False),
    ("?state=attention", False), ("?place=shared", True), ("?place=beta-place", False), ("?model=tiny-chat", True),
    ("?model=none", False), ("?workspace=beta", True), ("?q=%00", True), ("?q=%25", False), ("?state=nonsense", False),
])
def test_filters_of_the_list_are_in_its_address(client_of: ClientOf, row: Endpoint, query: str, found: bool) -> None:
    answer = client_of("alice").get(f"/w/alpha/endpoints/{query}")
    assert answer.status_code == 200
    assert (address(row) in text(answer)) is found


def test_the_lists_title_says_how_many_need_somebody(client_of: ClientOf, row: Endpoint) -> None:
    alice = client_of("alice")
    assert "No endpoint needs you" in text(alice.get("/w/alpha/endpoints/"))
    Endpoint.objects.update(status=Status.STALLED)
    assert "<h1>1 endpoint needs you</h1>" in text(alice.get("/w/alpha/endpoints/"))
    assert address(row, "why/") in text(alice.get("/w/alpha/endpoints/"))


def test_an_open_list_asks_for_its_rows_alone(client_of: ClientOf, row: Endpoint) -> None:
    answer = client_of("alice").get("/w/alpha/endpoints/?q=chat", HTTP_HX_REQUEST="true")
    assert "<h1>" not in text(answer)
    assert 'hx-get="/w/alpha/endpoints/?q=chat"' in text(answer)


def test_an_operators_list_has_every_workspace_and_a_filter_for_them(client_of: ClientOf, row: Endpoint) -> None:
    operator = client_of("operator")
    assert f"/w/-/endpoints/{row.uid}/" in text(operator.get("/w/-/endpoints/?workspace=alpha"))
    assert str(row.uid) not in text(operator.get("/w/-/endpoints/?workspace=beta"))


def test_the_list_goes_on_by_key_and_costs_the_same(client_of: ClientOf, cast: Cast, row: Endpoint) -> None:
    alice = client_of("alice")
    alice.get("/w/alpha/endpoints/")
    with CaptureQueriesContext(connection) as few:
        alice.get("/w/alpha/endpoints/")
    Endpoint.objects.bulk_create(Endpoint(
        workspace=cast.alpha, cluster=row.cluster, name=f"e{n}", public_name=f"e{n}", public_key=f"e{n}", wanted=row.wanted,
        status=Status.INSERVICE) for n in range(60))
    with CaptureQueriesContext(connection) as many:
        page = alice.get("/w/alpha/endpoints/")
    assert len(many) == len(few) <= 16
    older = page.context["next_page"]
    assert address(row) not in text(page)
    assert address(row) in text(alice.get(older))
    assert alice.get("/w/alpha/endpoints/?cursor=forged").status_code == 422


@pytest.mark.parametrize(("values", "title"), [
    ({}, "chat answers on 1 replica"), ({"status": Status.STOPPED, "wish": "stopped"}, "chat is stopped"),
    ({"status": Status.CREATING, "ready_replicas": 0}, "chat is on its way"),
    ({"status": Status.STALLED, "ready_replicas": 0}, "chat needs you: it does not answer"),
    ({"status": Status.DEGRADED, "replicas": 3}, "chat answers with 1 of 3 replicas"),
    ({"status": Status.UPDATING}, "chat answers while it changes"), ({"wish": "deleted"}, "chat is being deleted"),
    ({"ready_replicas": 0}, "chat answers once a call wakes it"),
])
def test_the_pages_title_answers(client_of: ClientOf, row: Endpoint, values: dict[str, Any], title: str) -> None:
    Endpoint.objects.filter(pk=row.pk).update(**values)
    assert f"<h1>{title}</h1>" in text(client_of("alice").get(address(row)))


def test_the_page_is_cheap_whatever_the_endpoint_has(client_of: ClientOf, row: Endpoint) -> None:
    alice = client_of("alice")
    alice.get(address(row))
    with CaptureQueriesContext(connection) as few:
        alice.get(address(row))
    host = make_host(row.cluster, "host-2")
    for number in range(1, 9):
        make_engine(row, host, index=number)
        Event.objects.create(endpoint=row, kind="status", was="CREATING", now="INSERVICE", generation=1)
    with CaptureQueriesContext(connection) as many:
        assert alice.get(address(row)).status_code == 200
    assert len(many) == len(few) <= 25


def test_a_viewer_reads_and_is_offered_nothing_to_change(client_of: ClientOf, row: Endpoint) -> None:
    page = text(client_of("vera").get(address(row)))
    for rest in ("stop/", "delete/", "scale/", "key/"):
        assert address(row, rest) not in page


def test_what_comes_from_outside_is_text(client_of: ClientOf, row: Endpoint) -> None:
    """Threat T43: on every page that shows it."""
    Event.objects.create(endpoint=row, kind="error", message=NASTY, cause=Cause.ERROR, generation=1, now="FAILED")
    Endpoint.objects.filter(pk=row.pk).update(
        status=Status.FAILED, cause=Cause.ERROR, message=NASTY, last_error=f"{NASTY}!", ready_replicas=0,
        notes=[NASTY], drift=[{"object": NASTY, "path": NASTY, "before": NASTY, "after": NASTY, "manager": NASTY}])
    Engine.objects.update(message=NASTY, log=NASTY, phase=Phase.CRASHLOOP)
    row.wanted.spec["arguments"] = {NASTY: NASTY}  # type: ignore[union-attr]
    row.wanted.save()  # type: ignore[union-attr]
    alice = client_of("alice")
    for rest in ("", "why/", "log/", "events/", "part/replicas/", "part/head/", "part/events/", "revisions/", "compare/"):
        page = text(alice.get(address(row, rest)))
        assert "<script>alert" not in page, rest
        assert "<img src=x" not in page, rest
        assert "\x1b" not in page, rest


@pytest.mark.parametrize("part", ["head", "replicas", "events"])
def test_parts_come_alone_for_the_script_and_in_a_frame_without(client_of: ClientOf, row: Endpoint, part: str) -> None:
    alice = client_of("alice")
    assert "<html" not in text(alice.get(address(row, f"part/{part}/"), HTTP_HX_REQUEST="true"))
    assert "<html" in text(alice.get(address(row, f"part/{part}/")))
    assert alice.get(address(row, "part/other/")).status_code == 404


def test_phases_have_their_times_and_the_deadline(client_of: ClientOf, row: Endpoint) -> None:
    Engine.objects.update(phase=Phase.LOADING, phase_since=timezone.now())
    Endpoint.objects.filter(pk=row.pk).update(
        status=Status.CREATING, ready_replicas=0, observed_generation=0, serving=None,
        deadline_at=timezone.now() + timedelta(minutes=5))
    page = text(client_of("alice").get(address(row)))
    for words in ("Asked", "Placed", "Loading the model", "so far", "to come", "deadline"):
        assert words in page


def test_figures_are_those_that_gateways_counted(client_of: ClientOf, row: Endpoint) -> None:
    minute = minute_of(timezone.now()) - timedelta(minutes=1)
    TrafficMinute.objects.create(minute=minute, route_id=0, endpoint_id=row.pk, calls=30, errors=3, first_byte_5=30)
    TrafficMinute.objects.create(minute=minute, route_id=0, endpoint_id=row.pk + 1, calls=999)
    forget_samples()
    told = client_of("alice").get(address(row, "figures/")).json()
    assert len(told["minutes"]) == 60
    assert (told["minutes"][-1]["calls"], told["minutes"][-1]["errors"]) == (30, 3)
    assert told["minutes"][-1]["p50"] == pytest.approx(0.6)
    assert len(told["points"]) == 1
    page = text(client_of("alice").get(address(row)))
    assert "3 of 30 failed" in page


def test_engines_own_figures_are_read_from_their_page(client_of: ClientOf, row: Endpoint) -> None:
    with OpenAIBackend() as engine:
        engine.script.content_type = "text/plain"
        engine.script.body = (b"vllm:num_requests_running 3.0\nvllm:num_requests_waiting 2.0\n"
                              b"vllm:kv_cache_usage_perc 0.71\nvllm:generation_tokens_total 5.0\n")
        Engine.objects.update(phase=Phase.READY, port=int(engine.url.rpartition(":")[2]))
        forget_samples()
        told = client_of("alice").get(address(row, "figures/")).json()
    assert [(one["running"], one["waiting"], one["cache"]) for one in told["points"]] == [(3.0, 2.0, 0.71)]
    assert told["since"]
    assert [(one["name"], one["value"]) for one in told["now"]][3:5] == [("waiting", "2"), ("cache", "71")]


def test_stop_can_be_undone_until_something_else_is_wished(client_of: ClientOf, row: Endpoint) -> None:
    alice = client_of("alice")
    answer = alice.post(address(row, "stop/"), form(row), follow=True)
    assert fresh(row).wish == "stopped"
    assert ">Undo<" in text(answer)
    undo = answer.context["undo"]
    answer = alice.post(undo.url, form(row, **undo.fields), follow=True)
    assert fresh(row).wish == "running"
    services.scale(PORTAL, fresh(row), 2)
    assert ">Undo<" not in text(alice.get(address(row)))


def test_scaling_can_be_undone(client_of: ClientOf, row: Endpoint) -> None:
    alice = client_of("alice")
    answer = alice.post(address(row, "scale/"), form(row, replicas=3), follow=True)
    assert fresh(row).replicas == 3
    undo = answer.context["undo"]
    alice.post(undo.url, form(row, **undo.fields))
    assert fresh(row).replicas == 1


@pytest.mark.parametrize(("rest", "more"), [
    ("stop/", {}), ("retry/", {}), ("rollback/", {"revision": 1}), ("scale/", {"replicas": 2}), ("delete/", {"name": "chat"}),
])
def test_a_stale_form_is_told_and_changes_nothing(client_of: ClientOf, row: Endpoint, rest: str, more: dict[str, Any]) -> None:
    old = form(row, **more)
    services.retry(PORTAL, fresh(row))
    before = fresh(row).generation
    answer = client_of("alice").post(address(row, rest), old)
    assert (answer.status_code, fresh(row).generation) == (412, before)
    assert "was changed" in text(answer)
    assert client_of("alice").post(address(row, rest), more).status_code == 412, "without a generation"


@pytest.mark.parametrize("rest", [
    "stop/", "start/", "retry/", "rollback/", "scale/", "autoscale/", "delete/", "drift/", "key/"])
def test_a_viewer_may_do_none_of_it(client_of: ClientOf, row: Endpoint, rest: str) -> None:
    assert client_of("vera").post(address(row, rest), form(row)).status_code == 403


@pytest.mark.parametrize(("rest", "more", "status", "words"), [
    ("scale/", {"replicas": 0}, 422, "greater than or equal to 1"), ("scale/", {"replicas": "x"}, 422, "whole number"),
    ("scale/", {"replicas": 9}, 403, "limit is reached"), ("start/", {}, 409, "is not stopped"),
    ("rollback/", {"revision": "1"}, 409, "wanted one already"), ("rollback/", {"revision": "7"}, 404, "no revision 7"),
    ("drift/", {"choice": "accept"}, 409, "as the portal keeps it"), ("drift/", {"choice": "x"}, 422, "Choose what to do"),
    ("delete/", {"name": "Chat"}, 422, "Type chat"),
    ("autoscale/", {"min_replicas": 1, "max_replicas": 2}, 422, "no autoscaler"),
])
def test_refusals_stand_where_they_belong(
    client_of: ClientOf, row: Endpoint, cast: Cast, rest: str, more: dict[str, Any], status: int, words: str,
) -> None:
    set_limit(cast.alpha, replicas=3)
    answer = client_of("alice").post(address(row, rest), form(row, **more))
    assert answer.status_code == status
    if rest != "autoscale/":
        assert words in text(answer).replace("&#x27;", "'")
    assert fresh(row).generation == 1


def test_delete_needs_the_typed_name(client_of: ClientOf, row: Endpoint) -> None:
    alice = client_of("alice")
    assert "Type chat to delete it" in text(alice.get(address(row, "delete/")))
    answer = alice.post(address(row, "delete/"), form(row, name="chat"))
    assert answer["Location"] == "/w/alpha/endpoints/"
    assert fresh(row).wish == "deleted"


def test_revisions_are_compared_and_rolled_back(client_of: ClientOf, row: Endpoint, cast: Cast) -> None:
    services.update(cast.actor("alice"), fresh(row), arguments={"max-model-len": 2048}, note="longer")
    alice = client_of("alice")
    page = text(alice.get(address(row, "compare/")))
    assert "differ in 1 field<" in page
    assert "2048" in page
    assert "longer" in text(alice.get(address(row, "revisions/")))
    answer = alice.post(address(row, "rollback/"), form(row, revision=1), follow=True)
    assert fresh(row).wanted.number == 1  # type: ignore[union-attr]
    assert answer.context["undo"].fields == {"revision": 2}
    assert alice.get(address(row, "compare/?from=1&to=9")).status_code == 404


def test_autoscaling_is_wished_changed_and_switched_off(client_of: ClientOf, row: Endpoint) -> None:
    cluster = make_cluster("kube", kind="kubernetes")
    Endpoint.objects.filter(pk=row.pk).update(cluster=cluster)
    alice, times = client_of("alice"), {
        "polling_seconds": 30, "cooldown_seconds": 300, "stabilisation_up_seconds": 0, "stabilisation_down_seconds": 300}
    wish = {"min_replicas": 1, "max_replicas": 4, **times, "prometheus__0__use": "on", "prometheus__0__signal": "waiting",
            "prometheus__0__threshold": "5"}
    answer = alice.post(address(row, "autoscale/"), form(row, **{**wish, "prometheus__0__threshold": "many"}))
    assert answer.status_code == 422
    assert 'value="many"' in text(answer)
    assert alice.post(address(row, "autoscale/"), form(row, **wish)).status_code == 302
    assert fresh(row).autoscale["max_replicas"] == 4
    page = text(alice.get(address(row, "autoscale/")))
    assert "KEDA keeps between 1 and 4 replicas." in page
    assert alice.post(address(row, "scale/"), form(row, replicas=2)).status_code == 409
    assert alice.post(address(row, "autoscale/"), form(row, off="1")).status_code == 302
    assert fresh(row).autoscale == {}


@pytest.mark.parametrize(("language", "words"), [
    ("curl", "curl http"), ("python", "from openai import OpenAI"), ("javascript", "import OpenAI from"),
    ("langchain", "langchain_openai"), ("nonsense", "from openai import OpenAI"),
])
def test_how_to_call_it_is_a_link_for_each_language(client_of: ClientOf, row: Endpoint, language: str, words: str) -> None:
    page = text(client_of("alice").get(address(row, f"?call={language}")))
    assert words in page
    assert "PORTAL_API_KEY" in page
    assert ApiKey.objects.count() == 0


def test_a_new_key_is_filled_in_once_and_kept_nowhere(client_of: ClientOf, row: Endpoint) -> None:
    alice = client_of("alice")
    answer = alice.post(address(row, "key/"), {"call": "curl", "once": "page-1"})
    key = ApiKey.objects.get()
    assert (key.model_names, key.scopes) == (["chat"], ["inference"])
    shown = text(answer)
    secret = next(word for word in shown.replace("&quot;", " ").split() if word.startswith("sk-"))
    assert secret.encode() not in alice.get(address(row)).content
    assert (answer["Referrer-Policy"], "no-store" in answer["Cache-Control"]) == ("no-referrer", True)
    again = alice.post(address(row, "key/"), {"call": "curl", "once": "page-1"})
    assert (again.status_code, ApiKey.objects.count()) == (409, 1)


def test_the_log_is_escaped_capped_and_a_file(client_of: ClientOf, row: Endpoint) -> None:
    Engine.objects.update(log="\n".join(f"line {n}" for n in range(3000)) + "\n" + NASTY)
    alice = client_of("alice")
    lines = text(alice.get(address(row, "log/?lines=200"), HTTP_HX_REQUEST="true"))
    assert "<html" not in lines
    assert "&lt;script&gt;" in lines
    answer = alice.get(address(row, "log/file/"))
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("text/plain; charset=utf-8", "nosniff")
    assert answer["Content-Disposition"] == 'attachment; filename="chat-0.log"'
    assert "\x1b" not in text(answer)
    assert alice.get(address(row, "log/?replica=99999999999&lines=evil&previous=1")).status_code == 200


def test_a_place_that_cannot_be_asked_is_the_logs_answer(client_of: ClientOf, row: Endpoint) -> None:
    Endpoint.objects.filter(pk=row.pk).update(cluster=make_cluster("kube", kind="kubernetes"))
    alice = client_of("alice")
    assert "can&#x27;t be asked" in text(alice.get(address(row, "log/")))
    assert alice.get(address(row, "log/file/")).status_code == 503
    assert alice.get(address(row, "why/")).status_code == 200
    assert "The place is being asked" in text(alice.get(address(row)))


def test_why_has_the_cause_in_its_title_and_the_next_step(client_of: ClientOf, row: Endpoint) -> None:
    Engine.objects.update(phase=Phase.CRASHLOOP, cause="gpu_memory", message="CUDA out of memory", restarts=3, exit_code=1)
    Endpoint.objects.filter(pk=row.pk).update(status=Status.FAILED, ready_replicas=0, cause=Cause.MEMORY)
    page = text(client_of("alice").get(address(row, "why/")))
    assert "<h1>No replica" not in page
    assert "Next step" in page
    assert "CUDA out of memory" in page


def test_drift_is_told_with_its_three_choices(client_of: ClientOf, row: Endpoint) -> None:
    Endpoint.objects.filter(pk=row.pk).update(drift_policy=DriftPolicy.REPORT, drift=[
        {"object": "StatefulSet/chat", "path": "spec.template.x", "before": "2", "after": "1", "manager": "kubectl",
         "since": "2026-11-21T00:00:00"}])
    alice = client_of("alice")
    page = text(alice.get(address(row)))
    for words in ("Somebody has changed it outside the portal", "Put ours back", "Accept what is there", "kubectl"):
        assert words in page
    assert alice.post(address(row, "drift/"), form(row, choice="accept")).status_code == 302
    assert (fresh(row).drift, len(fresh(row).accepted)) == ([], 1)


def test_an_endpoint_that_the_cluster_owns_says_so_and_offers_nothing(client_of: ClientOf, row: Endpoint) -> None:
    Endpoint.objects.filter(pk=row.pk).update(origin={"kind": "VLLMCluster", "namespace": "team", "name": "chat"})
    page = text(client_of("alice").get(address(row)))
    assert "VLLMCluster team/chat" in page
    assert address(row, "stop/") not in page


def test_a_server_with_a_thread_for_each_answer_has_no_streams(client_of: ClientOf, row: Endpoint, cast: Cast) -> None:
    assert client_of("alice").get(address(row, "stream/")).status_code == 204
    assert client_of("charlie").get(address(row, "stream/")).status_code == 404
    assert Client().get(address(row, "stream/")).status_code == 401
    assert Backend.objects.count() == 0
