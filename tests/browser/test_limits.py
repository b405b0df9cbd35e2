"""Limits in real Chromium: made in the form, then seen with how far each quantity is used."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from endpoints.models import UsageHour
from endpoints.services.limits import create_limit
from portal.tenancy.models import Limit
from tests.browser.conftest import Window
from tests.cast import Cast

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_limit_is_made_and_shows_how_far_it_is_used(cast: Cast, window: Window) -> None:
    page = window.page
    window.sign_in("operator")
    window.open("/admin/tenancy/limit/add/")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-results__option", has_text="Alpha").click()
    page.select_option("#id_kind", "model")
    page.fill("#id_model_name", "tiny-chat")
    page.fill("#id_requests_per_minute", "600")
    page.fill("#id_tokens_per_month", "1000000")
    page.fill("#id_money_per_month", "250")
    page.fill("#id_gpus", "4")
    window.shot("limit-form")
    page.click("button[name=_save], input[name=_save]")
    expect(page.locator("#result_list")).to_be_visible()
    row = Limit.objects.get()
    UsageHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=cast.alpha.pk, member_id=1, key_id=1,
        endpoint_id=0, route_id=0, door=0, model_name="tiny-chat", prompt_tokens=600_000, completion_tokens=150_000,
        cost_nano=100_500_000_000)
    create_limit(cast.actor("operator"), cast.alpha, kind="workspace", concurrent_requests=5, money_per_month=Decimal(1000))
    window.open("/admin/tenancy/limit/")
    expect(page.locator("#result_list").get_by_text("75 %")).to_be_visible()
    window.shot("limits")
    window.open(f"/admin/tenancy/limit/{row.pk}/change/")
    used = page.locator("tr", has_text="Money a month")
    expect(used).to_contain_text("100.5")
    expect(used.locator("rect.f-seen")).to_have_attribute("width", "40.2%")
    window.shot("limit")
