from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.core.validators import RegexValidator
from django.db import models
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from ..rows import Row

if TYPE_CHECKING:
    from .limits import Limit

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
    """A tenant: its members, keys, endpoints and limits."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(_("short name"), max_length=63, unique=True, validators=[slug_rule],
                            help_text=_("Part of names in clusters; it can't be changed later."))
    claims_version = models.PositiveBigIntegerField(default=0, editable=False)

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("workspace")
        verbose_name_plural = _("workspaces")

    def __str__(self) -> str:
        return self.name

    @cached_property
    def own_limits(self) -> list[Limit]:
        """The row of limits of the workspace itself, if it has one: as it was when it was first asked for."""
        return [] if self._state.adding else list(self.limits.filter(kind="workspace"))

    # How much of each the workspace may have; None means no limit. `services.change_workspace` changes them.

    @property
    def max_endpoints(self) -> int | None:
        return self.own_limits[0].endpoints if self.own_limits else None

    @property
    def max_replicas(self) -> int | None:
        return self.own_limits[0].replicas if self.own_limits else None

    @property
    def max_gpus(self) -> int | None:
        return self.own_limits[0].gpus if self.own_limits else None
