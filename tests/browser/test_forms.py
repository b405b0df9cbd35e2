"""Engine options and triggers in real Chromium: what is searched is found, what is chosen shows its fields."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import expect

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact
from tests.browser.conftest import Window
from tests.cast import Cast, make_cluster
from tests.portal.world import World, make_world

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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


def choose(signed: Window, field: str, text: str) -> None:
    """Pick an entry of an autocomplete, as a person does."""
    page = signed.page
    page.wait_for_load_state("networkidle")  # the choice before may have asked for other options
    page.click(f".field-{field} .select2-selection")
    page.fill(".select2-container--open input.select2-search__field", text)
    page.click(f".select2-results__option:has-text('{text}')")


def test_the_options_of_a_place_come_with_the_choice_of_it(world: World, signed: Window) -> None:
    make_cluster("hyper", kind=ClusterKind.HYPERPOD)
    Artifact.objects.filter(pk=world.profile.artifact_id).update(kind=ArtifactKind.S3, location="s3://models/chat")
    page = signed.page
    signed.open("/admin/endpoints/endpoint/add/")
    field = page.locator("[id='id_options__kvCacheSpec.enableL2Cache']")
    expect(field).to_have_count(0)
    choose(signed, "workspace", "Alpha")
    choose(signed, "profile", str(world.profile))
    choose(signed, "cluster", "hyper")
    expect(field).to_have_count(1)
    expect(field).to_be_hidden()
    page.fill(".field-options [data-options-search]", "l2cache")
    expect(field).to_be_visible()
    field.select_option("true")
    page.fill("#id_name", "hyper-chat")
    page.fill(".field-options [data-options-search]", "")
    page.click("text=Where it runs")
    page.fill("#id_options__instanceType", "ml.g5.8xlarge")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/place-options.png", full_page=True)
    page.click("[name=_save]")
    refusal = page.locator(".option:has([id='id_options__kvCacheSpec.l2CacheSpec.l2CacheBackend']) .notice")
    expect(refusal).to_be_visible()
    expect(page.locator("#id_options__instanceType")).to_have_value("ml.g5.8xlarge")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/place-options-refused.png", full_page=True)
    page.locator("[id='id_options__kvCacheSpec.enableL2Cache']").select_option("")
    page.click("[name=_save]")
    page.wait_for_url("**/deploy/")
    assert Endpoint.objects.get(name="hyper-chat").wanted.spec["options"] == {"instanceType": "ml.g5.8xlarge"}
