"""The admin in real Chromium: sign in, deploy, confirm, and see a state change without reload."""

from __future__ import annotations

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from endpoints.models import Endpoint
from tests.browser.conftest import Window
from tests.cast import Cast
from tests.portal.world import World, make_world

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.fixture
def signed(world: World, window: Window) -> Window:
    window.sign_in("operator")
    return window


def test_every_kind_of_page_runs_without_a_refused_script(world: World, signed: Window) -> None:
    for path in ("/admin/", "/admin/endpoints/endpoint/", f"/admin/endpoints/endpoint/{world.ours.pk}/change/",
                 "/admin/endpoints/endpoint/add/", f"/admin/endpoints/endpoint/{world.ours.pk}/stop/",
                 "/admin/clusters/cluster/", f"/admin/clusters/cluster/{world.shared.pk}/change/",
                 f"/admin/clusters/host/{world.host.pk}/change/", "/admin/clusters/engine/", "/admin/tenancy/apikey/add/",
                 f"/admin/tenancy/workspace/{world.cast.alpha.pk}/change/", "/admin/tenancy/auditentry/",
                 f"/admin/tenancy/user/{world.cast.alice.pk}/password/", "/admin/models_catalog/catalogmodel/"):
        signed.open(path)
        signed.page.wait_for_load_state("networkidle")
        assert signed.faults == [], path


def choose(window: Window, label: str, text: str) -> None:
    """Pick an option of a chooser by typing, as a person does."""
    page = window.page
    page.locator(f"label:has-text('{label}') >> xpath=ancestor::div[contains(@class,'group')][1]").locator(
        ".select2-selection").first.click()
    page.locator(".select2-search__field").fill(text)
    page.locator(".select2-results__option--highlighted, .select2-results__option[aria-selected]").filter(
        has_text=text).first.click()


def test_a_model_is_deployed_through_the_form(world: World, signed: Window) -> None:
    signed.open("/admin/endpoints/endpoint/add/")
    page = signed.page
    choose(signed, "Workspace", "Alpha")
    choose(signed, "Profile", "Tiny")
    choose(signed, "Place", "shared")
    page.fill("input[name=name]", "Wrong Name")
    page.click("button[name=_save]")
    expect(page.get_by_text("lower-case letters").first).to_be_visible()
    assert page.input_value("input[name=name]") == "Wrong Name"
    page.fill("input[name=name]", "from-the-browser")
    page.click("button[name=_save]")
    expect(page.get_by_role("link", name="from-the-browser").first).to_be_visible()
    row = Endpoint.objects.get(name="from-the-browser")
    assert (row.workspace_id, row.cluster_id, row.wish) == (world.cast.alpha.pk, world.shared.pk, "running")


def test_rows_are_stopped_through_the_list(world: World, signed: Window) -> None:
    signed.open("/admin/endpoints/endpoint/")
    page = signed.page
    for row in (world.ours, world.theirs):
        page.check(f"input.action-select[value='{row.pk}']")
    page.select_option("select[name=action]", "stop")
    page.locator("button[name=index]").click()
    expect(page.get_by_role("heading", name="Stop: 2 endpoints")).to_be_visible()
    assert Endpoint.objects.filter(wish="stopped").count() == 0
    page.get_by_role("button", name="Stop 2 endpoints").dblclick()
    expect(page.get_by_text("Stop: 2 started.")).to_be_visible()
    assert set(Endpoint.objects.values_list("wish", "generation")) == {("stopped", 2)}


@pytest.mark.parametrize("path", ["", "change/"])
def test_a_badge_follows_the_row_without_reload(world: World, signed: Window, path: str) -> None:
    signed.open(f"/admin/endpoints/endpoint/{f'{world.ours.pk}/change/' if path else ''}")
    page = signed.page
    page.evaluate("window.notReloaded = true")
    part = "head" if path else "status"
    badge = page.locator(f"[data-live-id='{world.ours.pk}'][data-live-part='{part}'] .status").first
    expect(badge).to_contain_text("Pending")
    Endpoint.objects.filter(pk=world.ours.pk).update(status="INSERVICE", seen_at=timezone.now(), ready_replicas=1)
    expect(badge).to_contain_text("In service", timeout=10_000)
    expect(badge.locator("time")).to_contain_text("ago")
    assert page.evaluate("window.notReloaded")


def test_a_detail_action_works_by_keyboard(world: World, signed: Window) -> None:
    signed.open(f"/admin/endpoints/endpoint/{world.ours.pk}/scale/")
    page = signed.page
    page.fill("input[name=replicas]", "2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What will change")).to_be_visible()
    page.focus("input[name=replicas]")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Scale: 1 started.")).to_be_visible()
    assert Endpoint.objects.get(pk=world.ours.pk).replicas == 2


@pytest.mark.parametrize("window", [{"color_scheme": "dark"}], indirect=True)
def test_the_dark_theme_follows_the_machine(world: World, signed: Window) -> None:
    ground = signed.page.evaluate("getComputedStyle(document.querySelector('.sheet')).backgroundColor")
    assert ground == "rgb(20, 28, 31)"


@pytest.mark.parametrize("path", ["/admin/", "/admin/endpoints/endpoint/", "/admin/clusters/host/", "/admin/endpoints/event/"])
def test_nothing_overlaps_or_overflows_on_a_phone(world: World, signed: Window, path: str) -> None:
    signed.page.set_viewport_size({"width": 390, "height": 844})
    signed.open(path)
    signed.page.wait_for_load_state("networkidle")
    spilled = signed.page.evaluate("""() => [...document.querySelectorAll("#result_list .data-row")].filter(row =>
        [...row.children].some(cell => cell.getBoundingClientRect().bottom > row.getBoundingClientRect().bottom + 1)).length""")
    assert spilled == 0
    assert signed.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
