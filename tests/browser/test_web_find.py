"""“Find anything” in real Chromium, by keyboard alone: a key opens it, arrows choose, Enter goes there, Escape closes."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from endpoints.models import Endpoint
from endpoints.states import Status
from portal.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.test_web_pages import check_with_axe
from tests.cast import Cast
from tests.portal.world import make_world

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LOOKS = [pytest.param({}, id="light"), pytest.param({"color_scheme": "dark"}, id="dark"),
         pytest.param({"viewport": {"width": 390, "height": 844}, "has_touch": True}, id="phone")]


def enter(window: Window, user: User) -> None:
    client = Client()
    client.force_login(user)
    window.page.context.add_cookies([{
        "name": settings.SESSION_COOKIE_NAME, "value": client.session.session_key or "", "url": window.address}])


@pytest.mark.parametrize("window", LOOKS, indirect=True)
def test_a_page_away_by_keyboard(cast: Cast, window: Window, request: pytest.FixtureRequest) -> None:
    world, page, look = make_world(cast), window.page, request.node.callspec.id
    Endpoint.objects.update(status=Status.INSERVICE, ready_replicas=1)
    enter(window, cast.alice)
    window.open("/w/alpha/limits/")
    if look == "phone":
        page.locator(".topbar [data-finds]").click()
    else:
        page.keyboard.press("Control+k")
    box = page.get_by_role("combobox", name="What to find")
    expect(box).to_be_focused()
    page.keyboard.type("alpha")
    options = page.locator("#find [role=option]")
    expect(options).to_have_count(3)
    expect(page.locator("#find-said")).to_have_text("3 things match “alpha”")
    page.keyboard.press("ArrowUp")
    expect(options.nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "find-endpoints-1")
    window.shot(f"find-window.{look}")
    assert check_with_axe(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("dialog#find")).to_be_hidden()
    page.keyboard.press("Control+k")
    expect(box).to_be_focused()
    page.keyboard.type("alpha-ch")
    expect(options).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{window.address}/w/alpha/endpoints/{world.ours.uid}/")


def test_without_a_choice_enter_leads_to_the_page_of_all_that_was_found(cast: Cast, window: Window) -> None:
    make_world(cast)
    page = window.page
    enter(window, cast.operator)
    window.open("/w/-/limits/")
    page.keyboard.press("Control+k")
    page.keyboard.type("sk-abcdefghijklmnop-secret_secret")
    expect(page.get_by_role("combobox", name="What to find")).to_have_value("sk-abcdefghijklmnop")
    page.keyboard.press("Control+a")
    page.keyboard.type("chat")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/w/-/find/\?q=chat$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("3 things match “chat”")
    assert check_with_axe(page) == []
    window.shot("find-page")
    page.set_viewport_size({"width": 390, "height": 844})
    window.shot("find-page.phone")
    window.open("/w/-/find/?q=nothing-like-this")
    window.shot("find-nothing")
