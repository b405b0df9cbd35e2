"""The pages of members: roles never above one's own, one owner stays, invitations, and the way out (threats T9, T10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from portal.tenancy import services
from portal.tenancy.models import ApiKey, AuditEntry, Invitation, Membership
from portal.tenancy.roles import Role
from tests.cast import Cast, make_user

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
LIST, INVITE = "/w/alpha/members/", "/w/alpha/members/invite/"


@pytest.fixture
def post(settings: Any) -> None:
    """A mail server, of which Django keeps a box in tests."""
    settings.PORTAL_MAIL_URL = "smtp://mail.example"


def member(cast: Cast, name: str) -> Membership:
    return Membership.objects.get(workspace=cast.alpha, user=getattr(cast, name))


def address(cast: Cast, name: str, verb: str) -> str:
    return f"{LIST}{member(cast, name).uid}/{verb}/"


def test_members_are_listed_and_only_admins_get_forms(cast: Cast, client_of: ClientOf) -> None:
    seen = {who: client_of(who).get(LIST).content.decode() for who in ("alice", "bob", "vera")}
    assert all(f"{name}@example.org" in page for page in seen.values() for name in ("alice", "bob", "vera"))
    assert "<h1>3 people work in Alpha, one of them is its owner</h1>" in seen["alice"]
    assert [page.count('name="role"') for page in seen.values()] == [3, 0, 0]  # bob, vera, and the invitation
    assert "charlie" not in "".join(seen.values())


@pytest.mark.parametrize(("typed", "names"), [
    ("BOB", {"bob"}), ("a@exam", {"vera"}), ("charlie", set()), ("\0", {"bob", "vera"})])
def test_members_are_looked_for_by_name_and_mail(client_of: ClientOf, typed: str, names: set[str]) -> None:
    page = client_of("bob").get(LIST, {"q": typed}).content.decode()
    assert {name for name in ("bob", "vera", "charlie") if f"{name}@example.org" in page} == names
    assert ("No member is called so." in page) is not bool(names)


def test_there_is_no_list_of_all_workspaces(client_of: ClientOf) -> None:
    assert client_of("operator").get("/w/-/members/").status_code == 404


@pytest.mark.parametrize(("who", "whom", "role", "status"), [
    ("alice", "bob", "admin", 302), ("alice", "bob", "owner", 302), ("alice", "alice", "viewer", 409),
    ("alice", "bob", "OWNER ", 422), ("alice", "bob", "", 422), ("bob", "vera", "developer", 403),
    ("bob", "bob", "owner", 403), ("vera", "vera", "owner", 403), ("operator", "alice", "admin", 409),
])
def test_nobody_gives_a_role_above_their_own(
        cast: Cast, client_of: ClientOf, who: str, whom: str, role: str, status: int) -> None:
    before = AuditEntry.objects.count()
    answer = client_of(who).post(address(cast, whom, "role"), {"role": role})
    assert answer.status_code == status
    assert (member(cast, whom).role == role) == (status == 302)
    assert AuditEntry.objects.count() - before == (status == 302)


def test_an_admin_makes_no_owner_and_touches_none(cast: Cast, client_of: ClientOf) -> None:
    services.set_member(cast.actor("alice"), cast.alpha, cast.bob, Role.ADMIN)
    bob = client_of("bob")
    assert b'value="owner"' not in bob.get(LIST).content
    for path, body in ((address(cast, "bob", "role"), {"role": "owner"}), (address(cast, "alice", "role"), {"role": "viewer"}),
                       (address(cast, "alice", "remove"), {}), (INVITE, {"mail": "x@example.org", "role": "owner"})):
        assert bob.post(path, body).status_code == 403, path
    assert member(cast, "alice").role == Role.OWNER


def test_who_is_removed_loses_the_keys_too(cast: Cast, client_of: ClientOf) -> None:
    services.create_key(cast.actor("bob"), cast.alpha, name="bobs")
    alice, path = client_of("alice"), address(cast, "bob", "remove")
    assert "1 key of theirs here is refused" in alice.get(path).content.decode()
    assert "bob is no longer in Alpha" in alice.post(path, follow=True).content.decode()
    assert not ApiKey.objects.filter(revoked_at=None).exists()
    assert client_of("bob").get(LIST).status_code == 404


def test_one_may_leave_but_the_last_owner_may_not(cast: Cast, client_of: ClientOf) -> None:
    vera = client_of("vera")
    assert "Leave Alpha?" in vera.get(address(cast, "vera", "remove")).content.decode()
    assert vera.post(address(cast, "vera", "remove"))["Location"] == "/"
    alice, path = client_of("alice"), address(cast, "alice", "remove")
    assert "Make somebody else an owner first" in alice.get(path).content.decode()
    assert alice.post(path).status_code == 409


@pytest.mark.usefixtures("post")
def test_an_invitation_goes_out_by_mail_and_can_be_taken_back(client_of: ClientOf) -> None:
    alice, form = client_of("alice"), {"mail": "New@Example.org", "role": "developer", "once": "one-sheet"}
    assert "is on its way to" in alice.post(INVITE, form, follow=True).content.decode()
    alice.post(INVITE, form)
    row = Invitation.objects.get()
    assert (row.mail, row.role, len(mail.outbox)) == ("new@example.org", "developer", 1)
    assert "new@example.org" in alice.get(LIST).content.decode()
    assert "new@example.org" not in client_of("bob").get(LIST).content.decode()
    assert "opens nothing any more" in alice.post(f"{LIST}invitations/{row.uid}/revoke/", follow=True).content.decode()
    assert "new@example.org" not in alice.get(LIST).content.decode()
    assert not Invitation.objects.open().exists()


def test_without_a_mail_server_the_link_is_shown_once(client_of: ClientOf, settings: Any) -> None:
    settings.PORTAL_MAIL_URL = ""
    page = client_of("alice").post(INVITE, {"mail": "new@example.org", "role": "viewer"})
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    assert f"{settings.PORTAL_URL}/" in page.content.decode()


@pytest.mark.parametrize(("form", "status", "at"), [
    ({"mail": "no address", "role": "viewer"}, 422, "id_mail_error"), ({"mail": "", "role": "viewer"}, 422, "id_mail_error"),
    ({"mail": "new@example.org", "role": "OWNER "}, 422, "id_role_error"),
    ({"mail": "bob@example.org", "role": "viewer"}, 409, "id_mail_error"),
])
def test_a_refused_invitation_stands_at_its_field(client_of: ClientOf, form: dict[str, str], status: int, at: str) -> None:
    page = client_of("alice").post(INVITE, {**form, "once": "one-sheet"})
    assert (page.status_code, at in page.content.decode()) == (status, True)
    assert 'value="one-sheet"' not in page.content.decode() or status == 422
    assert not Invitation.objects.exists()


def test_the_list_costs_the_same_for_many_members(
        cast: Cast, client_of: ClientOf, django_assert_max_num_queries: Any) -> None:
    for number in range(60):
        Membership.objects.create(workspace=cast.alpha, user=make_user(f"person-{number}"), role=Role.VIEWER)
    alice = client_of("alice")
    alice.get("/w/alpha/")  # the first page of a session notes the session
    with django_assert_max_num_queries(18):
        alice.get(LIST)
