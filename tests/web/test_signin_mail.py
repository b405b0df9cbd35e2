"""Links that come by mail: a new password (threat T48), and an invitation's page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from portal.tenancy import invitations
from portal.tenancy.models import Membership, User
from portal.web import tasks
from portal.web.account import limits
from tests.cast import Cast, make_user

pytestmark = [pytest.mark.django_db]
NEW = "another-Secret-2"
RESET = "/account/password/reset/"


@pytest.fixture(autouse=True)
def with_mail(settings: Any) -> None:
    settings.PORTAL_MAIL_URL = "smtp://mail.example"
    settings.PORTAL_URL = "https://portal.example"


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr("portal.web.account.forms.after_commit", lambda *message: found.append(message))
    return found


def link() -> str:
    found = re.search(r"https://portal\.example(/\S+)", mail.outbox[-1].body.split("\n\n")[1])
    assert found is not None
    return found[1]


def choose(client: Client, path: str, password: str = NEW) -> Any:
    form = client.get(path, follow=True)
    where = form.redirect_chain[-1][0] if form.redirect_chain else path
    return client.post(where, {"password1": password, "password2": password})


@pytest.mark.parametrize("address", ["alice@example.org", "nobody@example.org", "ALICE@example.org"])
def test_the_answer_says_not_who_is_known(cast: Cast, client: Client, queued: list[Any], address: str) -> None:
    answer = client.post(RESET, {"email": address}, headers={"host": "localhost"})
    assert (answer.status_code, answer["Location"]) == (302, f"{RESET}sent/")
    known = address.lower() == cast.alice.email
    assert queued == [("portal.web.tasks.send_password_reset", cast.alice.pk if known else 0)]
    assert b"If an account" in client.get(answer["Location"]).content
    assert mail.outbox == [], "no request waits for the mail server"


def test_the_link_works_once_at_the_portals_own_address(cast: Cast, client: Client) -> None:
    client.force_login(cast.alice)
    assert tasks.send_password_reset(cast.alice.pk)
    browser = Client(headers={"host": "localhost"})
    answer = choose(browser, link())
    assert answer["Location"] == f"{RESET}done/"
    cast.alice.refresh_from_db()
    assert cast.alice.check_password(NEW)
    assert client.get("/account/").status_code == 302, "every browser is signed out"
    assert browser.get("/account/").status_code == 302, "and the link signs nobody in"
    assert b"not valid any more" in Client().get(link()).content


def test_the_link_grows_old(cast: Cast, client: Client, settings: Any) -> None:
    tasks.send_password_reset(cast.alice.pk)
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert b"not valid any more" in client.get(link(), follow=True).content


def test_the_token_leaves_the_address_bar(cast: Cast, client: Client) -> None:
    tasks.send_password_reset(cast.alice.pk)
    where = client.get(link())["Location"]
    assert where.endswith("-set-password/")
    weak = client.post(where, {"password1": "password", "password2": "password"})
    assert (weak.status_code, b"too common" in weak.content) == (422, True)


def test_some_get_no_mail(cast: Cast, settings: Any) -> None:
    company = make_user("company")
    company.set_unusable_password()
    company.save()
    gone = make_user("gone", is_active=False)
    assert [tasks.send_password_reset(pk) for pk in (0, company.pk, gone.pk)] == [False] * 3
    settings.PORTAL_MAIL_URL = ""
    assert not tasks.send_password_reset(cast.alice.pk)
    assert mail.outbox == []


def test_mails_to_one_address_are_few_whether_it_is_known_or_not(cast: Cast, queued: list[Any]) -> None:
    for address in ("alice@example.org", "nobody@example.org"):
        codes = [Client().post(RESET, {"email": address}).status_code for _ in range(limits.RESETS_OF_ONE + 1)]
        assert codes == [302] * limits.RESETS_OF_ONE + [429]


def test_the_mail_is_in_the_persons_language(cast: Cast) -> None:
    User.objects.filter(pk=cast.alice.pk).update(language="ko")
    tasks.send_password_reset(cast.alice.pk)
    assert mail.outbox[0].to == ["alice@example.org"]


def follow(client: Client, cast: Cast, address: str, role: str = "developer") -> Any:
    invitations.invite(cast.actor("alice"), cast.alpha, address, role)
    found = re.search(r"https://portal\.example(/account/invitation/\S+)", mail.outbox[-1].body)
    assert found is not None
    return client.get(found[1], follow=True)


def test_a_newcomer_chooses_name_and_password_and_is_in(cast: Cast, client: Client) -> None:
    page = follow(client, cast, "new@example.org")
    assert page.redirect_chain[-1][0] == "/account/invitation/"
    short = client.post("/account/invitation/", {"do": "new", "username": "newcomer", "password": "short"})
    assert short.status_code == 422
    assert b'id="password-error"' in short.content
    assert b'value="newcomer"' in short.content
    answer = client.post("/account/invitation/", {"do": "new", "username": "newcomer", "password": NEW})
    assert answer["Location"] == "/w/alpha/"
    assert client.get("/w/alpha/").status_code == 200
    assert client.get("/account/invitation/").status_code == 404
    assert EmailAddress.objects.get(user__username="newcomer").verified


def test_a_link_that_was_handed_over_proves_no_address(cast: Cast, client: Client, settings: Any) -> None:
    settings.PORTAL_MAIL_URL = ""
    made = invitations.invite(cast.actor("alice"), cast.alpha, "new@example.org", "viewer")
    client.get(made.link.removeprefix("https://portal.example"))
    client.post("/account/invitation/", {"do": "new", "username": "newcomer", "password": NEW})
    assert not EmailAddress.objects.get(user__username="newcomer").verified


def test_a_member_of_elsewhere_signs_in_and_joins(cast: Cast, client: Client) -> None:
    page = follow(client, cast, "charlie@example.org")
    assert b"Sign in, then join" in page.content
    answer = client.post("/account/login/", {"login": "charlie", "password": "charlie-Secret-1",
                                             "next": "/account/invitation/"})
    assert answer["Location"] == "/account/invitation/"
    assert b"Join Alpha" in client.get("/account/invitation/").content
    assert client.post("/account/invitation/", {"do": "join"})["Location"] == "/w/alpha/"
    assert Membership.objects.get(workspace=cast.alpha, user=cast.charlie).role == "developer"


def test_who_is_signed_in_as_somebody_else_is_told_so(cast: Cast, client: Client) -> None:
    client.force_login(cast.bob)
    page = follow(client, cast, "new@example.org")
    assert b"You are signed in as bob" in page.content
    assert client.post("/account/invitation/", {"do": "join"}).status_code == 403
    client.post("/account/invitation/", {"do": "leave"})
    assert b"Make the account and join" in client.get("/account/invitation/").content


def test_a_wrong_link_shows_one_page(cast: Cast, client: Client) -> None:
    for token in ("x", "A" * 43):
        answer = client.get(f"/account/invitation/{token}/", follow=True)
        assert (answer.status_code, b"not valid any more" in answer.content) == (404, True)
