"""Signing in with the company's account, at a real OpenID Connect provider in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.test import Client

from portal.sign_in import sign_in_settings
from portal.tenancy import invitations
from portal.tenancy.models import Membership, User
from tests.cast import Cast, make_user
from tests.rig.oidc import Provider, running_provider

pytestmark = [pytest.mark.django_db]
BEGIN = "/account/company/"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(autouse=True)
def company(settings: Any, provider: Provider) -> None:
    app = {"provider_id": "company", "name": "Example Ltd.", "client_id": "portal", "secret": "s3cret",
           "settings": {"server_url": provider.url, "oauth_pkce_enabled": True, "verified_email": False}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
    settings.PORTAL_OIDC_DOMAINS = ["example.org"]
    settings.PORTAL_URL = "http://localhost"


def leave(client: Client, **form: str) -> str:
    """To the provider: the address there."""
    page = client.post(BEGIN, form)
    assert page.status_code == 200, page.content
    found = re.search(r'content="0;url=([^"]+)"', page.content.decode())
    assert found is not None
    return unescape(found[1])


def sign_in(client: Client, provider: Provider, sub: str, **form: str) -> Any:
    back = provider.authorize(leave(client, **form), sub)
    assert back.startswith("http://localhost/account/company/callback/")
    return client.get(back.removeprefix("http://localhost"))


def test_what_goes_to_the_provider(client: Client) -> None:
    query = parse_qs(urlsplit(leave(client)).query)
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://localhost/account/company/callback/"]
    assert all(query[name][0] for name in ("state", "nonce", "code_challenge"))
    assert set(query["scope"][0].split()) == {"openid", "profile", "email"}


def test_a_newcomer_of_an_allowed_domain_gets_an_account(
    cast: Cast, client: Client, provider: Provider, settings: Any,
) -> None:
    settings.PORTAL_OIDC_WORKSPACE, settings.PORTAL_OIDC_ROLE = "alpha", "developer"
    provider.person("1", email="Dana@Example.org", email_verified=True, preferred_username="dana", given_name="Dana")
    assert sign_in(client, provider, "1", next="/w/alpha/keys/")["Location"] == "/w/alpha/keys/"
    dana = User.objects.get(email="dana@example.org")
    assert (dana.username, dana.first_name, dana.has_usable_password(), dana.is_staff) == ("dana", "Dana", False, False)
    assert Membership.objects.get(user=dana).role == "developer"
    assert client.get("/w/alpha/").status_code == 200
    assert not SocialToken.objects.exists()
    again = Client()
    sign_in(again, provider, "1")
    assert again.get("/account/").status_code == 200
    assert User.objects.filter(email="dana@example.org").count() == 1


@pytest.mark.parametrize(("claims", "domains", "let_in"), [
    ({"email": "eve@example.org", "email_verified": True}, ["*"], True),
    ({"email": "eve@other.example", "email_verified": True}, ["*"], True),
    ({"email": "eve@other.example", "email_verified": True}, ["example.org"], False),
    ({"email": "eve@evil-example.org", "email_verified": True}, ["example.org"], False),
    ({"email": "eve@example.org.evil.example", "email_verified": True}, ["example.org"], False),
    ({"email": "eve@example.org", "email_verified": False}, ["*"], False),
    ({"email": "eve@example.org"}, ["*"], False),
    ({}, ["*"], False),
    ({"email": "eve@example.org", "email_verified": True}, [], False),
])
def test_who_may_come(
    client: Client, provider: Provider, settings: Any, claims: dict[str, Any], domains: list[str], let_in: bool,
) -> None:
    settings.PORTAL_OIDC_DOMAINS = domains
    provider.person("2", **claims)
    answer = sign_in(client, provider, "2")
    assert User.objects.exists() == let_in
    if not let_in:
        assert b"no account for you" in answer.content
        assert client.get("/account/").status_code == 302


def test_who_is_invited_may_come_from_everywhere(cast: Cast, client: Client, provider: Provider) -> None:
    invitations.invite(cast.actor("alice"), cast.alpha, "guest@other.example", "viewer")
    provider.person("3", email="guest@other.example", email_verified=True)
    sign_in(client, provider, "3")
    assert User.objects.get(email="guest@other.example").username == "guest"


def test_the_name_of_another_is_not_taken(cast: Cast, client: Client, provider: Provider) -> None:
    provider.person("4", email="other.alice@example.org", email_verified=True, preferred_username="alice@example.org")
    sign_in(client, provider, "4")
    made = User.objects.get(email="other.alice@example.org")
    assert made.pk != cast.alice.pk
    assert made.username != "alice"
    assert "@" not in made.username


@pytest.mark.parametrize("proven", [True, False])
def test_an_account_with_the_same_address_is_kept(cast: Cast, client: Client, provider: Provider, proven: bool) -> None:
    if proven:
        EmailAddress.objects.create(user=cast.alice, email="alice@example.org", verified=True, primary=True)
    provider.person("5", email="alice@example.org", email_verified=True)
    sign_in(client, provider, "5")
    assert SocialAccount.objects.get().user == cast.alice
    cast.alice.refresh_from_db()
    assert cast.alice.has_usable_password() == proven, "who typed an unproven address may know its password"


def test_an_unproven_address_opens_nobodys_account(cast: Cast, client: Client, provider: Provider) -> None:
    provider.person("6", email="alice@example.org", email_verified=False)
    sign_in(client, provider, "6")
    assert client.get("/account/").status_code == 302
    assert not SocialAccount.objects.exists()


def test_a_disabled_person_stays_outside(client: Client, provider: Provider) -> None:
    make_user("gone", is_active=False)
    provider.person("7", email="gone@example.org", email_verified=True)
    sign_in(client, provider, "7")
    assert client.get("/account/").status_code == 302


def test_an_answer_to_somebody_elses_question_opens_nothing(client: Client, provider: Provider) -> None:
    """Login CSRF: an attacker sends the victim to the callback with the attacker's own code."""
    provider.person("8", email="mallory@example.org", email_verified=True)
    attacker = Client()
    back = provider.authorize(leave(attacker), "8").removeprefix("http://localhost")
    leave(client)
    assert client.get(back).status_code == 401
    assert client.get("/account/").status_code == 302


