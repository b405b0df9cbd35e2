from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from .people import User, Workspace


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.filter(workspace__in=Workspace.objects.visible_to(user))


class AuditEntry(models.Model):
    """Who did what to which object, with the changed values before and after. Never changed, never with secrets."""

    at = models.DateTimeField(_("when"), auto_now_add=True, db_index=True)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("who"))
    actor_label = models.CharField(_("who"), max_length=200)
    workspace = models.ForeignKey(Workspace, models.SET_NULL, null=True, related_name="+", verbose_name=_("workspace"))
    verb = models.CharField(_("did"), max_length=40)
    kind = models.CharField(_("kind"), max_length=60)
    object_uid = models.CharField(_("object"), max_length=40, db_index=True)
    object_label = models.CharField(_("name"), max_length=200)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    request_id = models.CharField(_("request"), max_length=40, blank=True, default="")

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit")

    def __str__(self) -> str:
        return f"{self.actor_label} {self.verb} {self.object_label}"


class AuditSeal(models.Model):
    """A link of the audit's chain: an entry as it was, and everything before it, in one digest (`portal.tenancy.sealing`).

    `entry_id`, `actor_id` and `workspace_id` are plain numbers: they stay when what they name is gone. Only one link can
    follow another, so two that seal at the same time make no fork.
    """

    entry_id = models.BigIntegerField(unique=True)
    actor_id = models.BigIntegerField(null=True)
    workspace_id = models.BigIntegerField(null=True)
    previous = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["id"]
        verbose_name = "audit seal"
        verbose_name_plural = "audit seals"

    def __str__(self) -> str:
        return f"{self.entry_id} {self.digest[:8]}"
