"""The frame around every page: who gets in, what stranger and neighbour see, the policy, languages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.http import HttpRequest
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from portal.tenancy.models import Membership, User
from portal.web.start import safe_next
from tests.cast import Cast, make_user

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
FOREIGN = ("//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "\thttps://evil.example",
           "http:///evil.example", "//evil.example\\@localhost/", "")


def test_nobody_is_sent_to_sign_in_and_back(client: Client) -> None:
    answer = client.get("/w/alpha/")
    assert answer.status_code == 302
    assert answer["Location"].endswith("?next=/w/alpha/")


def test_the_first_page_leads_to_a_workspace_of_ones_own(client_of: ClientOf) -> None:
    assert client_of("alice").get("/")["Location"] == "/w/alpha/"
    assert client_of("charlie").get("/")["Location"] == "/w/beta/"
    assert client_of("operator").get("/")["Location"] == "/w/-/"


def test_the_first_page_leads_to_the_workspace_that_was_looked_at_last(client_of: ClientOf, cast: Cast) -> None:
    Membership.objects.create(workspace=cast.beta, user=cast.alice, role="viewer")
    alice = client_of("alice")
    alice.get("/w/beta/")
    assert alice.get("/")["Location"] == "/w/beta/"
    Membership.objects.filter(workspace=cast.beta, user=cast.alice).delete()
    assert alice.get("/")["Location"] == "/w/alpha/"


def test_who_is_in_no_workspace_is_told_what_to_do(client: Client, cast: Cast) -> None:
    client.force_login(make_user("newcomer"))
    answer = client.get("/")
    assert answer.status_code == 200
    assert b"no workspace yet" in answer.content


def test_a_neighbours_workspace_answers_as_a_missing_one(client_of: ClientOf) -> None:
    alice = client_of("alice")
    neighbours, missing, everything = (alice.get(f"/w/{slug}/") for slug in ("beta", "nowhere", "-"))
    assert {neighbours.status_code, missing.status_code, everything.status_code} == {404}
    assert plain(neighbours.content, b"beta") == plain(missing.content, b"nowhere")


def plain(page: bytes, slug: bytes) -> bytes:
    """Without what differs by itself: the address that was asked for, and the token of each form."""
    return re.sub(rb'(csrfmiddlewaretoken" value="|X-CSRFToken": ")[A-Za-z0-9]+', b"", page.replace(slug, b""))


def test_pages_have_the_strict_policy_and_the_admin_its_own(client_of: ClientOf) -> None:
    policy = client_of("alice").get("/w/alpha/")["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" in client_of("operator").get("/admin/")["Content-Security-Policy"]


def test_pages_are_kept_by_nobody(client_of: ClientOf) -> None:
    answer = client_of("alice").get("/w/alpha/")
    assert "no-store" in answer["Cache-Control"]
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")


def test_a_chosen_language_stays_with_the_person(client_of: ClientOf, cast: Cast) -> None:
    alice = client_of("alice")
    answer = alice.post("/language/", {"language": "ko", "next": "/w/alpha/"})
    assert answer["Location"] == "/w/alpha/"
    cast.alice.refresh_from_db()
    assert cast.alice.language == "ko"
    assert b'<html lang="ko">' in alice.get("/w/alpha/").content


@pytest.mark.parametrize("path", ["/w/alpha/", "/account/", "/account/password/", "/admin/", "/admin/tenancy/user/"])
def test_the_chosen_language_holds_on_every_page_without_a_query(
        cast: Cast, path: str, client_of: ClientOf) -> None:
    operator, asked = client_of("operator"), []
    for language in ("en", "en", "zh-hans"):
        User.objects.filter(pk=cast.operator.pk).update(language=language)
        with CaptureQueriesContext(connection) as queries:
            answer = operator.get(path, headers={"Accept-Language": "ko"})
        asked.append(len(queries))
        assert (answer.status_code, answer.headers["Content-Language"]) == (200, language)
        assert f'lang="{language}"' in answer.content.decode()
    assert asked[1] == asked[2]


def test_the_language_holds_where_the_server_is_asynchronous(cast: Cast) -> None:
    User.objects.filter(pk=cast.operator.pk).update(language="ko")
    client = AsyncClient()
    client.force_login(cast.operator)
    for path in ("/w/alpha/", "/admin/"):
        assert async_to_sync(client.get)(path).headers["Content-Language"] == "ko"


def test_the_choice_in_the_administration_is_the_persons_too(client_of: ClientOf, cast: Cast) -> None:
    operator = client_of("operator")
    assert 'action="/i18n/setlang/"' in operator.get("/admin/").content.decode()
    assert operator.post("/i18n/setlang/", {"language": "ko", "next": "/admin/"})["Location"] == "/admin/"
    cast.operator.refresh_from_db()
    assert cast.operator.language == "ko"
    assert operator.get("/admin/").headers["Content-Language"] == "ko"


def test_an_unknown_language_changes_nothing(client_of: ClientOf, cast: Cast) -> None:
    client_of("alice").post("/language/", {"language": "xx", "next": "/"})
    cast.alice.refresh_from_db()
    assert cast.alice.language == ""


@pytest.mark.parametrize("address", FOREIGN)
def test_no_form_leads_to_another_site(address: str) -> None:
    request = HttpRequest()
    request.META.update(SERVER_NAME="localhost", SERVER_PORT="80")
    assert safe_next(request, address) == "/"