def test_a_stolen_code_is_worth_nothing_in_another_sign_in(client: Client, provider: Provider) -> None:
    """With a state of one's own: PKCE refuses it."""
    provider.person("9", email="victim@example.org", email_verified=True)
    stolen = parse_qs(urlsplit(provider.authorize(leave(Client()), "9")).query)["code"][0]
    own = parse_qs(urlsplit(leave(client)).query)["state"][0]
    assert client.get(f"{BEGIN}callback/?{urlencode({'code': stolen, 'state': own})}").status_code == 401
    assert client.get("/account/").status_code == 302


def test_an_id_token_with_another_nonce_opens_nothing(
    client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.person("10", email="nonce@example.org", email_verified=True)
    monkeypatch.setattr("portal.web.account.company.nonce_of", lambda verifier: "another")
    assert sign_in(client, provider, "10").status_code == 401
    assert not User.objects.exists()


def test_saying_no_at_the_provider_leads_back(client: Client, provider: Provider) -> None:
    address = leave(client)
    state = parse_qs(urlsplit(address).query)["state"][0]  # which this provider forgets to send back with a no
    back = provider.authorize(address, "11", action="deny").removeprefix("http://localhost")
    answer = client.get(f"{back}&state={state}", follow=True)
    assert b"did not sign in at your company" in answer.content


def test_where_the_provider_is_away_the_page_says_so(client: Client, settings: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://127.0.0.1:9"
    answer = client.post(BEGIN)
    assert answer.status_code == 503
    assert b"does not answer" in answer.content
    assert client.get("/account/login/").status_code == 200


def test_without_a_provider_there_is_no_way(client: Client, settings: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": []}}
    assert client.post(BEGIN).status_code == 404
    assert client.get(f"{BEGIN}callback/?code=x&state=y").status_code == 404
    assert b"/account/company/" not in client.get("/account/login/").content


def test_nobody_chooses_scope_or_process(client: Client) -> None:
    page = client.post(f"{BEGIN}?scope=admin&auth_params=prompt%3Dnone&process=connect", {"process": "connect"})
    query = parse_qs(urlsplit(unescape(re.findall(r'content="0;url=([^"]+)"', page.content.decode())[0])).query)
    assert "prompt" not in query
    assert "admin" not in query["scope"][0]


def test_next_leads_to_the_portal_only(cast: Cast, client: Client, provider: Provider) -> None:
    provider.person("12", email="next@example.org", email_verified=True)
    assert sign_in(client, provider, "12", next="//evil.example/")["Location"] == "/"


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    class Env:
        @staticmethod
        def str(name: str, default: str = "") -> str:
            return {"PORTAL_OIDC_URL": "https://login.example", "PORTAL_OIDC_CLIENT_ID": "us"}.get(name, default)

        @staticmethod
        def bool(_name: str, default: bool) -> bool:
            return default

    made = sign_in_settings(Env(), lambda name: "hidden")  # type: ignore[arg-type]  # as much of it as is read
    app = made["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"][0]
    assert (app["client_id"], app["secret"], app["settings"]["server_url"]) == ("us", "hidden", "https://login.example")
