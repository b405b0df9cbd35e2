"""Keys, members, limits, usage and the audit in real Chromium: the whole of what a person does there, wide and on a phone."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from endpoints.models import GpuHour, UsageHour
from portal.tenancy import services
from portal.tenancy.models import ApiKey, LimitKind
from tests.browser.conftest import Window
from tests.cast import Cast, make_cast, set_limit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGES = ("keys", "keys/new", "members", "limits", "limits/new", "usage", "audit")
MODELS = ("qwen3-8b-chat", "llama-70b-assist", "bge-reranker-v2-m3", "minilm-embed", "tiny-chat")


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """With keys of several ages, limits, a month of calls, and what all of that left in the audit."""
    made, now = make_cast(), timezone.now()
    for who, name, values in (
        ("alice", "search-prod", {"last_used_at": now - timedelta(seconds=4)}),
        ("bob", "ci-deploy", {"expires_at": now + timedelta(days=3), "last_used_at": now - timedelta(days=2)}),
        ("bob", "intern-demo", {"created_at": now - timedelta(days=50), "last_used_at": now - timedelta(days=41)}),
    ):
        key, _text = services.create_key(made.actor(who), made.alpha, name=name, model_names=MODELS[:2])
        ApiKey.objects.filter(pk=key.pk).update(**values)
    set_limit(made.alpha, money_per_month=Decimal(9000), tokens_per_month=400_000_000, requests_per_minute=20_000, gpus=14)
    set_limit(made.alpha, LimitKind.KEY, of={"key": key}, requests_per_minute=60)
    set_limit(made.alpha, LimitKind.MODEL, of={"model_name": MODELS[0]}, tokens_per_month=120_000_000)
    services.set_member(made.actor("alice"), made.alpha, made.vera, "developer")
    fill_usage(made)
    return made


def fill_usage(made: Cast) -> None:
    draw, now = random.Random(7), timezone.now().replace(minute=0, second=0, microsecond=0)
    UsageHour.objects.bulk_create([
        UsageHour(hour=now - timedelta(hours=hours), workspace_id=made.alpha.pk, member_id=1 + number % 2, key_id=number,
                  endpoint_id=number, route_id=0, door=1, workspace_name="alpha", member_name=("alice", "bob")[number % 2],
                  key_name=f"key-{number}", endpoint_name=name, model_name=name, requests=(calls := draw.randint(5, 900)),
                  errors=calls // 90, refused=calls // 70, prompt_tokens=calls * 700, completion_tokens=calls * 90,
                  cost_nano=calls * 42_000_000)
        for number, name in enumerate(MODELS, 1) for hours in range(0, 700, 3 + number)])
    GpuHour.objects.bulk_create([
        GpuHour(hour=now - timedelta(hours=hours), workspace_id=made.alpha.pk, endpoint_id=number, workspace_name="alpha",
                endpoint_name=name, model_name=name, place_name="hosts", gpu_seconds=3600 * number)
        for number, name in enumerate(MODELS, 1) for hours in range(0, 700, 5)])


def enter(window: Window, cast: Cast, name: str) -> None:
    """As somebody who signed in before."""
    client = Client()
    client.force_login(getattr(cast, name))
    window.page.context.add_cookies([{
        "name": django_settings.SESSION_COOKIE_NAME, "value": client.session.session_key, "url": window.address}])


def test_a_key_is_made_copied_and_gone(cast: Cast, window: Window) -> None:
    page = window.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    enter(window, cast, "alice")
    window.open("/w/alpha/keys/")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 key ends within 7 days")
    page.click("text=Make a key")
    page.fill("input[name=name]", "docs-search")
    page.get_by_role("button", name="Make the key").click()
    shown = page.locator("#new-key")
    expect(shown).to_have_text(re.compile(r"^sk-[a-z0-9]{16}-[A-Za-z0-9_-]{43}$"))
    text = shown.inner_text()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == text
    page.get_by_role("button", name="Copy as .env").click()
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.includes('OPENAI_API_KEY='))")
    page.click("text=I have it")
    expect(page.locator("tbody")).to_contain_text("docs-search")
    page.go_back()
    expect(page.get_by_role("button", name="Make the key")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(text)


def test_keys_are_chosen_and_revoked_after_a_question(cast: Cast, window: Window) -> None:
    page = window.page
    enter(window, cast, "alice")
    window.open("/w/alpha/keys/")
    button = page.get_by_role("button", name="Revoke the chosen keys")
    expect(button).to_be_disabled()
    page.get_by_label("Choose ci-deploy").check()
    page.get_by_label("Choose intern-demo").check()
    expect(page.get_by_text("2 keys chosen")).to_be_visible()
    window.shot("keys-chosen")
    button.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What uses these 2 keys is refused from then on")
    window.shot("keys-revoke")
    page.get_by_role("button", name="Revoke 2 keys").click()
    expect(page.get_by_text("2 keys are revoked")).to_be_visible()
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


def test_usage_is_narrowed_by_clicks_and_taken_away(cast: Cast, window: Window) -> None:
    page = window.page
    enter(window, cast, "vera")
    window.open("/w/alpha/usage/?span=30d")
    expect(page.locator("svg[role=img][aria-label*='the last day with calls']")).to_be_visible()
    box = page.locator(".chart.big svg rect.f-1").first.bounding_box()
    assert box is not None
    assert box["height"] > 1
    with page.expect_download() as taken:
        page.get_by_role("link", name="XLSX").click()
    assert taken.value.suggested_filename.endswith(".xlsx")
    page.get_by_role("link", name=MODELS[0]).click()
    expect(page.locator(".chip.on")).to_contain_text(MODELS[0])
    expect(page.locator("tbody tr").first).to_be_visible()
    page.locator(".chip.on").click()
    expect(page.locator(".chip.on")).to_have_count(0)


def test_a_limit_is_set_and_the_audit_tells_it(cast: Cast, window: Window) -> None:
    page = window.page
    enter(window, cast, "alice")
    window.open("/w/alpha/limits/new/?kind=member")
    page.select_option("select[name=member]", label="bob")
    page.fill("input[name=requests_per_minute]", "60")
    page.get_by_role("button", name="Set the limit").click()
    expect(page.locator("tbody")).to_contain_text("bob")
    window.open("/w/alpha/audit/?kind=tenancy.limit")
    page.locator("details.change summary").first.click()
    expect(page.locator("details.change .will").first).to_be_visible()
    window.shot("audit-open")


@pytest.mark.parametrize(("kind", "dark", "width"), [("wide", False, 1440), ("dark", True, 1440), ("phone", False, 390)])
def test_pages_stand_in_every_light_and_width(cast: Cast, window: Window, kind: str, dark: bool, width: int) -> None:
    page = window.page
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": width, "height": 900})
    enter(window, cast, "alice")
    for name in PAGES:
        window.open(f"/w/alpha/{name}/")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        window.shot(f"{name.replace('/', '-')}-{kind}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the window"
