"""The pages of keys: whose keys one sees, a new one that is shown once, and their end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from portal.tenancy import services
from portal.tenancy.idempotency import IdempotentCall
from portal.tenancy.models import ApiKey, AuditEntry
from tests.cast import Cast

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
LIST, NEW, REVOKE = "/w/alpha/keys/", "/w/alpha/keys/new/", "/w/alpha/keys/revoke/"
FORM = {"name": "nightly", "scopes": ["inference"], "lasts": "30"}
SECRET = re.compile(r"sk-[a-z0-9]{16}-[A-Za-z0-9_-]{43}")


def make(cast: Cast, who: str, name: str, **values: Any) -> ApiKey:
    key, _text = services.create_key(cast.actor(who), cast.alpha, name=name)
    ApiKey.objects.filter(pk=key.pk).update(**values)
    key.refresh_from_db()
    return key


def test_one_sees_ones_own_keys_and_admins_all(cast: Cast, client_of: ClientOf) -> None:
    make(cast, "alice", "key of alice")
    make(cast, "bob", "key of bob")
    seen = {who: client_of(who).get(LIST).content.decode() for who in ("alice", "bob", "vera")}
    assert ("key of alice" in seen["alice"], "key of bob" in seen["alice"]) == (True, True)
    assert ("key of alice" in seen["bob"], "key of bob" in seen["bob"]) == (False, True)
    assert "key of" not in seen["vera"]
    assert "key of bob" in client_of("operator").get("/w/-/keys/").content.decode()


@pytest.mark.parametrize(("values", "state", "title"), [
    ({"expires_at": timezone.now() + timedelta(days=3)}, "soon", "1 key ends within 7 days"),
    ({"created_at": timezone.now() - timedelta(days=40)}, "sleeps", "1 key has not been used for 30 days"),
    ({"expires_at": timezone.now() - timedelta(days=1)}, "expired", "No key works yet"),
    ({"revoked_at": timezone.now()}, "revoked", "No key works yet"),
    ({"last_used_at": timezone.now()}, "works", "1 key works"),
])
def test_the_title_and_the_filters_say_what_ends_and_what_sleeps(
        cast: Cast, client_of: ClientOf, values: dict[str, Any], state: str, title: str) -> None:
    make(cast, "alice", "marked", **values)
    alice = client_of("alice")
    assert f"<h1>{title}</h1>" in alice.get(LIST).content.decode()
    states = {name for name in ("works", "soon", "sleeps", "expired", "revoked", "all")
              if "marked" in alice.get(f"{LIST}?state={name}").content.decode()}
    assert states == {state, "all"} | ({"works"} if state in ("soon", "sleeps") else set())


@pytest.mark.parametrize("address", ["?state=nonsense", "?q=%00", "?q=" + "x" * 5000, "?q=marked"])
def test_strange_filters_are_no_fault(cast: Cast, client_of: ClientOf, address: str) -> None:
    make(cast, "alice", "marked")
    assert client_of("alice").get(LIST + address).status_code == 200


def test_a_cursor_of_another_list_is_refused(client_of: ClientOf) -> None:
    assert client_of("alice").get(f"{LIST}?cursor=nonsense").status_code == 422


def test_a_new_key_is_shown_once_and_kept_nowhere(cast: Cast, client_of: ClientOf) -> None:
    alice = client_of("alice")
    page = alice.post(NEW, FORM)
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    (text,) = {*SECRET.findall(page.content.decode())}
    key = ApiKey.objects.get()
    assert (key.name, key.scopes, key.model_names) == ("nightly", ["inference"], [])
    assert key.opens_with(text[20:])
    assert f"OPENAI_API_KEY={text}" in page.content.decode()
    elsewhere = [alice.get(LIST).content.decode(), *map(str, AuditEntry.objects.values_list("before", "after")),
                 *Session.objects.values_list("session_data", flat=True), *map(str, IdempotentCall.objects.values())]
    assert not any(text in each or text[-20:] in each for each in elsewhere)


def test_a_form_that_is_sent_twice_makes_one_key(client_of: ClientOf) -> None:
    alice = client_of("alice")
    once = {**FORM, "once": "0190-once"}
    assert SECRET.search(alice.post(NEW, once).content.decode())
    again = alice.post(NEW, once, follow=True).content.decode()
    assert ApiKey.objects.count() == 1
    assert "has made its key already" in again
    assert not SECRET.search(again)


@pytest.mark.parametrize(("who", "changed", "status", "words"), [
    ("alice", {"name": " "}, 422, "id_name_error"),
    ("alice", {"scopes": []}, 422, "id_scopes_error"),
    ("alice", {"scopes": ["everything"]}, 422, "id_scopes_error"),
    ("alice", {"lasts": "until"}, 422, "id_until_error"),
    ("alice", {"lasts": "until", "until": "2001-01-01"}, 422, "lies in the past"),
    ("alice", {"model_names": ["beta-chat"]}, 422, "id_model_names_error"),
    ("alice", {"other_names": "x" * 200}, 422, "id_other_names_error"),
    ("bob", {"scopes": ["manage"]}, 403, "do more than the person who makes it"),
    ("vera", {}, 403, "do more than the person who makes it"),
])
def test_a_refusal_stands_at_its_field_and_what_was_typed_stays(
        client_of: ClientOf, who: str, changed: dict[str, Any], status: int, words: str) -> None:
    page = client_of(who).post(NEW, {**FORM, **changed})
    assert (page.status_code, ApiKey.objects.count()) == (status, 0)
    assert words in page.content.decode()
    assert "nightly" in page.content.decode() or changed.get("name")


def test_a_key_may_name_its_models_and_its_last_day(cast: Cast, client_of: ClientOf) -> None:
    day = timezone.now().date() + timedelta(days=10)
    client_of("bob").post(NEW, {**FORM, "other_names": "qwen, bge ,qwen", "lasts": "until", "until": day.isoformat()})
    key = ApiKey.objects.get()
    assert key.model_names == ["qwen", "bge"]
    assert key.expires_at is not None
    assert key.expires_at.date() == day + timedelta(days=1)


def test_many_keys_end_together_after_a_question(cast: Cast, client_of: ClientOf) -> None:
    keys = [make(cast, who, f"of {who}") for who in ("alice", "bob")]
    alice, chosen = client_of("alice"), [str(key.uid) for key in keys]
    question = alice.get(REVOKE, {"key": chosen}).content.decode()
    assert ("Revoke 2 keys" in question, "can't be undone" in question) == (True, True)
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    answer = alice.post(REVOKE, {"key": chosen}, follow=True)
    assert "2 keys are revoked" in answer.content.decode()
    assert ApiKey.objects.filter(revoked_at=None).count() == 0
    assert AuditEntry.objects.filter(verb="revoke key").count() == 2


def test_who_may_not_end_one_ends_none(cast: Cast, client_of: ClientOf) -> None:
    keys = [make(cast, who, f"of {who}") for who in ("bob", "alice")]
    answer = client_of("bob").post(REVOKE, {"key": [str(key.uid) for key in keys]})
    assert answer.status_code == 403
    assert ApiKey.objects.filter(revoked_at=None).count() == 2
    assert "of alice" not in answer.content.decode()


def test_an_unknown_key_among_the_chosen_ends_none(cast: Cast, client_of: ClientOf) -> None:
    key = make(cast, "alice", "mine")
    answer = client_of("alice").post(REVOKE, {"key": [str(key.uid), "0" * 8]})
    assert answer.status_code == 422
    assert ApiKey.objects.filter(revoked_at=None).count() == 1


def test_the_list_costs_the_same_for_many_keys(
        cast: Cast, client_of: ClientOf, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        make(cast, "alice", f"key {number}")
    alice = client_of("alice")
    alice.get("/w/alpha/")  # the first page of a session notes the session
    with django_assert_max_num_queries(16):
        page = alice.get(LIST)
    assert page.content.decode().count('name="key"') == 50
    older = re.search(r'rel="next" href="([^"]+)"', page.content.decode())
    assert older
    assert alice.get(LIST + older[1].replace("&amp;", "&")).content.decode().count('name="key"') == 10
