"""Signing in with a password: who gets in, how often one may try, what a session is worth (threats T45-T50)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from portal.tenancy.models import AuditEntry, Try, User
from portal.web.account import limits
from tests.cast import Cast

pytestmark = [pytest.mark.django_db]
ClientOf = Callable[[str], Client]
LOGIN = "/account/login/"
AWAY = ("//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "http:///evil.example",
        "https://[::1]/", "\thttps://evil.example")


def sign_in(client: Client, name: str = "alice", password: str = "", **more: Any) -> Any:
    address = more.pop("REMOTE_ADDR", "192.0.2.1")
    return client.post(LOGIN, {"login": name, "password": password or "alice-Secret-1", **more}, REMOTE_ADDR=address)


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.org", " Alice@Example.org "])
def test_name_or_mail_and_password_open(cast: Cast, client: Client, name: str) -> None:
    answer = sign_in(client, name)
    assert (answer.status_code, answer["Location"]) == (302, "/")


@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("nobody", "alice-Secret-1"), ("bob", "alice-Secret-1")])
def test_whatever_is_wrong_the_answer_is_the_same(cast: Cast, client: Client, name: str, password: str) -> None:
    answer = sign_in(client, name, password)
    assert answer.status_code == 422
    assert answer.content.count(b'class="notice is-bad"') == 1
    assert password.encode() not in answer.content
    assert name.encode() in answer.content


def test_a_disabled_person_stays_outside(cast: Cast, client: Client) -> None:
    User.objects.filter(pk=cast.alice.pk).update(is_active=False)
    assert sign_in(client)["Location"] == "/account/inactive/"
    assert b"switched off" in client.get("/account/inactive/").content
    assert client.get("/w/alpha/").status_code == 302


def test_the_page_is_cheap_and_strict(client: Client, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_max_num_queries(9):
        answer = client.get(LOGIN)
    assert answer.status_code == 200
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert "no-store" in answer["Cache-Control"]
    assert b"data:" not in answer.content


def test_signing_in_takes_few_queries(cast: Cast, client: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(40):
        sign_in(client)


def test_a_new_session_begins_at_the_door(cast: Cast, client: Client) -> None:
    client.post("/language/", {"language": "ko", "next": "/"})
    client.session["planted"] = 1
    session = client.session
    session["planted"] = 1
    session.save()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = session.session_key or ""
    sign_in(client)
    assert client.session.session_key != session.session_key
    assert not Session.objects.filter(pk=session.session_key).exists()


def test_forms_without_the_token_do_nothing(cast: Cast) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.alice)
    for path in (LOGIN, "/account/logout/", "/account/password/", "/account/sessions/end-others/", "/account/company/"):
        assert strict.post(path, {"login": "alice", "password": "alice-Secret-1"}).status_code == 403, path


@pytest.mark.parametrize("address", AWAY)
def test_next_leads_to_the_portal_only(cast: Cast, client: Client, address: str) -> None:
    assert sign_in(client, next=address)["Location"] == "/"


def test_next_leads_back(cast: Cast, client: Client) -> None:
    assert sign_in(client, next="/w/alpha/keys/")["Location"] == "/w/alpha/keys/"


def test_signing_out_ends_the_session(cast: Cast, client: Client) -> None:
    sign_in(client)
    assert client.get("/account/logout/").status_code == 200  # asks; only the form signs out
    key = client.session.session_key
    assert client.post("/account/logout/")["Location"] == LOGIN
    assert not Session.objects.filter(pk=key).exists()


@pytest.mark.both_databases
def test_ten_wrong_tries_and_then_a_wait(cast: Cast, client: Client) -> None:
    for number in range(limits.FROM_HERE):
        assert sign_in(client, ["alice", "alice@example.org"][number % 2], "wrong").status_code == 422
    answer = sign_in(client)  # with the right password
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= limits.FROM_HERE_SECONDS
    assert b"Try again in 5 minutes" in answer.content
    assert sign_in(Client(), REMOTE_ADDR="198.51.100.7").status_code == 302, "from elsewhere the owner gets in"
    assert sign_in(Client(), "bob", "bob-Secret-1").status_code == 302, "another person from here gets in"
    Try.objects.update(at=timezone.now() - timedelta(seconds=limits.FROM_HERE_SECONDS + 1))
    assert sign_in(client).status_code == 302


def test_right_passwords_do_not_count(cast: Cast) -> None:
    for _ in range(limits.FROM_HERE + 5):
        assert sign_in(Client()).status_code == 302


def test_many_machines_may_not_guess_one_password_and_lock_nobody_out(cast: Cast) -> None:
    sign_in(Client(), REMOTE_ADDR="198.51.100.7")
    for number in range(limits.FROM_ANYWHERE):
        sign_in(Client(), "alice", "wrong", REMOTE_ADDR=f"203.0.113.{number}")
    assert sign_in(Client(), REMOTE_ADDR="203.0.113.200").status_code == 429
    assert sign_in(Client(), REMOTE_ADDR="198.51.100.7").status_code == 302, "where she was before, she gets in"


def test_a_known_place_gives_no_more_tries(cast: Cast) -> None:
    sign_in(Client())
    codes = [sign_in(Client(), "alice", "wrong").status_code for _ in range(limits.FROM_HERE + 1)]
    assert codes == [422] * limits.FROM_HERE + [429]


@pytest.mark.parametrize(("behind_proxy", "expected"), [(False, 429), (True, 422)])
def test_the_proxys_word_counts_where_there_is_one(cast: Cast, settings: Any, behind_proxy: bool, expected: int) -> None:
    settings.PORTAL_BEHIND_PROXY = behind_proxy
    for number in range(limits.FROM_HERE + 1):
        answer = Client().post(LOGIN, {"login": "alice", "password": "wrong"}, REMOTE_ADDR="10.0.0.1",
                               headers={"X-Forwarded-For": f"192.0.2.99, 203.0.113.{number}"})
    assert answer.status_code == expected


def test_of_the_proxys_list_only_its_own_last_word_counts(cast: Cast, settings: Any) -> None:
    settings.PORTAL_BEHIND_PROXY = True
    for number in range(limits.FROM_HERE + 1):
        answer = Client().post(LOGIN, {"login": "alice", "password": "wrong"}, REMOTE_ADDR="10.0.0.1",
                               headers={"X-Forwarded-For": f"203.0.113.{number}, 192.0.2.1"})
    assert answer.status_code == 429


def test_of_ipv6_a_network_counts_as_one(cast: Cast) -> None:
    for number in range(limits.FROM_HERE + 1):
        answer = sign_in(Client(), "alice", "wrong", REMOTE_ADDR=f"2001:db8::{number + 1}")
    assert answer.status_code == 429


def test_the_administration_has_no_door_of_its_own(cast: Cast, client: Client) -> None:
    for path in ("/admin/login/?next=/admin/tenancy/limit/", "/admin/tenancy/limit/"):
        answer = client.get(path, follow=True)
        assert answer.redirect_chain[-1][0] == f"{LOGIN}?next=/admin/tenancy/limit/"
    assert client.post("/admin/login/", {"username": "operator", "password": "operator-Secret-1"}).status_code == 302
    assert "_auth_user_id" not in client.session
    sign_in(client, "operator", "operator-Secret-1", next="/admin/")
    assert client.get("/admin/").status_code == 200
    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302


def test_who_is_no_operator_is_told_so_at_the_administration(client_of: ClientOf) -> None:
    answer = client_of("alice").get("/admin/", follow=True)
    assert answer.status_code == 403
    assert b"for operators" in answer.content


@pytest.mark.parametrize("path", ["signup/", "email/", "confirm-email/", "3rdparty/", "login/code/", "second/trust/"])
def test_pages_that_nobody_needs_are_not_there(client_of: ClientOf, path: str) -> None:
    assert client_of("alice").get(f"/account/{path}").status_code == 404


def test_nobody_makes_an_account_alone(client: Client) -> None:
    answer = client.post("/account/new/", {"username": "mallory", "email": "m@example.org", "password1": "a-Long-enough-1"})
    assert answer.status_code == 403
    assert not User.objects.filter(username="mallory").exists()


def test_a_changed_password_ends_the_other_sessions(cast: Cast) -> None:
    here, elsewhere = Client(), Client()
    for each in (here, elsewhere):
        sign_in(each)
    new = "another-Secret-2"
    wrong = here.post("/account/password/", {"oldpassword": "wrong", "password1": new, "password2": new})
    assert wrong.status_code == 422
    answer = here.post("/account/password/", {"oldpassword": "alice-Secret-1", "password1": new, "password2": new})
    assert answer.status_code == 302
    assert (here.get("/account/").status_code, elsewhere.get("/account/").status_code) == (200, 302)
    assert AuditEntry.objects.filter(verb="change password", actor=cast.alice).count() == 1
    assert sign_in(Client(), password=new).status_code == 302


def test_the_list_of_sessions_and_ending_them(cast: Cast, django_assert_max_num_queries: Any) -> None:
    agents = ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
              "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604.1", "odd")
    here, phone, odd = (Client(headers={"user-agent": agent}) for agent in agents)
    for number, each in enumerate((here, phone, odd)):
        sign_in(each, REMOTE_ADDR=f"192.0.2.{number}")
    stranger = Client()
    sign_in(stranger, "charlie", "charlie-Secret-1")
    with django_assert_max_num_queries(25):
        page = here.get("/account/")
    shown = {one.device: one for one in page.context["browsers"]}
    assert set(shown) == {"Firefox on Linux", "Safari on iPhone", "Unknown browser"}
    assert shown["Firefox on Linux"].is_this
    stranger.post(f"/account/sessions/{shown['Safari on iPhone'].id}/end/")
    assert phone.get("/account/").status_code == 200, "nobody ends a neighbour's session"
    here.post(f"/account/sessions/{shown['Safari on iPhone'].id}/end/")
    assert phone.get("/account/").status_code == 302
    here.post("/account/sessions/end-others/")
    assert (odd.get("/account/").status_code, here.get("/account/").status_code) == (302, 200)
    assert stranger.get("/account/").status_code == 200


def test_cookies_are_closed(cast: Cast, client: Client) -> None:
    cookie = sign_in(client).cookies[django_settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
