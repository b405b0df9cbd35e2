"""Invitations: who may invite whom as what, the mail, and a link that works once (threat T9)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from portal.tenancy import invitations
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError, TooMany, Unavailable
from portal.tenancy.models import AuditEntry, Invitation, Membership, User
from tests.cast import Cast, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
PASSWORD = "a-Long-enough-1"


@pytest.fixture(autouse=True)
def with_mail(settings: Any) -> None:
    settings.PORTAL_MAIL_URL = "smtp://mail.example"
    settings.PORTAL_URL = "https://portal.example"


def token_of(message: Any) -> str:
    found = re.search(r"https://portal\.example/account/invitation/([^/\s]+)/", message.body)
    assert found is not None
    return found[1]


def invited(cast: Cast, address: str = "new@example.org", role: str = "developer") -> Invitation:
    return invitations.invite(cast.actor("alice"), cast.alpha, address, role).invitation


@pytest.mark.parametrize(("name", "role", "refusal"), [
    ("alice", "owner", None), ("alice", "viewer", None), ("bob", "viewer", NotAllowed), ("vera", "viewer", NotAllowed),
    ("charlie", "viewer", NotFound), ("operator", "owner", None), ("alice", "OWNER ", Invalid), ("alice", "root", Invalid),
])
def test_who_may_invite_as_what(cast: Cast, name: str, role: str, refusal: type[PortalError] | None) -> None:
    if refusal is None:
        assert invitations.invite(cast.actor(name), cast.alpha, "new@example.org", role).link == ""
        return
    with pytest.raises(refusal):
        invitations.invite(cast.actor(name), cast.alpha, "new@example.org", role)
    assert (Invitation.objects.count(), mail.outbox) == (0, [])


def test_an_admin_invites_and_revokes_nobody_above_an_admin(cast: Cast) -> None:
    Membership.objects.filter(user=cast.bob).update(role="admin")
    with pytest.raises(NotAllowed):
        invitations.invite(cast.actor("bob"), cast.alpha, "new@example.org", "owner")
    row = invited(cast, role="owner")
    with pytest.raises(NotAllowed):
        invitations.revoke_invitation(cast.actor("bob"), row)


@pytest.mark.parametrize(("address", "refusal"), [
    ("no address", Invalid), ("", Invalid), ("a@b\nBcc: c@d.example", Invalid), ("BOB@example.org", Conflict),
])
def test_addresses_that_cannot_be_invited(cast: Cast, address: str, refusal: type[PortalError]) -> None:
    with pytest.raises(refusal) as caught:
        invited(cast, address)
    assert caught.value.field == "mail"


def test_the_mail_is_in_the_invited_persons_language_and_keeps_the_token_to_itself(cast: Cast) -> None:
    User.objects.filter(pk=cast.charlie.pk).update(language="ko")
    row = invited(cast, "Charlie@Example.org")
    message, = mail.outbox
    assert message.to == ["charlie@example.org"]
    token = token_of(message)
    assert invitations.find(token) == row
    assert token not in str(Invitation.objects.values().get()) + str(list(AuditEntry.objects.values()))


def test_without_a_mail_server_the_inviter_gets_the_link_once(cast: Cast, settings: Any) -> None:
    settings.PORTAL_MAIL_URL = ""
    made = invitations.invite(cast.actor("alice"), cast.alpha, "new@example.org", "viewer")
    assert made.link.startswith("https://portal.example/account/invitation/")
    assert mail.outbox == []
    assert made.invitation.was_mailed is False


def test_where_the_mail_server_refuses_nobody_is_invited(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr("portal.tenancy.invitations.EmailMessage.send", refuse)
    with pytest.raises(Unavailable):
        invited(cast)
    assert not Invitation.objects.open().exists()


def test_a_new_invitation_takes_the_place_of_the_old_one(cast: Cast) -> None:
    invited(cast)
    invited(cast, role="viewer")
    old, new = map(token_of, mail.outbox)
    assert invitations.find(new).role == "viewer"
    with pytest.raises(NotFound):
        invitations.find(old)


def test_an_address_gets_few_mails_a_day(cast: Cast) -> None:
    for _ in range(invitations.MAILS_TO_ONE_ADDRESS):
        invited(cast)
    with pytest.raises(TooMany) as caught:
        invited(cast)
    assert 86_000 < caught.value.retry_after <= 86_400
    assert Invitation.objects.open().count() == 1


def test_the_link_works_once_for_the_invited_address(cast: Cast) -> None:
    row = invited(cast, "charlie@example.org", "admin")
    for stranger in (cast.bob, cast.operator):
        with pytest.raises(NotAllowed):
            invitations.accept(stranger, row)
    assert invitations.accept(cast.charlie, row).role == "admin"
    with pytest.raises(NotFound):
        invitations.accept(cast.charlie, row)
    entry = AuditEntry.objects.get(verb="accept invitation")
    assert (entry.actor, entry.workspace) == (cast.charlie, cast.alpha)


def expire(row: Invitation, _cast: Cast) -> None:
    Invitation.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def revoke(row: Invitation, cast: Cast) -> None:
    invitations.revoke_invitation(cast.actor("alice"), row)


def lower_the_inviter(_row: Invitation, cast: Cast) -> None:
    Membership.objects.filter(user=cast.alice).update(role="developer")


def disable_the_inviter(_row: Invitation, cast: Cast) -> None:
    User.objects.filter(pk=cast.alice.pk).update(is_active=False)


@pytest.mark.parametrize("end", [expire, revoke, lower_the_inviter, disable_the_inviter])
def test_what_ends_an_invitation(cast: Cast, end: Callable[[Invitation, Cast], None]) -> None:
    row = invited(cast, "charlie@example.org")
    token = token_of(mail.outbox[0])
    end(row, cast)
    for attempt in (lambda: invitations.find(token), lambda: invitations.accept(cast.charlie, row)):
        with pytest.raises(NotFound):
            attempt()


def test_an_invitation_never_lowers_a_role(cast: Cast) -> None:
    row = invited(cast, "late@example.org", "viewer")
    late = make_user("late")
    Membership.objects.create(workspace=cast.alpha, user=late, role="admin")
    assert invitations.accept(late, row).role == "admin"


def test_a_newcomer_makes_an_account_and_joins(cast: Cast) -> None:
    member = invitations.join_as_new(invited(cast), username="newcomer", password=PASSWORD)
    assert (member.user.email, member.role, member.user.is_staff) == ("new@example.org", "developer", False)
    assert member.user.check_password(PASSWORD)


@pytest.mark.parametrize(("username", "password", "field"), [
    ("", PASSWORD, "username"), ("a b", PASSWORD, "username"), ("bob@example.org", PASSWORD, "username"),
    ("BOB", PASSWORD, "username"), ("newcomer", "short", "password"), ("newcomer", "password", "password"),
    ("newcomer", "newcomer1", "password"),
])
def test_what_an_account_needs(cast: Cast, username: str, password: str, field: str) -> None:
    row = invited(cast)
    with pytest.raises(PortalError) as caught:
        invitations.join_as_new(row, username=username, password=password)
    assert caught.value.field == field
    assert Invitation.objects.open().get() == row


def test_an_address_with_an_account_signs_in_instead(cast: Cast) -> None:
    with pytest.raises(Conflict):
        invitations.join_as_new(invited(cast, "charlie@example.org"), username="mallory", password=PASSWORD)


def test_invitations_are_seen_in_their_workspace_only(cast: Cast) -> None:
    row = invited(cast)
    assert list(Invitation.objects.open().for_workspaces(cast.actor("bob").workspaces)) == [row]
    assert not Invitation.objects.visible_to(cast.charlie).exists()
