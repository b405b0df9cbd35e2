"""Deploying in real Chromium: the plan follows each choice, errors stand at their field, a double click makes one endpoint."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from models_catalog.models import CatalogModel
from portal.tenancy.models import User
from tests.browser.conftest import Window
from tests.cast import GIB, Cast, make_cluster, make_host, make_model, make_profile, set_limit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LOOKS = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": {"width": 390, "height": 844}}}


def enter(window: Window, user: User) -> None:
    """Signed in without the sign-in page, which has tests of its own."""
    client = Client()
    client.force_login(user)
    window.page.context.add_cookies([{
        "name": settings.SESSION_COOKIE_NAME, "value": client.session.session_key or "", "url": window.address}])


def shot(window: Window, name: str) -> None:
    """A picture for people; the cursor stays, since hiding it takes a style that the pages' policy refuses."""
    if folder := os.environ.get("SCREENSHOTS"):
        window.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True, caret="initial")


@pytest.fixture
def shelf(cast: Cast) -> CatalogModel:
    """A model for GPUs and CPUs, and three places: with GPUs, without, and closed."""
    model = make_model("tiny-chat", parameters=8_200_000_000, context_tokens=32_768, licence="Apache-2.0",
                       weights_bytes=16 * GIB)
    make_profile("tiny-chat-cpu", model)
    make_profile("tiny-chat-gpu", model, name="Balanced", gpus=1, arguments={"max-model-len": 8192, "max-num-seqs": 64})
    make_profile("small-embed", make_model("small-embed", task="embedding", parameters=568_000_000))
    make_host(make_cluster("gpu-east", seen_at=timezone.now()), "gpu-1", gpus=2)
    make_host(make_cluster("rack-7", seen_at=timezone.now()), "cpu-1")
    make_cluster("far-away", kind=ClusterKind.KUBERNETES, paused=True, seen_at=timezone.now())
    set_limit(cast.alpha, gpus=3, endpoints=10)
    return model


@pytest.mark.parametrize("window", LOOKS.values(), ids=LOOKS, indirect=True)
def test_three_choices_make_an_endpoint(
    cast: Cast, shelf: CatalogModel, window: Window, request: pytest.FixtureRequest,
) -> None:
    page, look = window.page, request.node.callspec.id
    enter(window, cast.alice)
    window.open("/w/alpha/deploy/")
    shot(window, f"deploy-empty-{look}")
    page.select_option("#id_model", "tiny-chat")
    expect(page.locator("#title")).to_contain_text("fits in")
    expect(page.locator("#id_name")).to_have_value("tiny-chat")
    expect(page.get_by_label("far-away")).to_be_disabled()
    page.check("#id_place_gpu-east")
    expect(page.locator("#title")).to_contain_text("fits in gpu-east")
    expect(page.locator("#plan")).to_contain_text("replica 0")
    expect(page.locator("#folded")).to_contain_text("Engine arguments, 2 set")
    page.check("#id_size_2")
    expect(page.locator("#plan")).to_contain_text("replica 1")
    expect(page.locator("#plan")).to_contain_text(re.compile(r"0 \+ 2 of 3"))
    expect(page.locator("#id_size_4")).to_be_disabled()
    page.fill("#id_name", "docs chat")
    expect(page.locator("#error-name")).not_to_be_empty()
    expect(page.locator("#id_name")).to_have_attribute("aria-invalid", "true")
    shot(window, f"deploy-error-{look}")
    page.fill("#id_name", "docs-chat")
    expect(page.locator("#error-name")).to_be_empty()
    button = page.locator("button[value=deploy]")
    expect(button).to_be_enabled()
    shot(window, f"deploy-{look}")
    button.dblclick(no_wait_after=True)
    page.wait_for_url(re.compile(r"/w/alpha/endpoints/[0-9a-f-]{36}/$"))
    made = Endpoint.objects.get()
    assert (made.name, made.replicas, made.cluster.name, str(made.uid) in page.url) == ("docs-chat", 2, "gpu-east", True)


def test_arguments_are_found_and_kept_when_the_place_changes(cast: Cast, shelf: CatalogModel, window: Window) -> None:
    page = window.page
    enter(window, cast.bob)
    window.open("/w/alpha/deploy/?model=tiny-chat&place=gpu-east&size=1")
    expect(page.locator("#plan")).to_contain_text("replica 0")
    page.get_by_text("Engine arguments, 2 set").click()
    page.fill("#folded [data-searches]", "enable-prefix")
    wanted = page.locator("#id_arguments__enable-prefix-caching")
    expect(wanted).to_be_visible()
    wanted.select_option("true")
    page.fill("#folded [data-searches]", "max-model-len")
    page.fill("#id_arguments__max-model-len", "many")
    expect(page.locator("#error-arguments")).to_contain_text("max-model-len")
    shot(window, "deploy-arguments")
    page.fill("#id_arguments__max-model-len", "4096")
    expect(page.locator("#error-arguments")).to_be_empty()
    page.check("#id_place_rack-7")
    expect(page.locator("#title")).to_contain_text("fits in rack-7")
    expect(page.locator("#id_arguments__max-model-len")).to_have_value("4096")
    expect(page.locator("#id_arguments__enable-prefix-caching")).to_have_value("true")
    expect(page.locator("#id_arguments__max-num-seqs")).to_have_value("")


def test_an_endpoint_is_changed_by_a_plan(cast: Cast, shelf: CatalogModel, window: Window) -> None:
    page = window.page
    enter(window, cast.alice)
    window.open("/w/alpha/deploy/?model=tiny-chat&place=gpu-east")
    page.locator("button[value=deploy]").click()
    page.wait_for_url(re.compile(r"/endpoints/[0-9a-f-]{36}/$"))
    made = Endpoint.objects.get()
    window.open(f"/w/alpha/endpoints/{made.uid}/edit/")
    expect(page.locator("#plan")).to_contain_text("Nothing is changed yet")
    page.check("#id_size_2")
    expect(page.locator("#plan")).to_contain_text("1 + 1 of 3")
    shot(window, "edit")
    page.locator("button[value=deploy]").click()
    page.wait_for_url(re.compile(r"/endpoints/[0-9a-f-]{36}/$"))
    made.refresh_from_db()
    assert (made.replicas, made.generation) == (2, 2)
    window.open(f"/w/alpha/endpoints/{made.uid}/plan/")
    expect(page.get_by_role("button", name="Bring it into service")).to_be_visible()
    shot(window, "plan")


def test_without_a_place_the_page_says_what_to_do(cast: Cast, window: Window) -> None:
    assert not Cluster.objects.exists()
    enter(window, cast.alice)
    window.open("/w/alpha/deploy/")
    expect(window.page.get_by_role("heading", level=1)).to_contain_text("no place")
    shot(window, "deploy-no-place")
