"""Routes in real Chromium: a canary from the form to its return, on a page that draws itself anew."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from endpoints.models import Canary, Endpoint, Route
from endpoints.services.canaries import judge_canaries
from endpoints.services.route_wish import wish_of
from endpoints.services.routes import start_canary
from tests.browser.conftest import Window
from tests.cast import Cast
from tests.endpoints.routes_cast import count, make_end, make_route

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def route(cast: Cast) -> Route:
    blue, green, spare = (make_end(cast.alpha, name) for name in ("chat-hyperpod", "chat-hosts", "chat-sagemaker"))
    made = make_route(cast, "acme/chat", (blue, 70), (green, 30), fallbacks=(spare,), is_sticky=True)
    random.seed(5)
    now = timezone.now()
    for minutes in range(1, 30):
        at = now - timedelta(minutes=minutes)
        for endpoint, calls, wait in ((blue, 140, 0.15), (green, 60, 0.35)):
            if minutes % 11 == 10:
                continue  # nobody called
            slow = [wait * random.uniform(0.5, 1.5) for _call in range(calls)]
            count(made, endpoint, calls, errors=random.choice((0, 0, 1)), seconds=slow, at=at)
    return made


def picture(window: Window, name: str) -> None:
    """For whoever wants to see it: PICTURES names a folder."""
    if folder := os.environ.get("PICTURES"):
        window.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_canary_is_started_seen_and_returned(window: Window, cast: Cast, route: Route) -> None:
    page, trial = window.page, make_end(cast.alpha, "chat-new")
    window.sign_in("operator")
    window.open("/admin/endpoints/route/")
    expect(page.locator("#result_list")).to_contain_text("chat-hyperpod 70 %, chat-hosts 30 %")
    picture(window, "routes-list")
    window.open(f"/admin/endpoints/route/{route.pk}/change/")
    expect(page.get_by_text("Calls are shared among chat-hyperpod, chat-hosts.")).to_be_visible()
    picture(window, "route-shared")
    page.get_by_role("link", name="Start canary").click()
    page.locator("#id_endpoint").select_option(value=str(trial.pk))
    page.locator("#id_percent").fill("10")
    page.locator("#id_steps").fill("25, 50, 100")
    picture(window, "route-canary-form")
    page.get_by_role("button", name="Start canary acme/chat").click()
    expect(page.get_by_text("Start canary: 1 done.")).to_be_visible()
    canary = Canary.objects.get()
    assert (canary.endpoint, canary.percent, canary.steps) == (trial, 10, [25, 50, 100])
    # What gateways count from now on comes onto the open page by itself.
    count(route, trial, 60, errors=1, seconds=[0.2] * 59)
    expect(page.get_by_text("within its limits")).to_be_visible(timeout=15_000)
    picture(window, "route-on-trial")
    count(route, trial, 60, errors=60)
    judge_canaries()
    expect(page.get_by_text("chat-new gets no calls any more.").first).to_be_visible(timeout=15_000)
    page.reload()
    picture(window, "route-returned")
    page.get_by_role("link", name="Restore").last.click()
    page.get_by_role("button", name="Restore acme/chat").click()
    expect(page.get_by_text("Restore: 1 done.")).to_be_visible()
    assert not Canary.objects.exists()


def test_weights_are_changed_in_the_form(window: Window, cast: Cast, route: Route) -> None:
    page = window.page
    make_end(cast.alpha, "chat-more")
    window.sign_in("operator")
    window.open(f"/admin/endpoints/route/{route.pk}/change/")
    page.locator("#id_targets-0-weight").fill("20")
    page.get_by_role("link", name="Add another").click()
    page.locator("#id_targets-3-endpoint").select_option(label="chat-more · alpha-chat-more · In service")
    page.locator("#id_targets-3-weight").fill("50")
    picture(window, "route-form")
    page.get_by_role("button", name="Save", exact=True).click()
    picture(window, "route-saved")
    page.wait_for_url("**/endpoints/route/", timeout=5000)
    wish = wish_of(Route.objects.get())
    assert {share.endpoint.name: share.weight for share in wish.mains} == {
        "chat-hyperpod": 20, "chat-hosts": 30, "chat-more": 50}
    assert [one.name for one in wish.fallbacks] == ["chat-sagemaker"]


def test_a_route_is_made_from_its_first_endpoint(window: Window, cast: Cast) -> None:
    page = window.page
    make_end(cast.alpha, "chat")
    window.sign_in("operator")
    window.open("/admin/endpoints/route/add/")
    for field, text in (("workspace", "Alpha"), ("endpoint", "chat")):
        page.locator(f".field-{field} .select2-selection").click()
        page.locator(".select2-search__field").fill(text)
        page.locator(".select2-results__option", has_text=text).first.click()
    page.locator("#id_public_name").fill("acme/chat")
    picture(window, "route-add")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("All calls go to chat.")).to_be_visible()
    assert Endpoint.objects.get(route_targets__route__public_name="acme/chat").name == "chat"


def test_the_page_fits_a_phone(window: Window, cast: Cast, route: Route) -> None:
    window.page.set_viewport_size({"width": 390, "height": 844})
    window.page.emulate_media(color_scheme="dark")
    start_canary(cast.actor("alice"), route, make_end(cast.alpha, "chat-new"))
    window.sign_in("operator")
    for name, address in (("list", ""), ("page", f"{route.pk}/change/")):
        window.open(f"/admin/endpoints/route/{address}")
        picture(window, f"route-phone-{name}")
        assert window.page.evaluate("document.documentElement.scrollWidth") <= 391
