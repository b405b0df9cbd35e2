"""Second factors: apps, recovery codes, and operators who must have one. Passkeys are in tests/browser/test_web_signin.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client

from portal.tenancy.models import AuditEntry, Try
from portal.web.account import limits
from tests.cast import Cast

pytestmark = [pytest.mark.django_db]
COMMITTED = pytest.mark.django_db(transaction=True)
ClientOf = Callable[[str], Client]


def code(secret: str, ahead: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + ahead))


def sign_in(client: Client, name: str = "alice") -> Any:
    return client.post("/account/login/", {"login": name, "password": f"{name}-Secret-1", "next": "/account/"})


def set_up(client: Client, name: str = "alice") -> str:
    """Add an app as a person does; its secret."""
    answer = client.get("/account/app/")
    assert answer["Location"].startswith("/account/reauthenticate/")
    client.post(answer["Location"], {"password": f"{name}-Secret-1", "next": "/account/app/"})
    page = client.get("/account/app/")
    secret: str = page.context["form"].secret
    assert client.post("/account/app/", {"code": "000000"}).status_code == 422
    assert client.post("/account/app/", {"code": code(secret)})["Location"] == "/account/codes/"
    return secret


@COMMITTED
def test_an_app_is_added_and_asked_for(cast: Cast, client: Client) -> None:
    sign_in(client)
    secret = set_up(client)
    shown = client.get("/account/codes/")
    codes = shown.context["unused_codes"]
    assert len(codes) == 10
    assert codes[0].encode() in shown.content
    assert codes[0].encode() not in client.get("/account/codes/").content, "shown once"
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert AuditEntry.objects.filter(verb="add second factor", actor=cast.alice, after={"type": "totp"}).exists()

    other = Client()
    assert sign_in(other)["Location"] == "/account/second/"
    assert other.get("/account/").status_code == 302, "the password alone opens nothing"
    assert other.post("/account/second/", {"code": code(secret)}).status_code == 422, "a code opens once"
    assert other.post("/account/second/", {"code": code(secret, 1)})["Location"] == "/account/"
    third = Client()
    sign_in(third)
    assert third.post("/account/second/", {"code": codes[3]}).status_code == 302
    fourth = Client()
    sign_in(fourth)
    assert fourth.post("/account/second/", {"code": codes[3]}).status_code == 422, "a recovery code opens once"


def test_codes_are_tried_ten_times(cast: Cast, client: Client) -> None:
    sign_in(client)
    set_up(client)
    Try.objects.all().delete()
    other = Client()
    sign_in(other)
    answers = [other.post("/account/second/", {"code": "000000"}).status_code for _ in range(limits.FROM_HERE + 1)]
    assert answers == [422] * limits.FROM_HERE + [429]


def test_the_codes_picture_obeys_the_policy(cast: Cast, client: Client) -> None:
    sign_in(client)
    client.post("/account/reauthenticate/", {"password": "alice-Secret-1"})
    page = client.get("/account/app/").content
    assert b'<svg class="qr"' in page
    assert b"data:" not in page
    assert b"style=" not in page


def test_removing_it_takes_the_recovery_codes_too(cast: Cast, client: Client) -> None:
    sign_in(client)
    set_up(client)
    client.post("/account/app/remove/")
    assert not Authenticator.objects.exists()
    assert AuditEntry.objects.filter(verb="remove second factor").exists()


@pytest.mark.parametrize(("whose", "name", "free"), [
    ("", "operator", True), ("operators", "operator", False), ("operators", "alice", True), ("everybody", "alice", False),
])
def test_operators_can_be_made_to_have_one(
    client_of: ClientOf, settings: Any, whose: str, name: str, free: bool,
) -> None:
    settings.PORTAL_SECOND_FACTOR = whose
    client = client_of(name)
    pages = ["/", "/w/alpha/"] + (["/admin/", "/admin/tenancy/user/"] if name == "operator" else [])
    for path in pages:
        answer = client.get(path)
        assert (answer.headers.get("Location") != "/account/") == free, path
    assert client.get("/api/v1/workspaces").status_code == (200 if free else 403)
    assert client.get("/account/").status_code == 200


@COMMITTED
def test_whoever_sets_one_up_goes_on_at_once_and_next_time_with_it(cast: Cast, client: Client, settings: Any) -> None:
    settings.PORTAL_SECOND_FACTOR = "operators"
    sign_in(client, "operator")
    assert client.get("/admin/")["Location"] == "/account/"
    secret = set_up(client, "operator")
    assert client.get("/admin/").status_code == 200
    again = Client()
    sign_in(again, "operator")
    again.post("/account/second/", {"code": code(secret, 1)})
    assert again.get("/admin/").status_code == 200
    stolen = Client()
    stolen.force_login(cast.operator)  # a session that never showed the factor
    assert stolen.get("/admin/")["Location"] == "/account/"


def test_an_operator_helps_who_lost_everything(cast: Cast, client: Client) -> None:
    sign_in(client)
    set_up(client)
    said = StringIO()
    call_command("forget_second_factor", "alice", stdout=said)
    assert "alice" in said.getvalue()
    assert not Authenticator.objects.exists()
    assert not Session.objects.filter(pk=client.cookies["portal_session_8000"].value).exists()
    assert sign_in(Client())["Location"] == "/account/"
