"""Load tests in Chromium: what it will use while it is typed, a start, charts that grow, cancel, two runs beside each other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as project
from django.test import Client
from playwright.sync_api import expect

from endpoints.loadtests.states import Ending, RunState
from endpoints.models import LoadTest
from endpoints.services.token_prices import set_price
from tests.browser.conftest import Window
from tests.browser.test_web_pages import check_with_axe
from tests.cast import Cast, set_limit
from tests.endpoints.loadtest_cast import make_run, make_serving, measured

FORM = "model=tiny-chat&mode=rate&rate=2&seconds=60&prompt_tokens=256&output_tokens=128"
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed_in(window: Window, cast: Cast) -> Window:
    client = Client()
    client.force_login(cast.bob)
    window.page.context.add_cookies([{"name": project.SESSION_COOKIE_NAME, "value": client.session.session_key or "",
                                      "url": window.address}])
    return window


def test_what_it_will_use_follows_what_is_typed(cast: Cast, signed_in: Window) -> None:
    page = signed_in.page
    make_serving(cast.alpha)
    set_price(cast.actor("operator"), workspace=cast.alpha, public_name="tiny-chat", prompt=Decimal(1), completion=Decimal(4))
    set_limit(cast.alpha, tokens_per_month=1_000_000, requests_per_minute=200)
    signed_in.open("/w/alpha/loadtests/")
    page.get_by_role("link", name="Run the first one").click()
    page.get_by_label("Model name for callers").fill("tiny-chat")
    estimate = page.locator("#estimate")
    expect(estimate).to_contain_text("about 120")
    page.locator("#id_rate").fill("4")
    expect(estimate).to_contain_text("about 240")
    expect(estimate).to_contain_text("Calls beyond it are refused")
    signed_in.shot("loadtest-new")
    page.locator("#id_mode_1").check()
    expect(page.locator("#id_callers")).to_be_visible()
    expect(estimate).to_contain_text("at most")
    page.get_by_role("button", name="Start the load test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Run 1 waits for its turn")
    assert LoadTest.objects.get().callers == 4


def test_a_run_moves_is_cancelled_and_compared(cast: Cast, signed_in: Window) -> None:
    page = signed_in.page
    other = make_run(cast.alpha, cast.alice, result={"first": 0.4})
    summary, series = measured(30)
    run = make_run(cast.alpha, cast.bob, state=RunState.RUNNING, goal_first_ms=800, summary=summary, series=series)
    signed_in.open(f"/w/alpha/loadtests/{run.uid}/")
    expect(page.locator(".plot canvas")).to_have_count(5)
    expect(page.locator("#live")).to_contain_text("150 calls answered")
    signed_in.shot("loadtest-running")
    summary, series = measured(45, failing=0.05)
    LoadTest.objects.filter(pk=run.pk).update(summary=summary, series=series)
    expect(page.locator("#live")).to_contain_text(f"{summary['done']} calls answered")
    expect(page.locator(".plot canvas")).to_have_count(5)
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("Run 2 ends within two seconds.")).to_be_visible()
    run.refresh_from_db()
    assert run.stop_asked_at is not None
    LoadTest.objects.filter(pk=run.pk).update(state=RunState.CANCELLED, ending=Ending.CANCELLED)
    expect(page.get_by_role("heading", level=1)).to_have_text("Run 2 was cancelled")  # the page asks for itself once more
    page.get_by_label("Compare with").select_option(str(other.uid))
    expect(page.get_by_role("row", name="First token")).to_contain_text("faster")
    expect(page.locator(".plot canvas")).to_have_count(5)
    signed_in.shot("loadtest-compared")
    page.get_by_label("Notes").fill("with the new card")
    page.get_by_role("button", name="Keep the notes").click()
    expect(page.get_by_text("The notes are kept.")).to_be_visible()


@pytest.mark.parametrize("window", [
    {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}},
], indirect=True, ids=["dark", "phone"])
def test_every_page_is_whole_in_the_dark_and_on_a_phone(cast: Cast, signed_in: Window, request: Any) -> None:
    page, look = signed_in.page, request.node.callspec.id
    make_serving(cast.alpha)
    other = make_run(cast.alpha, cast.alice, result={"first": 0.4}, notes="before the new card")
    run = make_run(cast.alpha, cast.bob, goal_first_ms=300, result={"failing": 0.02}, mode="callers", callers=8)
    make_run(cast.alpha, cast.bob, state=RunState.STOPPED, ending=Ending.ERRORS, result={"failing": 0.6, "seconds": 9})
    for name, path in (("list", ""), ("new", f"new/?{FORM}"),
                       ("run", f"{run.uid}/?with={other.uid}"), ("delete", f"{run.uid}/delete/")):
        signed_in.open(f"/w/alpha/loadtests/{path}")
        expect(page.locator("h1")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0, name
        assert check_with_axe(page) == [], name
        signed_in.shot(f"loadtest-{name}.{look}")
