"""Alert channels in real Chromium: from the form over the secret, which is shown once, to the log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from endpoints.models import AlertChannel, Delivery
from tests.browser.conftest import Window
from tests.cast import Cast

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_webhook_is_made_tested_and_its_log_read(cast: Cast, window: Window) -> None:
    page = window.page
    window.sign_in("operator")
    window.open("/admin/endpoints/alertchannel/add/")
    page.locator(".select2-selection").first.click()
    page.locator(".select2-results__option", has_text="Alpha").click()
    page.fill("#id_name", "Operations")
    page.select_option("#id_kind", "webhook")
    page.fill("#id_url", "https://hooks.example/portal")
    window.shot("alert-form")
    page.click("button[name=_save], input[name=_save]")
    secret = page.get_by_text("whsec_").first
    expect(secret).to_be_visible()
    window.shot("alert-secret")
    channel = AlertChannel.objects.get()
    for threshold, state, error in ((50, "sent", ""), (80, "failed", "status 500"), (100, "waiting", "timeout")):
        Delivery.objects.create(
            channel=channel, limit_id=1, subject="Alpha · member bob", quantity="tokens_per_month", window="2026-11",
            threshold=threshold, used=10_000 * threshold, most=1_000_000, state=state, error=error,
            tries={"sent": 1, "failed": 6}.get(state, 2), sent_at=timezone.now() if state == "sent" else None,
            next_try_at=timezone.now() + timedelta(minutes=9))
    window.open(f"/admin/endpoints/alertchannel/{channel.pk}/change/")
    expect(page.get_by_text("Alpha · member bob: 80 % of the limit is used.")).to_be_visible()
    window.shot("alert-channel")
    page.get_by_role("link", name="Send a test").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("Send a test: 1 started.")).to_be_visible()
    expect(page.get_by_text("This is a test of the alert channel Operations.")).to_be_visible()
    window.open("/admin/endpoints/alertchannel/")
    window.shot("alert-channels")
    window.open("/admin/endpoints/delivery/")
    window.shot("alerts-sent")
