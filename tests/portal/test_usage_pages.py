"""The pages of usage and of token prices: sums that follow the filters, CSV in the person's scope, prices by form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from endpoints.models import GpuHour, TokenPrice, UsageHour
from endpoints.services import usage
from portal.tenancy.models import AuditEntry, User
from tests.cast import Cast, make_model
from tests.portal.conftest import signed_in
from tests.portal.world import World, make_usage, make_world

pytestmark = pytest.mark.both_databases
LIST, CSV, ADD = "/admin/endpoints/usagehour/", "/admin/endpoints/usagehour/csv/", "/admin/endpoints/tokenprice/add/"


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def total(client: Client, query: str = "") -> int | None:
    found: Any = client.get(f"{LIST}?{query}").context_data  # type: ignore[attr-defined]
    return found["total"].of("requests") if found["total"] else None


def test_sums_follow_filters_and_search(world: World, operator: Client) -> None:
    old = make_usage(world.ours, world.their_key)
    UsageHour.objects.filter(pk=old.pk).update(hour=timezone.now() - timedelta(days=60), requests=100)
    assert total(operator) == 6
    assert total(operator, "period=90d") == 106
    assert total(operator, f"workspace={world.cast.beta.pk}") == 3
    assert total(operator, "q=alpha-chat") == 3
    assert total(operator, "q=nothing") is None


def test_the_picture_has_a_bar_for_each_day_with_calls(world: World, operator: Client) -> None:
    old = make_usage(world.ours, world.their_key)
    UsageHour.objects.filter(pk=old.pk).update(hour=timezone.now() - timedelta(days=9))
    answer: Any = operator.get(LIST)
    requests = answer.context_data["charts"][0]
    assert (answer.context_data["wide"], requests.bars.count("z")) == (40, 2)
    assert (requests.value, answer.context_data["charts"][3].value) == ("9", "7.5000")
    page = answer.content.decode()
    assert "alpha-chat" in page
    assert "cost in USD" in page


def test_the_table_has_what_the_list_shows_and_no_neighbours(world: World, staff: Callable[..., User]) -> None:
    answer = signed_in(staff("mallory", world.cast.alpha, "view_usagehour")).get(CSV)
    assert answer["Content-Type"].startswith("text/csv")
    head, *lines = answer.content.decode().splitlines()
    assert head.startswith("day,workspace,model,endpoint,key,member,address,requests,")
    day = f"{timezone.now():%Y-%m-%d}"
    counts = "3,0,0,0,1000,50,0,2.500000000,0.0000"
    assert lines == [f"{day},alpha,alpha-chat,alpha-chat,alpha key,alice,/v1/chat/completions,{counts}"]


def hold(world: World, workspace: str, name: str, seconds: int) -> None:
    row = getattr(world.cast, workspace)
    GpuHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=row.pk, endpoint_id=len(name),
        workspace_name=workspace, endpoint_name=name, model_name=name, place_name="shared", gpu_seconds=seconds)


@pytest.mark.parametrize(("query", "hours", "of_models"), [
    ("", "3.5", {"alpha-chat": "1.5", "idle": "2.0"}),
    ("q=alpha-chat", "1.5", {"alpha-chat": "1.5"}),
    ("q=idle", "2.0", {"idle": "2.0"}),
    ("q=%22alpha+key%22", None, {"alpha-chat": "–"}),
])
def test_gpu_hours_stand_in_the_picture_and_with_the_models(
        world: World, operator: Client, query: str, hours: str | None, of_models: dict[str, str]) -> None:
    hold(world, "alpha", "alpha-chat", 5400)
    hold(world, "alpha", "idle", 7200)
    answer: Any = operator.get(f"{LIST}?workspace={world.cast.alpha.pk}&{query}")
    charts = {chart.label: chart.value for chart in answer.context_data["charts"]}
    assert charts.get("GPU hours") == hours
    assert {row[0]: row[4] for row in answer.context_data["models"]} == of_models


def test_gpu_hours_are_lines_of_the_table_and_no_neighbours(world: World, staff: Callable[..., User]) -> None:
    hold(world, "alpha", "idle", 5400)
    hold(world, "beta", "beta-secret", 7200)
    answer = signed_in(staff("mallory", world.cast.alpha, "view_usagehour")).get(CSV)
    lines = answer.content.decode().splitlines()
    assert lines[-1] == f"{timezone.now():%Y-%m-%d},alpha,idle,idle,,,,0,0,0,0,0,0,0,0.000000000,1.5000"
    assert "beta-secret" not in answer.content.decode()


def test_the_table_needs_the_right_to_see_usage(world: World, staff: Callable[..., User]) -> None:
    assert signed_in(staff("dora", world.cast.alpha, "view_endpoint")).get(CSV)["Location"] == "/admin/"


def test_a_table_that_is_too_long_sends_back(
        world: World, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST_LINES", 1)
    answer = operator.get(f"{CSV}?period=7d")
    assert answer["Location"] == f"{LIST}?period=7d"


def form(**values: str) -> dict[str, str]:
    empty = ("model", "workspace", "public_name", "cluster", "cached", "valid_from_0", "valid_from_1")
    return {**dict.fromkeys(empty, ""), "prompt": "0.5", "completion": "1.5", **values}


def test_an_operator_adds_a_price_that_holds_at_once(cast: Cast, operator: Client) -> None:
    model = make_model("small")
    assert operator.post(ADD, form(model=str(model.pk))).status_code == 302
    row = TokenPrice.objects.get()
    assert (row.model, row.prompt, row.cached, row.counts) == (model, Decimal("0.5"), None, True)
    assert AuditEntry.objects.get(verb="set price").after["completion"] in ("1.5", "1.500000")
    page = operator.get("/admin/endpoints/tokenprice/").content.decode()
    assert "everywhere else" in page


def test_a_price_may_begin_later(cast: Cast, operator: Client) -> None:
    model, then = make_model("small"), timezone.now() + timedelta(days=2)
    operator.post(ADD, form(model=str(model.pk), valid_from_0=f"{then:%Y-%m-%d}", valid_from_1="00:00:00"))
    assert not TokenPrice.objects.get().counts
    assert "to come" in operator.get("/admin/endpoints/tokenprice/").content.decode()


@pytest.mark.parametrize(("values", "words"), [
    ({}, "Choose a model, or a workspace"), ({"public_name": "x"}, "Choose a model, or a workspace"),
    ({"prompt": "-1", "public_name": "x"}, "greater than or equal to 0"),
])
def test_a_form_without_sense_comes_back_with_words(cast: Cast, operator: Client, values: dict[str, str], words: str) -> None:
    page = operator.post(ADD, form(**values))
    assert page.status_code == 200
    assert words in page.content.decode()
    assert not TokenPrice.objects.exists()


def test_a_price_is_dropped_by_operators_only(world: World, operator: Client, staff: Callable[..., User]) -> None:
    row = TokenPrice.objects.earliest("pk")
    address = f"/admin/endpoints/tokenprice/{row.pk}/delete/"
    rights = ("view_tokenprice", "add_tokenprice", "delete_tokenprice")
    dora = signed_in(staff("dora", world.cast.alpha, *rights))
    assert dora.post(address, {"post": "yes"}).status_code == 403
    assert dora.get(ADD).status_code == 403
    assert operator.post(address, {"post": "yes"}).status_code == 302
    assert not TokenPrice.objects.filter(pk=row.pk).exists()
    assert AuditEntry.objects.filter(verb="drop price").count() == 1
