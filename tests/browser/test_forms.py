"""Engine options and triggers in real Chromium: what is searched is found, what is chosen shows its fields."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import expect

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from tests.browser.conftest import Window
from tests.cast import Cast, make_cast
from tests.portal.world import World, make_world

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.fixture
def signed(world: World, window: Window) -> Window:
    window.sign_in("operator")
    return window


def test_an_option_is_found_by_searching_and_reaches_the_revision(world: World, signed: Window) -> None:
    page = signed.page
    signed.open(f"/admin/endpoints/endpoint/{world.ours.pk}/change/")
    field = page.locator("#id_arguments__max-num-seqs")
    expect(field).to_be_hidden()
    page.fill("[data-options-search]", "sequences computed")
    expect(field).to_be_visible()
    expect(page.locator("#id_arguments__dtype")).to_be_hidden()
    field.fill("8")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/options.png", full_page=True)
    page.fill("[data-options-search]", "--device")
    expect(page.locator("text=choose a profile with a CPU release")).to_be_visible()
    page.click("[name=_save]")
    page.wait_for_load_state("networkidle")
    assert Endpoint.objects.get(pk=world.ours.pk).wanted.spec["arguments"]["max-num-seqs"] == 8


def test_a_trigger_shows_the_fields_of_its_type(world: World, signed: Window) -> None:
    Cluster.objects.filter(pk=world.ours.cluster_id).update(kind=ClusterKind.KUBERNETES)
    page = signed.page
    signed.open(f"/admin/endpoints/endpoint/{world.ours.pk}/autoscale/")
    queue, redis = page.locator("#id_triggers__0__prometheus__threshold"), page.locator("#id_triggers__0__redis__listName")
    expect(queue).to_be_hidden()
    page.select_option("#id_triggers__0__type", "redis")
    expect(redis).to_be_visible()
    page.select_option("#id_triggers__0__type", "prometheus")
    expect(redis).to_be_hidden()
    expect(queue).to_be_visible()
    page.select_option("#id_triggers__0__prometheus__signal", "waiting")
    queue.fill("5")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/autoscale.png", full_page=True)
    page.fill("#id_triggers__0__prometheus__serverAddress", "http://prometheus:9090")
    page.click("button[type=submit].primary")
    page.wait_for_load_state("networkidle")
    if "preview_word" in page.content():
        page.click("button[type=submit].primary")
        page.wait_for_load_state("networkidle")
    assert Endpoint.objects.get(pk=world.ours.pk).autoscale["triggers"][0]["metadata"]["signal"] == "waiting"
