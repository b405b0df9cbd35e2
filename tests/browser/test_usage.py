"""Usage and token prices in real Chromium: sums above the list, a price by form, a table to take away."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from endpoints.models import TokenPrice, UsageHour
from tests.browser.conftest import Window
from tests.cast import Cast, make_cast, make_model

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MODELS = ("acme/chat", "acme/embed", "team/assistant")


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """With three weeks of calls."""
    made, now = make_cast(), timezone.now().replace(minute=0, second=0, microsecond=0)
    random.seed(7)
    UsageHour.objects.bulk_create([
        UsageHour(hour=now - timedelta(hours=hours), workspace_id=made.alpha.pk, member_id=1, key_id=1, endpoint_id=number,
                  route_id=0, door=1, workspace_name="alpha", member_name="alice", key_name="ci",
                  endpoint_name=name.split("/")[1], model_name=name, requests=(calls := random.randint(5, 900)),
                  errors=calls // 90, refused=calls // 70, prompt_tokens=calls * 700, completion_tokens=calls * 90,
                  cost_nano=calls * 420_000)
        for number, name in enumerate(MODELS, 1) for hours in range(0, 500, 5 * number) if hours // 24 % 7 != 3])
    return made


def picture(window: Window, name: str) -> None:
    """For whoever wants to see it: PICTURES names a folder."""
    if folder := os.environ.get("PICTURES"):
        window.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_sums_stand_above_the_hours_and_follow_the_search(cast: Cast, window: Window) -> None:
    window.sign_in("operator")
    window.open("/admin/endpoints/usagehour/")
    charts = window.page.locator(".usage-charts > div")
    expect(charts).to_have_count(5)
    expect(window.page.locator(".usage-models tbody tr")).to_have_count(3)
    picture(window, "usage")
    boxes = [charts.nth(at).bounding_box() for at in range(5)]
    assert all(box and box["width"] > 150 and box["height"] > 40 for box in boxes)
    window.page.fill("input[name=q]", "team/assistant")
    window.page.keyboard.press("Enter")
    expect(window.page.locator(".usage-models tbody tr")).to_have_count(1)
    with window.page.expect_download() as taken:
        window.page.click("text=Table (CSV)")
    table = Path(taken.value.path()).read_text().splitlines()
    assert all(",team/assistant," in line for line in table[1:])
    assert len(table) > 10


def test_an_operator_sets_a_price(cast: Cast, window: Window) -> None:
    make_model("small", name="Small model")
    window.sign_in("operator")
    window.open("/admin/endpoints/tokenprice/add/")
    window.page.click("#select2-id_model-container")
    window.page.fill(".select2-search__field", "small")
    window.page.click(".select2-results__option:has-text('Small model')")
    window.page.fill("input[name=prompt]", "0.5")
    window.page.fill("input[name=completion]", "1.5")
    picture(window, "token-price")
    window.page.click("button[name=_save]")
    expect(window.page.locator("#result_list")).to_contain_text("Small model")
    assert TokenPrice.objects.get().counts
