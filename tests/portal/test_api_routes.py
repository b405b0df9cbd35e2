"""Routes through the API: the whole way of a canary, and what a caller sees of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from endpoints.models import Route
from endpoints.services.route_wish import RouteWish, Share
from endpoints.services.routes import create_route
from tests.cast import Cast
from tests.endpoints.routes_cast import count, make_end, make_route
from tests.portal.apiclient import Api, by_key

pytestmark = pytest.mark.both_databases


@pytest.fixture
def alice(cast: Cast) -> Api:
    for name in ("blue", "green", "grey"):
        make_end(cast.alpha, name)
    make_end(cast.beta, "theirs")
    return Api(cast.alice)


def make(alice: Api, **more: Any) -> dict[str, Any]:
    answer = alice.call("POST", "/api/v1/routes", {
        "workspace": "alpha", "public_name": "chat", "targets": [{"endpoint": "blue", "weight": 80}], **more})
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_canary_on_its_whole_way(alice: Api) -> None:
    made = make(alice, fallbacks=["grey"])
    where = f"/api/v1/routes/{made['uid']}"
    assert (made["targets"][0]["weight"], made["fallbacks"], made["canary"], made["version"]) == (80, ["grey"], None, 1)
    started = alice.call("POST", f"{where}/canary", {"endpoint": "green", "percent": 10, "steps": [50]}).json()
    assert (started["canary"]["endpoint"], started["canary"]["percent"], started["canary"]["state"]) == ("green", 10, "running")
    assert alice.call("POST", f"{where}/return").json()["canary"]["state"] == "returned"
    assert alice.call("POST", f"{where}/resume").json()["canary"]["state"] == "running"
    promoted = alice.call("POST", f"{where}/promote").json()
    assert ([one["endpoint"] for one in promoted["targets"]], promoted["fallbacks"]) == (["green"], ["blue", "grey"])
    restored = alice.call("POST", f"{where}/restore", {"version": 1}).json()
    assert ([one["endpoint"] for one in restored["targets"]], restored["fallbacks"]) == (["blue"], ["grey"])
    changes = alice.call("GET", f"{where}/changes").json()["items"]
    assert [one["verb"] for one in changes] == ["restore", "promote", "resume", "return", "start", "create"]
    assert alice.call("DELETE", where).status_code == 204


def test_a_version_guards_against_somebody_elses_change(alice: Api) -> None:
    made = make(alice)
    where = f"/api/v1/routes/{made['uid']}"
    first = alice.call("PATCH", where, {"is_sticky": True}, If_Match=made["etag"])
    assert (first.status_code, first.json()["etag"]) == (200, first["ETag"])
    assert alice.call("PATCH", where, {"is_sticky": False}, If_Match=made["etag"]).status_code == 412
    assert alice.call("PATCH", where, {"is_sticky": True}).status_code == 409


@pytest.mark.parametrize(("body", "field"), [
    ({"targets": []}, None), ({"targets": [{"endpoint": "blue", "weight": 101}]}, None),
    ({"targets": [{"endpoint": "nobody"}]}, "targets"), ({"targets": [{"endpoint": "theirs"}]}, "targets"),
    ({"targets": [{"endpoint": "blue", "weight": 0}]}, "targets"), ({"fallbacks": ["blue"]}, "targets"),
    ({"public_name": "a b"}, "public_name"), ({"canary": {"endpoint": "green", "percent": 100}}, None),
    ({"canary": {"endpoint": "green", "steps": [3]}}, "steps"), ({"more": 1}, None),
])
def test_what_makes_no_sense_is_refused_with_its_field(alice: Api, body: dict[str, Any], field: str | None) -> None:
    given = {"workspace": "alpha", "public_name": "chat", "targets": [{"endpoint": "blue"}], **body}
    answer = alice.call("POST", "/api/v1/routes", given)
    assert answer.status_code == 422
    assert field is None or answer.json()["error"]["field"] == field
    assert not Route.objects.exists()


def test_an_endpoint_is_named_by_uid_too(cast: Cast, alice: Api) -> None:
    end = make_end(cast.alpha, "long-name")
    assert make(alice, targets=[{"endpoint": str(end.uid).upper()}])["targets"][0]["endpoint"] == "long-name"


def test_traffic_by_endpoint(cast: Cast, alice: Api) -> None:
    made = make(alice, canary={"endpoint": "green", "percent": 10})
    route = Route.objects.get()
    green = route.canary.endpoint
    count(route, green, 20, errors=5)
    seen = alice.call("GET", f"/api/v1/routes/{made['uid']}/traffic?minutes=10").json()
    assert (seen["minutes"], seen["calls"]) == (10, 20)
    assert seen["endpoints"] == [
        {"endpoint": "blue", "role": "main", "wished_percent": 90.0, "calls": 0, "errors": 0, "error_percent": None,
         "first_token_p95_ms": None},
        {"endpoint": "green", "role": "canary", "wished_percent": 10.0, "calls": 20, "errors": 5, "error_percent": 25.0,
         "first_token_p95_ms": 195.0}]


def test_the_list_keeps_to_the_scope_and_its_queries_do_not_grow(cast: Cast, alice: Api) -> None:
    blue, theirs = make_end(cast.alpha, "b"), make_end(cast.beta, "t")
    make_route(cast, "one", (blue, 1))
    create_route(cast.actor("operator"), cast.beta, RouteWish("beta-secret", (Share(theirs),)))
    few = queries(alice)
    for number in range(10):
        make_route(cast, f"more-{number}", (blue, 1))
    assert queries(alice) == few
    names = [one["public_name"] for one in alice.call("GET", "/api/v1/routes?q=O").json()["items"]]
    assert names[-1] == "one"
    assert "beta-secret" not in names
    key = by_key(cast.charlie, cast.beta)
    assert [one["public_name"] for one in key.call("GET", "/api/v1/routes").json()["items"]] == ["beta-secret"]


def queries(caller: Api) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert caller.call("GET", "/api/v1/routes").status_code == 200
    return len(seen)
