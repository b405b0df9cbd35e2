from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.tenancy.models import User, Workspace
from portal.tenancy.rows import Row

from .model import Artifact


class EulaAcceptance(Row):
    """That somebody accepted the licence of one version of a hub's model, for one workspace. It is never changed."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", verbose_name=_("workspace"))
    artifact = models.ForeignKey(Artifact, models.CASCADE, related_name="acceptances", verbose_name=_("artifact"))
    # As they were then: an artifact can be changed.
    location = models.CharField(_("model"), max_length=500)
    revision = models.CharField(_("version"), max_length=80)
    url = models.CharField(_("licence"), max_length=500, blank=True, default="")
    digest = models.CharField(_("SHA-256 of the text"), max_length=64, blank=True, default="")
    accepted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("accepted by"))

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["workspace", "artifact", "location", "revision"],
                                               name="eula_accepted_once")]
        verbose_name = _("accepted licence")
        verbose_name_plural = _("accepted licences")

    def __str__(self) -> str:
        return f"{self.workspace} · {self.location} {self.revision}"
