from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..rows import Row

slug_rule = RegexValidator(
    r"\A[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,62}\Z",
    _("Use 1 to 63 lower-case letters, digits and single hyphens; start with a letter and don't end with a hyphen."),
)


class User(AbstractUser):
    """A person. Operators are staff; `operate` lets one act in every workspace."""

    language = models.CharField(_("language"), max_length=12, blank=True, default="")

    class Meta(AbstractUser.Meta):
        permissions = [("operate", "Can see and act in every workspace")]

    @property
    def sees_everything(self) -> bool:
        return self.is_active and (self.is_superuser or self.has_perm("tenancy.operate"))


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The workspaces that this person is a member of; all, for an operator."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        if user.sees_everything:
            return self
        return self.filter(memberships__user=user)


class Workspace(Row):
    """A tenant: its members, keys, endpoints and limits. An empty limit means no limit."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(_("short name"), max_length=63, unique=True, validators=[slug_rule],
                            help_text=_("Part of names in clusters; it can't be changed later."))
    max_endpoints = models.PositiveIntegerField(_("endpoints at most"), null=True, blank=True)
    max_replicas = models.PositiveIntegerField(_("replicas at most"), null=True, blank=True)
    max_gpus = models.PositiveIntegerField(_("GPUs at most"), null=True, blank=True)
    claims_version = models.PositiveBigIntegerField(default=0, editable=False)

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("workspace")
        verbose_name_plural = _("workspaces")

    def __str__(self) -> str:
        return self.name
