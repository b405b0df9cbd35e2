from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..roles import Role
from ..rows import Row
from .access import digest_of
from .people import User, Workspace

VALID_FOR = timedelta(days=7)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(workspace__in=Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(workspace__in=workspaces)

    def open(self, now: datetime | None = None) -> Self:
        """Those that still let somebody in: not used, not revoked, not too old."""
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=now or timezone.now())


class Invitation(Row):
    """A way into a workspace for whoever reads the mail of one address: once, and for a week. Of its token only the
    digest is kept."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="invitations", verbose_name=_("workspace"))
    mail = models.EmailField(_("e-mail"))
    role = models.CharField(_("role"), max_length=12, choices=Role.choices, default=Role.VIEWER)
    invited_by = models.ForeignKey(User, models.CASCADE, related_name="+", verbose_name=_("invited by"))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # Where no mail could go out, the inviter got the link: then it is no proof that the address is the person's.
    was_mailed = models.BooleanField(default=True, editable=False)
    expires_at = models.DateTimeField(_("expires"))
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True, editable=False)
    accepted_by = models.ForeignKey(User, models.CASCADE, related_name="+", null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["workspace", "-created_at"], name="invitation_of_workspace"),
                   models.Index(fields=["mail", "-created_at"], name="invitation_to_mail")]
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return f"{self.mail} · {self.workspace} · {self.get_role_display()}"

    @property
    def state(self) -> str:
        if self.accepted_at:
            return "accepted"
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at <= timezone.now() else "open"

    def draw_token(self) -> str:
        """Give this new row its digest; returns the token, which is kept nowhere."""
        token = secrets.token_urlsafe(32)
        self.digest = digest_of(token)
        return token
