"""Invitations into a workspace by a link in a mail: made, revoked, found again by their token, accepted (threat T9)."""

from __future__ import annotations

import logging
import smtplib
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _

from . import audit, tries
from .actor import Actor
from .db import retry_tx
from .errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from .models import Invitation, Membership, User, Workspace, digest_of
from .models.invitations import VALID_FOR
from .roles import RANK, Role, Verb
from .services import clean_or_raise, set_member
from .text import clean

log = logging.getLogger(__name__)
MAILS_TO_ONE_ADDRESS = 5  # a day, from all workspaces together
MAILS_OF_ONE_PERSON = 50  # a day
DAY = 86400


@dataclass(frozen=True)
class Invited:
    """`link` is empty where it went out by mail. Else it is shown to the inviter, this once."""

    invitation: Invitation
    link: str


def invite(actor: Actor, workspace: Workspace, mail: str, role: str) -> Invited:
    """Invite whoever reads `mail`; an open invitation of the same address to this workspace is replaced.

    The mail goes out before this returns. Raises Invalid (with its field), NotAllowed above the own role, Conflict for a
    member, TooMany, and Unavailable where the mail could not be sent: then nothing stays.
    """
    row, token = _store(actor, workspace, mail.strip().lower(), role)
    link = link_of(token)
    if not row.was_mailed:
        return Invited(row, link)
    try:
        _send(row, link)
    except (smtplib.SMTPException, OSError) as error:
        log.warning("an invitation could not be mailed", extra={"error": type(error).__name__})
        Invitation.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
        raise Unavailable(_("The mail server did not take the invitation. Nobody was invited; try again later.")) from None
    return Invited(row, "")


def link_of(token: str) -> str:
    """Where the mail leads: at the portal's own address, whatever a request said that it was called by."""
    return f"{settings.PORTAL_URL}{reverse('web:invitation-link', args=[token])}"


@retry_tx
def _store(actor: Actor, workspace: Workspace, mail: str, role: str) -> tuple[Invitation, str]:
    actor.require(Verb.MANAGE, workspace)
    if actor.user is None or actor.key is not None:
        raise NotAllowed(_("A person invites, by the portal's page."))
    _check(actor, workspace, mail, role)
    tries.note([tries.Rule("invited", mail, MAILS_TO_ONE_ADDRESS, DAY),
                tries.Rule("invites", str(actor.user.pk), MAILS_OF_ONE_PERSON, DAY)])
    now = timezone.now()
    Invitation.objects.open(now).filter(workspace=workspace, mail=mail).update(revoked_at=now)
    row = Invitation(workspace=workspace, mail=mail, role=role, invited_by=actor.user, expires_at=now + VALID_FOR,
                     was_mailed=bool(settings.PORTAL_MAIL_URL))
    token = row.draw_token()
    row.save()
    audit.record(actor, "invite", row, workspace=workspace, after={"mail": mail, "role": role})
    return row, token


def _check(actor: Actor, workspace: Workspace, mail: str, role: str) -> None:
    if role not in RANK:
        raise Invalid(_("There is no role “%(role)s”.") % {"role": role}, field="role")
    if RANK[Role(role)] > _rank(actor, workspace):
        raise NotAllowed(_("Nobody can grant or take a role above their own."), field="role")
    try:
        validate_email(mail)
    except ValidationError:
        raise Invalid(_("This is no mail address: write it as name@example.com."), field="mail") from None
    if Membership.objects.filter(workspace=workspace, user__email__iexact=mail).exists():
        raise Conflict(_("Somebody with this address is a member already. Change the role in the list of members."),
                       field="mail")


def _rank(actor: Actor, workspace: Workspace) -> int:
    if actor.operates:
        return max(RANK.values())
    role = Membership.objects.filter(workspace=workspace, user=actor.user).values_list("role", flat=True).first()
    return RANK[Role(role)] if role else -1


@retry_tx
def revoke_invitation(actor: Actor, invitation: Invitation) -> None:
    """Close the way in that this invitation opened. Nobody revokes one above their own role; repeating it does nothing."""
    workspace = invitation.workspace
    actor.require(Verb.MANAGE, workspace)
    if RANK[Role(invitation.role)] > _rank(actor, workspace):
        raise NotAllowed(_("Nobody can grant or take a role above their own."))
    if Invitation.objects.open().filter(pk=invitation.pk).update(revoked_at=timezone.now()):
        audit.record(actor, "revoke invitation", invitation, workspace=workspace)


