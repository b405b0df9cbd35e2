"""The life of an endpoint through the JSON API: create, look, change, repeat, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from endpoints.models import Endpoint, Event
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster, make_host, make_profile
from tests.portal.apiclient import Api, by_key, error_of


@pytest.fixture
def ready(cast: Cast) -> Cast:
    make_host(make_cluster("here"))
    make_profile("tiny-chat-cpu")
    return cast


@pytest.fixture
def bob(ready: Cast) -> Api:
    return by_key(ready.bob, ready.alpha)


def body(**changes: Any) -> dict[str, Any]:
    return {"workspace": "alpha", "name": "chat", "place": "here", "profile": "tiny-chat-cpu", **changes}


def made(api: Api, **changes: Any) -> dict[str, Any]:
    response = api.post("endpoints", body(**changes))
    assert response.status_code == 202, response.content
    row: dict[str, Any] = response.json()
    return row


def test_a_developer_creates_reads_and_deletes(bob: Api) -> None:
    row = made(bob, note="first")
    assert (row["status"], row["wish"], row["revision"], row["model"]) == ("PENDING", "running", 1, "tiny-chat")
    shown = bob.get(f"endpoints/{row['uid']}")
    assert shown.json() == row
    assert shown["ETag"] == row["etag"]
    assert bob.get("endpoints").json()["items"] == [row]
    gone = bob.delete(f"endpoints/{row['uid']}")
    assert (gone.status_code, gone.json()["wish"]) == (202, "deleted")


def test_place_and_profile_may_be_named_by_uid(bob: Api) -> None:
    place = bob.get("places").json()["items"][0]["uid"]
    profile = bob.get("profiles").json()["items"][0]["uid"]
    assert made(bob, place=place, profile=profile)["place"] == "here"


@pytest.mark.parametrize(("field", "value"), [
    ("workspace", "beta"), ("workspace", "nowhere"), ("place", "nowhere"), ("place", "theirs"), ("profile", "nowhere"),
    ("profile", "theirs-cpu"), ("place", "01890000-0000-7000-8000-000000000000"),
])
def test_unknown_and_foreign_names_in_a_body_get_the_same_words(ready: Cast, bob: Api, field: str, value: str) -> None:
    make_cluster("theirs", workspace=ready.beta)
    make_profile("theirs-cpu").model.__class__.objects.filter(slug="theirs").update(workspace=ready.beta)
    response = bob.post("endpoints", body(**{field: value}))
    error = error_of(response)
    assert (response.status_code, error["field"], error["message"]) == (422, field, f"unknown {field}")


def test_update_scale_and_roll_back_answer_with_the_new_wish(bob: Api) -> None:
    uid = made(bob)["uid"]
    updated = bob.post(f"endpoints/{uid}/update", {"arguments": {"max-model-len": 512}, "note": "shorter"}).json()
    assert (updated["revision"], updated["generation"]) == (2, 2)
    assert bob.post(f"endpoints/{uid}/scale", {"replicas": 3}).json()["replicas"] == 3
    assert bob.post(f"endpoints/{uid}/rollback", {"revision": 1}).json()["revision"] == 1
    numbers = [row["number"] for row in bob.get(f"endpoints/{uid}/revisions").json()["items"]]
    assert numbers == [2, 1]
    unknown = bob.post(f"endpoints/{uid}/rollback", {"revision": 9})
    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "not_found")


def test_of_two_edits_of_one_version_the_second_is_refused(bob: Api) -> None:
    row = made(bob)
    first = bob.post(f"endpoints/{row['uid']}/scale", {"replicas": 2}, If_Match=row["etag"])
    assert first["ETag"] != row["etag"]
    late = bob.post(f"endpoints/{row['uid']}/scale", {"replicas": 5}, If_Match=row["etag"])
    assert (late.status_code, error_of(late)["code"]) == (412, "stale")
    assert bob.get(f"endpoints/{row['uid']}").json()["replicas"] == 2
    again = bob.post(f"endpoints/{row['uid']}/scale", {"replicas": 5}, If_Match=first["ETag"])
    assert again.status_code == 202


def test_a_repeated_create_gets_the_first_answer(bob: Api) -> None:
    first = bob.post("endpoints", body(), Idempotency_Key="deploy-1")
    again = bob.post("endpoints", body(), Idempotency_Key="deploy-1")
    assert (again.status_code, again.json()) == (202, first.json())
    assert Endpoint.objects.count() == 1
    other = bob.post("endpoints", body(name="other"), Idempotency_Key="deploy-1")
    assert (other.status_code, error_of(other)["code"]) == (409, "idempotency_mismatch")


def test_a_refused_create_may_be_corrected_under_the_same_key(bob: Api) -> None:
    assert bob.post("endpoints", body(name="Wrong Name"), Idempotency_Key="k").status_code == 422
    assert bob.post("endpoints", body(), Idempotency_Key="k").status_code == 202


def test_another_persons_idempotency_key_is_another_key(ready: Cast, bob: Api) -> None:
    assert bob.post("endpoints", body(), Idempotency_Key="same").status_code == 202
    alice = by_key(ready.alice, ready.alpha)
    assert alice.post("endpoints", body(), Idempotency_Key="same").status_code == 409


@pytest.mark.parametrize("key", ["x" * 65, "tab\there", "naïve"])
def test_a_malformed_idempotency_key_is_refused(bob: Api, key: str) -> None:
    response = bob.post("endpoints", body(), Idempotency_Key=key)
    assert (response.status_code, error_of(response)["field"]) == (422, "Idempotency-Key")


def test_filters_narrow_the_list(ready: Cast, bob: Api) -> None:
    made(bob, name="one")
    made(bob, name="two", deploy=False)
    Endpoint.objects.filter(name="one").update(status="INSERVICE")

    def names(query: str) -> list[str]:
        return [row["name"] for row in bob.get(f"endpoints?{query}").json()["items"]]

    assert names("status=INSERVICE") == ["one"]
    assert names("status=INSERVICE&status=PENDING") == ["two", "one"]
    assert names("wish=stopped") == ["two"]
    assert names("q=ON") == ["one"]
    assert names("q=none") == []
    assert names("place=here&model=tiny-chat&workspace=alpha") == ["two", "one"]
    assert names("workspace=beta") == []


def test_pages_hold_every_row_once_while_new_ones_arrive(bob: Api) -> None:
    for number in range(5):
        made(bob, name=f"e{number}")
    first = bob.get("endpoints?limit=2").json()
    made(bob, name="late")
    seen = [row["name"] for row in first["items"]]
    cursor = first["next"]
    while cursor:
        page = bob.get(f"endpoints?limit=2&cursor={cursor}").json()
        seen += [row["name"] for row in page["items"]]
        cursor = page["next"]
    assert seen == ["e4", "e3", "e2", "e1", "e0"]


@pytest.mark.parametrize("query", [
    "limit=0", "limit=201", "limit=1000000000", "limit=-1", "limit=x", "cursor=abc", "cursor=MQ", "offset=1",
    "ordering=secret", "status=RUNNING", "wish=&wish=x", "cursor=" + "a" * 201,
])
def test_a_page_that_cannot_be_is_refused(bob: Api, query: str) -> None:
    assert bob.get(f"endpoints?{query}").status_code == 422


def test_a_cursor_of_another_list_is_refused(bob: Api) -> None:
    uid = made(bob)["uid"]
    for _again in range(2):
        bob.post(f"endpoints/{uid}/retry")
    cursor = bob.get(f"endpoints/{uid}/events?limit=1").json()["next"]
    assert bob.get(f"endpoints/{uid}/events?limit=1&cursor={cursor}").status_code == 200
    assert bob.get(f"endpoints?cursor={cursor}").status_code == 422


def test_the_list_costs_the_same_queries_for_one_row_and_for_fifty(bob: Api) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert bob.get("endpoints?limit=50").status_code == 200
        return len(seen)

    made(bob)
    row = Endpoint.objects.get()
    bob.get("endpoints")
    one = cost()
    Endpoint.objects.bulk_create(
        Endpoint(workspace=row.workspace, cluster=row.cluster, name=f"n{i}", public_name=f"n{i}", public_key=f"n{i}",
                 wanted=row.wanted, created_by=row.created_by) for i in range(60))
    assert cost() == one
    assert one <= 8


def test_events_tell_who_did_what(bob: Api) -> None:
    uid = made(bob)["uid"]
    bob.post(f"endpoints/{uid}/stop")
    events = bob.get(f"endpoints/{uid}/events").json()["items"]
    assert [event["kind"] for event in events] == ["wish", "wish"]
    assert events[0]["by"].startswith("bob (test")
    assert Event.objects.count() == 2


def test_logs_explain_and_plan_of_an_endpoint_that_has_nothing_yet(bob: Api) -> None:
    uid = made(bob)["uid"]
    assert bob.get(f"endpoints/{uid}/logs?previous=true").json()["replica"] == 0
    assert bob.get(f"endpoints/{uid}/logs?replica=64").status_code == 422
    assert bob.get(f"endpoints/{uid}/explain").json()["sentence"]
    assert bob.get(f"endpoints/{uid}/plan").status_code == 200
    assert bob.get(f"endpoints/{uid}/engines").json() == {"items": []}


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({"name": "Upper"}, "name"), ({"name": "1st"}, "name"), ({"name": "a-"}, "name"), ({"name": "a--b"}, "name"),
    ({"name": "a_b"}, "name"), ({"name": "a" * 64}, "name"), ({"name": ""}, "name"), ({"name": "ä"}, "name"),
    ({"name": "a\x00"}, "name"), ({"name": None}, "name"), ({"name": "chat "}, "name"), ({"name": 7}, "name"),
    ({"public_name": "a b"}, "public_name"), ({"public_name": "a" * 129}, "public_name"),
    ({"replicas": 0}, "replicas"), ({"replicas": -1}, "replicas"), ({"replicas": 65}, "replicas"),
    ({"replicas": "2"}, "replicas"), ({"replicas": 1.5}, "replicas"), ({"replicas": True}, "replicas"),
    ({"replicas": 10**30}, "replicas"), ({"devices": [0, 0]}, "devices"), ({"devices": [-1]}, "devices"),
    ({"devices": "0"}, "devices"), ({"arguments": {"api-key": "x"}}, "arguments"), ({"arguments": []}, "arguments"),
    ({"environment": {"LD_PRELOAD": "/x.so"}}, "environment"), ({"environment": {"A": 1}}, "environment"),
    ({"note": "a" * 201}, "note"), ({"note": "a\x1b[31m"}, "note"), ({"profile": ["tiny-chat-cpu"]}, "profile"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_BODIES, ids=lambda part: str(part)[:40])
def test_a_body_that_cannot_be_is_refused_with_its_field(bob: Api, changes: dict[str, Any], field: str) -> None:
    response = bob.post("endpoints", body(**changes))
    assert response.status_code == 422, response.content
    assert error_of(response)["field"].split(".")[0] == field
    assert Endpoint.objects.count() == 0
    assert AuditEntry.objects.filter(verb="create").count() == 0
