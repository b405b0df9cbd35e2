"""Signing in, in Chromium: password, company account through the whole redirect dance, app, passkey, sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import expect

from portal.tenancy import invitations
from portal.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.test_web_pages import check_with_axe
from tests.cast import Cast
from tests.rig.oidc import Provider, running_provider

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


def enter(window: Window, name: str = "alice", path: str = "/account/login/") -> None:
    window.open(path)
    window.page.fill("#login", name)
    window.page.fill("#password", f"{name}-Secret-1")
    window.page.get_by_role("button", name="Sign in", exact=True).click()


def test_password_app_and_recovery_codes(cast: Cast, window: Window) -> None:
    page = window.page
    window.open("/w/alpha/keys/")
    window.shot("sign-in")
    page.fill("#login", "alice@example.org")
    page.fill("#password", "alice-Secret-1")
    page.press("#password", "Enter")
    page.wait_for_url(f"{window.address}/w/alpha/keys/")
    page.get_by_role("link", name="Account of alice").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("password alone")
    window.shot("account")
    page.get_by_role("link", name="Add an app").click()
    page.fill("#password", "alice-Secret-1")
    window.shot("is-it-you")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("Type it in instead").click()
    secret = page.locator("details code").inner_text()
    window.shot("app")
    page.fill("#code", format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.locator("#recovery")).to_be_visible()
    window.shot("codes")
    codes = page.locator("#recovery").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("link", name="I have saved them").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("second factor")
    page.locator("main").get_by_role("button", name="Sign out").last.click()
    enter(window)
    window.shot("second")
    page.fill("#code", codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{window.address}/w/alpha/")


def test_a_passkey_is_made_and_opens_the_door(cast: Cast, window: Window) -> None:
    page = window.page
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True}})
    enter(window, path="/account/login/?next=/account/")
    page.get_by_role("link", name="Add a passkey").click()
    page.fill("#password", "alice-Secret-1")
    page.get_by_role("button", name="Go on").click()
    page.fill("#name", "The laptop")
    window.shot("passkey")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.locator("#recovery")).to_be_visible()
    page.get_by_role("link", name="I have saved them").click()
    expect(page.get_by_text("The laptop").first).to_be_visible()
    window.shot("account-with-passkey")
    page.locator("main").get_by_role("button", name="Sign out").last.click()
    window.open("/account/login/?next=/w/alpha/keys/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{window.address}/w/alpha/keys/")
    window.open("/account/")
    page.get_by_role("link", name="Remove The laptop").click()
    page.get_by_role("button", name="Use the passkey").or_(page.get_by_label("Password")).first.wait_for()
    if page.locator("#password").count():
        page.fill("#password", "alice-Secret-1")
        page.get_by_role("button", name="Go on").click()
    else:
        page.get_by_role("button", name="Use the passkey").click()
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("password alone")


def test_the_companys_account_through_the_whole_dance(
    cast: Cast, window: Window, provider: Provider, settings: Any,
) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [{
        "provider_id": "company", "name": "Example Ltd.", "client_id": "portal", "secret": "s3cret",
        "settings": {"server_url": provider.url, "oauth_pkce_enabled": True, "verified_email": False}}]}}
    settings.PORTAL_URL, settings.PORTAL_OIDC_DOMAINS = window.address, ["example.org"]
    settings.PORTAL_OIDC_WORKSPACE = "alpha"
    provider.person("dana", email="dana@example.org", email_verified=True, preferred_username="dana")
    page = window.page
    window.open("/account/login/?next=/w/alpha/keys/")
    window.shot("sign-in-company")
    page.get_by_role("button", name="Continue with Example Ltd.").click()
    page.wait_for_url(f"{provider.url}/**")
    page.fill("input[name=sub]", "dana")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{window.address}/w/alpha/keys/")
    assert User.objects.get(username="dana").email == "dana@example.org"
    window.faults[:] = [fault for fault in window.faults if not fault.startswith(("404 " + provider.url, "Failed to load"))]


def test_other_browsers_are_seen_and_signed_out(cast: Cast, window: Window) -> None:
    page = window.page
    other = page.context.browser.new_context(user_agent="Mozilla/5.0 (X11; Linux) Gecko/2010 Firefox/140.0")  # type: ignore[union-attr]
    elsewhere = Window(other.new_page(), window.address)
    enter(elsewhere)
    elsewhere.page.wait_for_url(f"{window.address}/w/alpha/")
    enter(window, path="/account/login/?next=/account/")
    expect(page.get_by_text("Firefox on Linux")).to_be_visible()
    window.shot("sessions")
    page.get_by_role("button", name="Sign all others out").click()
    expect(page.get_by_text("1 other browser is signed out.")).to_be_visible()
    elsewhere.open("/w/alpha/")
    expect(elsewhere.page).to_have_url(f"{window.address}/account/login/?next=/w/alpha/")
    other.close()


@pytest.mark.parametrize("window", [{"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}], indirect=True)
def test_an_invited_person_joins_on_a_phone(cast: Cast, window: Window, settings: Any) -> None:
    settings.PORTAL_URL, settings.PORTAL_MAIL_URL = window.address, ""
    link = invitations.invite(cast.actor("alice"), cast.alpha, "new@example.org", "developer").link
    page = window.page
    window.open("/account/login/")
    window.shot("sign-in-phone")
    page.goto(link)
    window.shot("invitation-phone")
    page.fill("#username", "newcomer")
    page.fill("#password", "a-Long-enough-1")
    page.get_by_role("button", name="Make the account and join").click()
    page.wait_for_url(f"{window.address}/w/alpha/")
    window.open("/account/")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    window.shot("account-phone")


@pytest.mark.parametrize("window", [
    {"color_scheme": "light"}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
], indirect=True, ids=["desk", "phone"])
def test_the_pages_are_for_everybody(cast: Cast, window: Window, settings: Any) -> None:
    settings.PORTAL_MAIL_URL = ""
    link = invitations.invite(cast.actor("alice"), cast.alpha, "new@example.org", "developer").link
    page, found = window.page, []
    outside = ["/account/login/", "/account/password/reset/", "/account/password/reset/sent/",
               link.removeprefix(settings.PORTAL_URL)]
    for path in outside:
        window.open(path)
        found += [f"{path}: {fault}" for fault in check_with_axe(page)]
    enter(window, path="/account/login/?next=/account/")
    page.wait_for_url(f"{window.address}/account/")
    for path in ("/account/", "/account/password/", "/account/logout/", "/account/reauthenticate/?next=/account/app/"):
        window.open(path)
        found += [f"{path}: {fault}" for fault in check_with_axe(page)]
    page.fill("#password", "alice-Secret-1")
    page.get_by_role("button", name="Go on").click()
    for path in ("/account/app/", "/account/passkeys/add/"):
        window.open(path)
        found += [f"{path}: {fault}" for fault in check_with_axe(page)]
    assert found == []
