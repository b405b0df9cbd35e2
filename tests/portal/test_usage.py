"""Usage and prices through the API: sums, scopes, CSV, and prices over time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.http import HttpResponse
from django.utils import timezone

from endpoints.models import GpuHour, SpoolPosition, TokenPrice, TrafficMinute, UsageHour
from endpoints.services import usage
from endpoints.tasks import forget_usage
from portal.tenancy import services as tenancy
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster, make_model
from tests.portal.apiclient import Api, by_key

pytestmark = pytest.mark.both_databases
MARCH = datetime(2026, 3, 31, 22, tzinfo=UTC)
SPAN = "from=2026-03-01T00:00:00Z&to=2026-05-01T00:00:00Z"
IDS = {"member_id": 1, "key_id": 10**9, "endpoint_id": 1, "route_id": 0, "door": 1}


def used(cast: Cast, hour: datetime, workspace: str = "alpha", **values: Any) -> UsageHour:
    row = getattr(cast, workspace)
    names = {"member_name": "bob", "key_name": "ci", "endpoint_name": "chat", "model_name": "acme/chat"}
    counts = {"requests": 10, "errors": 1, "refused": 2, "prompt_tokens": 1000, "completion_tokens": 100,
              "cost_nano": 1_234_567_890}
    return UsageHour.objects.create(**{
        "hour": hour, "workspace_id": row.pk, "workspace_name": row.slug, **IDS, **names, **counts, **values})


@pytest.fixture
def history(cast: Cast) -> None:
    """Alpha: four hours about the turn of a month, by two models; Beta: one."""
    for hours in range(3):
        used(cast, MARCH + timedelta(hours=hours))
    used(cast, MARCH + timedelta(hours=3), model_name="=acme/other", endpoint_id=2, door=3)
    used(cast, MARCH, "beta", key_id=9, member_id=9, endpoint_id=9, requests=77)


def body_of(response: HttpResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.content)
    return found


def asked(api: Api, query: str) -> dict[str, Any]:
    response = api.get(f"/api/v1/usage?{query}")
    assert response.status_code == 200, response.content
    return body_of(response)


@pytest.mark.parametrize(("group", "lines"), [
    ("day", {("2026-03-31",): 20, ("2026-04-01",): 20}),
    ("month", {("2026-03",): 20, ("2026-04",): 20}),
    ("hour", {("2026-03-31T22:00Z",): 10, ("2026-03-31T23:00Z",): 10, ("2026-04-01T00:00Z",): 10, ("2026-04-01T01:00Z",): 10}),
    ("model", {("acme/chat",): 30, ("=acme/other",): 10}),
    ("month,model", {("2026-03", "acme/chat"): 20, ("2026-04", "acme/chat"): 10, ("2026-04", "=acme/other"): 10}),
    ("workspace", {("alpha",): 40}), ("member", {("bob",): 40}), ("key", {("ci",): 40}),
    ("address", {("/v1/chat/completions",): 30, ("/v1/embeddings",): 10}),
])
def test_sums_by_group_are_those_of_the_callers_workspaces(
        cast: Cast, history: None, group: str, lines: dict[tuple[str, ...], int]) -> None:
    found = asked(Api(cast.alice), f"{SPAN}&group={group}")
    assert {tuple(item["by"].values()): item["requests"] for item in found["items"]} == lines
    assert list(found["items"][0]["by"]) == group.split(",")
    assert (found["total"]["requests"], found["total"]["cost"], found["currency"]) == (40, "4.938271560", "USD")


def test_an_operator_sees_all_and_a_stranger_his_own(cast: Cast, history: None) -> None:
    seen = {name: asked(Api(getattr(cast, name)), f"{SPAN}&group=workspace")["total"]["requests"]
            for name in ("operator", "vera", "charlie")}
    assert seen == {"operator": 117, "vera": 40, "charlie": 77}


@pytest.mark.parametrize(("query", "requests"), [
    ("model=acme/chat", 30), ("model=acme/none", 0), ("workspace=beta", 0), ("workspace=alpha&member=bob", 40),
    ("endpoint=chat&to=2026-04-01T00:00:00Z", 20), ("from=2026-04-01T00:00:00%2B00:00", 20),
])
def test_filters_narrow_and_never_widen(cast: Cast, history: None, query: str, requests: int) -> None:
    span = "&".join(part for part in SPAN.split("&") if part.partition("=")[0] + "=" not in query)
    assert asked(Api(cast.alice), f"{span}&{query}")["total"]["requests"] == requests


def test_a_key_is_named_by_its_uid_and_only_in_its_workspace(cast: Cast, history: None) -> None:
    key, _text = tenancy.create_key(cast.actor("alice"), cast.alpha, name="mine")
    used(cast, MARCH, key_id=key.pk, requests=5)
    query = f"{SPAN}&key={key.uid}"
    assert [asked(Api(user), query)["total"]["requests"] for user in (cast.alice, cast.charlie)] == [5, 0]


def test_a_key_needs_the_right_to_read(cast: Cast, history: None) -> None:
    for scope, status in (("read", 200), ("inference", 403)):
        assert by_key(cast.alice, cast.alpha, scope).get(f"/api/v1/usage?{SPAN}").status_code == status


@pytest.mark.parametrize("query", [
    "group=", "group=day,day", "group=secret", "group=day,month,model,key", "format=xml", "colour=red",
    "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from=2020-01-01T00:00:00Z", "from=2026-01-01",
])
def test_what_makes_no_sense_is_refused(cast: Cast, query: str) -> None:
    assert Api(cast.alice).get(f"/api/v1/usage?{query}").status_code == 422


def test_too_many_lines_are_refused(cast: Cast, history: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST_LINES", 3)
    response = Api(cast.alice).get(f"/api/v1/usage?{SPAN}&group=hour")
    assert (response.status_code, body_of(response)["error"]["field"]) == (422, "group")


@pytest.mark.parametrize("how", [{"query": "&format=csv"}, {"Accept": "text/csv"}])
def test_csv_is_a_table_without_formulas(cast: Cast, history: None, how: dict[str, str]) -> None:
    headers = {name: value for name, value in how.items() if name != "query"}
    query = f"{SPAN}&group=model{how.get('query', '')}"
    response = Api(cast.alice).get(f"/api/v1/usage?{query}", **headers)
    assert response["Content-Type"].startswith("text/csv")
    assert response.content.decode().splitlines() == [
        "model,requests,errors,refused,partial,prompt_tokens,completion_tokens,cached_tokens,cost,gpu_hours",
        "'=acme/other,10,1,2,0,1000,100,0,1.234567890,0.0000",
        "acme/chat,30,3,6,0,3000,300,0,3.703703670,0.0000"]


def hold(cast: Cast, hour: datetime, workspace: str = "alpha", **values: Any) -> None:
    row = getattr(cast, workspace)
    GpuHour.objects.create(**{
        "hour": hour, "workspace_id": row.pk, "workspace_name": row.slug, "endpoint_id": 1, "endpoint_name": "chat",
        "model_name": "acme/chat", "place_name": "hosts", "gpu_seconds": 5400, **values})


@pytest.mark.parametrize(("query", "lines", "total"), [
    ("group=day", {"2026-03-31": "3.0000", "2026-04-01": "2.0000"}, "5.0000"),
    ("group=month", {"2026-03": "3.0000", "2026-04": "2.0000"}, "5.0000"),
    ("group=model", {"acme/chat": "3.0000", "=acme/other": "0.0000", "idle": "2.0000"}, "5.0000"),
    ("group=endpoint&model=acme/chat", {"chat": "3.0000"}, "3.0000"),
    ("group=workspace", {"alpha": "5.0000"}, "5.0000"),
    ("group=key", {"ci": None}, "5.0000"), ("group=member", {"bob": None}, "5.0000"),
    ("group=day&model=idle", {"2026-04-01": "2.0000"}, "2.0000"),
    ("group=day&endpoint=chat&to=2026-04-01T00:00:00Z", {"2026-03-31": "3.0000"}, "3.0000"),
    ("group=day&member=bob", {"2026-03-31": None, "2026-04-01": None}, None),
])
def test_gpu_hours_are_those_of_the_endpoints(
        cast: Cast, history: None, query: str, lines: dict[str, str | None], total: str | None) -> None:
    for hours in range(2):
        hold(cast, MARCH + timedelta(hours=hours))
    hold(cast, MARCH + timedelta(hours=3), endpoint_id=3, endpoint_name="idle", model_name="idle", gpu_seconds=7200)
    hold(cast, MARCH, "beta", endpoint_id=9, gpu_seconds=10**6)
    span = SPAN if "to=" not in query else SPAN.partition("&")[0]
    found = asked(Api(cast.alice), f"{span}&{query}")
    assert {next(iter(item["by"].values())): item["gpu_hours"] for item in found["items"]} == lines
    assert found["total"]["gpu_hours"] == total


def test_csv_leaves_gpu_hours_empty_where_nobody_can_tell(cast: Cast, history: None) -> None:
    hold(cast, MARCH)
    text = Api(cast.alice).get(f"/api/v1/usage?{SPAN}&group=key&format=csv").content.decode()
    assert text.splitlines()[1] == "ci,40,4,8,0,4000,400,0,4.938271560,"


def put(api: Api, price: dict[str, Any]) -> dict[str, Any]:
    response = api.call("PUT", "/api/v1/token-prices", price)
    assert response.status_code == 200, response.content
    return body_of(response)


def test_a_price_holds_until_the_next_of_the_same_subject(cast: Cast) -> None:
    make_model("small")
    api, cheap = Api(cast.operator), {"model": "small", "prompt": "0.5", "completion": "1.5"}
    first = put(api, cheap)
    assert put(api, cheap)["uid"] == first["uid"]
    soon = (timezone.now() + timedelta(days=1)).isoformat()
    later = put(api, {**cheap, "prompt": 9, "cached": "0.1", "valid_from": soon})
    assert (later["prompt"], later["cached"], later["model"], later["currency"]) == ("9.000000", "0.100000", "small", "USD")
    assert [row["uid"] for row in body_of(api.get("/api/v1/token-prices"))["items"]] == [later["uid"], first["uid"]]
    assert api.call("DELETE", f"/api/v1/token-prices/{later['uid']}").status_code == 204
    assert [entry.verb for entry in AuditEntry.objects.order_by("id")] == ["set price", "set price", "drop price"]


@pytest.mark.parametrize(("body", "field"), [
    ({"model": "small", "workspace": "alpha", "public_name": "x"}, ""), ({}, ""), ({"workspace": "alpha"}, ""),
    ({"public_name": "x"}, ""), ({"model": "none"}, "model"), ({"model": "small", "place": "none"}, "place"),
    ({"model": "small", "valid_from": "2020-01-01T00:00:00Z"}, "valid_from"),
    ({"model": "small", "prompt": -1}, "prompt"), ({"model": "small", "prompt": "1e9"}, "prompt"),
    ({"model": "small", "prompt": "NaN"}, "prompt"),
])
def test_a_price_without_a_subject_or_sense_is_refused(cast: Cast, body: dict[str, Any], field: str) -> None:
    make_model("small")
    response = Api(cast.operator).call("PUT", "/api/v1/token-prices", {"prompt": 1, "completion": 1, **body})
    assert response.status_code == 422, response.content
    assert body_of(response)["error"].get("field", "") in (field, f"body.data.{field}")
    assert not TokenPrice.objects.exists()


def test_prices_of_private_models_and_places_are_not_shown_to_strangers(cast: Cast) -> None:
    ours, shared = make_model("ours", workspace=cast.alpha), make_model("shared")
    place = make_cluster("alpha-only", workspace=cast.alpha)
    subjects: list[dict[str, Any]] = [
        {"model": ours}, {"model": shared}, {"model": shared, "cluster": place},
        {"workspace": cast.alpha, "public_name": "acme/chat"}]
    for subject in subjects:
        TokenPrice.objects.create(prompt=Decimal(1), completion=Decimal(1), **subject)
    seen = {name: len(body_of(Api(getattr(cast, name)).get("/api/v1/token-prices"))["items"])
            for name in ("operator", "vera", "charlie")}
    assert seen == {"operator": 4, "vera": 4, "charlie": 1}


def test_old_usage_is_forgotten_after_thirteen_months(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FORGOTTEN_AT_ONCE", 2)
    now = timezone.now()
    for days in (0, 390, 398, 399, 400):
        used(cast, now - timedelta(days=days))
        SpoolPosition.objects.create(spool=str(days), moved_at=now - timedelta(days=days))
    for days in (0, 1, 3, 400):
        TrafficMinute.objects.create(minute=now - timedelta(days=days), route_id=0, endpoint_id=1)
    assert forget_usage() == 3 + 3 + 2
    assert (UsageHour.objects.count(), SpoolPosition.objects.count(), TrafficMinute.objects.count()) == (2, 2, 2)