def find(token: str) -> Invitation:
    """The open invitation of this token. Raises NotFound, the same for unknown, used, revoked and expired ones, and for
    those whose inviter could not invite any more."""
    return _open(digest=digest_of(token))


def find_again(uid: str | None) -> Invitation:
    """The same for a browser that has shown its token before. Raises NotFound."""
    return _open(uid=uid)


def _open(**where: str | None) -> Invitation:
    row = Invitation.objects.open().select_related("workspace", "invited_by").filter(**where).first()
    if row is None or not _still_granted(row):
        raise NotFound(_("This invitation is not valid any more. Ask for a new one."))
    return row


def _still_granted(row: Invitation) -> bool:
    inviter = Actor(user=row.invited_by)
    return Verb.MANAGE in inviter.verbs(row.workspace) and RANK[Role(row.role)] <= _rank(inviter, row.workspace)


@retry_tx
def accept(user: User, invitation: Invitation) -> Membership:
    """Join the workspace, as the person whose address was invited. Raises NotFound, NotAllowed for another's address."""
    row = find_again(str(invitation.uid))
    if not user.is_active or user.email.lower() != row.mail:
        raise NotAllowed(_("This invitation is for %(mail)s. Sign in with that address.") % {"mail": row.mail})
    now = timezone.now()
    if not Invitation.objects.open(now).filter(pk=row.pk).update(accepted_at=now, accepted_by=user):
        raise NotFound()
    held = Membership.objects.filter(workspace=row.workspace, user=user).first()
    if held is not None and RANK[Role(held.role)] >= RANK[Role(row.role)]:
        return held  # An invitation never takes rights away.
    member = set_member(Actor(user=row.invited_by), row.workspace, user, row.role)
    audit.record(Actor(user=user), "accept invitation", row, workspace=row.workspace, after={"role": row.role})
    return member


def is_invited(mail: str) -> bool:
    """Whether somebody wants the person with this address in a workspace."""
    rows = Invitation.objects.open().select_related("workspace", "invited_by").filter(mail=mail.lower())
    return any(map(_still_granted, rows))


def has_account(invitation: Invitation) -> bool:
    """Whether the invited person signs in rather than makes an account."""
    return User.objects.filter(email__iexact=invitation.mail).exists()


@retry_tx
def join_as_new(invitation: Invitation, *, username: str, password: str) -> Membership:
    """Make the invited person's account and let it in. Raises Invalid and Conflict with their field, NotFound."""
    row = find_again(str(invitation.uid))
    if has_account(row):
        raise Conflict(_("There is an account with this address already. Sign in with it."))
    user = _new_user(row.mail, username.strip(), password)
    audit.record(Actor(user=user), "create account", user, workspace=row.workspace, after={"username": user.username})
    return accept(user, row)


def _new_user(mail: str, username: str, password: str) -> User:
    if "@" in username:
        raise Invalid(_("A user name has no “@”: people sign in by name or by mail address."), field="username")
    user = User(username=username, email=mail, language=translation.get_language() or "")
    clean_or_raise(user, but=("password",))
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from None
    if User.objects.filter(username__iexact=username).exists():
        raise Conflict(_("This user name is taken. Choose another."), field="username")
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise Conflict(_("This user name is taken. Choose another."), field="username") from None
    return user


def _send(row: Invitation, link: str) -> None:
    """In the language of the invited person, where we know one, else of the inviter."""
    known = User.objects.filter(email__iexact=row.mail).exclude(language="").values_list("language", flat=True).first()
    language = known or row.invited_by.language or translation.get_language() or settings.LANGUAGE_CODE
    host = urlsplit(settings.PORTAL_URL).hostname
    with translation.override(language):
        inviter = row.invited_by.get_full_name() or row.invited_by.get_username()
        names = {"inviter": clean(inviter, 80), "workspace": clean(row.workspace.name, 100), "portal": settings.PORTAL_URL}
        title = _("%(inviter)s invites you to %(workspace)s") % names
        lines = [
            _("%(inviter)s invites you to the workspace %(workspace)s of the Inference Portal at %(portal)s.") % names, "",
            _("Your role there: %(role)s. Open this link to join:") % {"role": row.get_role_display()}, "", link, "",
            _("It works once, until %(date)s UTC. If you expected no invitation, ignore this mail: nothing happens.") % {
                "date": formats.date_format(row.expires_at, "DATETIME_FORMAT")}]
        EmailMessage(
            title.replace("\n", " ").replace("\r", " "), "\n".join(lines), to=[row.mail],
            headers={"Message-ID": f"<{row.uid}@{host}>", "Auto-Submitted": "auto-generated"}).send()


