"""The pages of the audit: who sees which entries, filters, differences, and no secret in any of them (threats T36, T64)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.tenancy import audit, services
from portal.tenancy.models import AuditEntry, Workspace
from portal.tenancy.roles import Role
from tests.cast import Cast, set_limit

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
PAGE, TABLE = "/w/alpha/audit/", "/w/alpha/audit/table/"


def note(cast: Cast, who: str, verb: str, workspace: Workspace, *, days_ago: int = 0, **more: Any) -> AuditEntry:
    row = audit.record(cast.actor(who), verb, workspace, workspace=workspace, **more)
    AuditEntry.objects.filter(pk=row.pk).update(at=timezone.now() - timedelta(days=days_ago))
    return row


def number(client: Client, query: str = "") -> int:
    return len(client.get(f"{PAGE}?{query}").context["lines"])


def test_admins_see_all_of_their_workspace_and_others_what_they_did(cast: Cast, client_of: ClientOf) -> None:
    note(cast, "alice", "change", cast.alpha, before={"name": "A"}, after={"name": "Alpha"})
    note(cast, "bob", "create", cast.alpha)
    note(cast, "charlie", "create", cast.beta, after={"name": "beta-secret"})
    assert [number(client_of(who)) for who in ("alice", "bob", "vera", "operator")] == [2, 1, 0, 2]
    assert b"beta-secret" in client_of("operator").get("/w/-/audit/").content
    assert b"beta-secret" not in client_of("alice").get(PAGE).content


def test_a_change_is_a_difference(cast: Cast, client_of: ClientOf) -> None:
    services.change_workspace(cast.actor("alice"), cast.alpha, name="Alpha <b>")
    page = client_of("alice").get(PAGE).content.decode()
    assert "<h1>The last change: alice changed Alpha &lt;b&gt;</h1>" in page
    assert '<td class="was">Alpha</td><td class="will">Alpha &lt;b&gt;</td>' in page


@pytest.mark.parametrize(("query", "shown"), [
    ("", 4), ("who=ali", 3), ("who=nobody", 0), ("did=create", 1), ("did=nonsense", 0), ("kind=tenancy.workspace", 4),
    ("kind=tenancy.limit", 0), ("object=Alp", 4), ("span=7d", 3), ("span=custom&from=2001-01-01&to=2001-02-01", 0),
    ("span=30d&who=alice&did=change", 2), ("span=nonsense", 4), ("object=%00&who=%00", 4), ("object=" + "x" * 4000, 0),
])
def test_filters_stand_in_the_address(cast: Cast, client_of: ClientOf, query: str, shown: int) -> None:
    note(cast, "alice", "change", cast.alpha, days_ago=10)
    note(cast, "alice", "change", cast.alpha, days_ago=3)
    note(cast, "alice", "create", cast.alpha, days_ago=2)
    note(cast, "bob", "change", cast.alpha)
    alice = client_of("alice")
    assert number(alice, query) == shown
    assert len(alice.get(f"{TABLE}?{query}").content.decode().splitlines()) == shown + 1


def test_one_object_is_found_by_its_id(cast: Cast, client_of: ClientOf) -> None:
    note(cast, "alice", "change", cast.alpha)
    limit = set_limit(cast.alpha, gpus=1)
    audit.record(cast.actor("alice"), "create", limit, workspace=cast.alpha)
    assert number(client_of("alice"), f"object={limit.uid}") == 1


def test_a_span_that_is_none_is_told_on_the_page(client_of: ClientOf) -> None:
    assert client_of("alice").get(f"{PAGE}?span=custom&from=never").status_code == 422
    assert client_of("alice").get(f"{TABLE}?span=custom&from=never").status_code == 422


def test_the_table_holds_no_formula_and_no_neighbour(cast: Cast, client_of: ClientOf) -> None:
    note(cast, "alice", "change", cast.alpha, after={"name": "x"})
    AuditEntry.objects.update(actor_label="=cmd()")
    note(cast, "charlie", "create", cast.beta)
    (line,) = csv.DictReader(io.StringIO(client_of("alice").get(TABLE).content.decode().removeprefix("\ufeff")))
    assert (line["who"], line["workspace"], line["after"]) == ("'=cmd()", "alpha", '{"name": "x"}')


def test_no_page_and_no_table_has_a_secret(cast: Cast, client_of: ClientOf) -> None:
    key, text = services.create_key(cast.actor("alice"), cast.alpha, name="marked")
    audit.record(cast.actor("alice"), "change", key, workspace=cast.alpha, after={"digest": "canary-1", "password": "canary-1"})
    alice = client_of("alice")
    seen = alice.get(PAGE).content.decode() + alice.get(TABLE).content.decode()
    assert "marked" in seen
    assert not any(secret in seen for secret in (text, text[21:], key.digest, "canary-1"))


def test_entries_are_changed_by_no_verb(cast: Cast, client_of: ClientOf) -> None:
    note(cast, "alice", "change", cast.alpha)
    operator = client_of("operator")
    assert {operator.generic(verb, path).status_code for verb in ("POST", "PUT", "PATCH", "DELETE")
            for path in (PAGE, TABLE)} == {405}
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize(("path", "form", "verb"), [
    ("keys/new/", {"name": "ci", "scopes": "inference"}, "create key"),
    ("limits/new/?kind=model", {"model_name": "m", "gpus": "1"}, "create"),
    ("members/invite/", {"mail": "new@example.org", "role": "viewer"}, "invite"),
])
def test_each_form_leaves_one_entry(client_of: ClientOf, path: str, form: dict[str, str], verb: str) -> None:
    assert client_of("alice").post(f"/w/alpha/{path}", form).status_code in (200, 302)
    assert [entry.verb for entry in AuditEntry.objects.all()] == [verb]


def test_pages_go_by_cursor_at_the_same_cost(
        cast: Cast, client_of: ClientOf, django_assert_max_num_queries: Any) -> None:
    for at in range(60):
        services.set_member(cast.actor("alice"), cast.alpha, cast.bob, Role.ADMIN if at % 2 else Role.VIEWER)
    alice = client_of("alice")
    alice.get("/w/alpha/")  # the first page of a session notes the session
    with django_assert_max_num_queries(14):
        page = alice.get(f"{PAGE}?span=7d")
    older = re.search(r'rel="next" href="([^"]+)"', page.content.decode())
    assert len(page.context["lines"]) == 50
    assert older
    assert len(alice.get(PAGE + older[1].replace("&amp;", "&")).context["lines"]) == 10
