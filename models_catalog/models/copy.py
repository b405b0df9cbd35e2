from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clusters.models import Cluster
from portal.tenancy.models import User, Workspace
from portal.tenancy.rows import Row

from ..states import AccessMode, CopyMethod, CopyState, allowed
from .model import Artifact


class ModelCopyQuerySet(models.QuerySet["ModelCopy"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        """The workspaces' own copies, and shared ones in places that they may use."""
        places = Cluster.objects.for_workspaces(workspaces)
        return self.filter(models.Q(workspace__in=workspaces) | models.Q(workspace=None, cluster__in=places))

    def due(self) -> Self:
        """Rows whose next look is due, by the database's clock."""
        return self.filter(next_look_at__lte=Now())


class ModelCopy(Row):
    """An artifact that lies, or is to lie, in a cluster before anything is deployed from it.

    The upper half is what people wish, the lower half what the keeper has seen.
    """

    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="copies", verbose_name=_("artifact"))
    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="copies", verbose_name=_("place"))
    workspace = models.ForeignKey(Workspace, models.PROTECT, null=True, blank=True, related_name="copies",
                                  verbose_name=_("only for workspace"),
                                  help_text=_("Leave empty to share the copy with every workspace."))
    # Of a reference: the shared copy that it shows.
    shared = models.ForeignKey("self", models.CASCADE, null=True, related_name="references", editable=False)
    method = models.CharField(_("loaded by"), max_length=9, choices=CopyMethod.choices, editable=False)
    # {"kind", "location", "revision"} as they were asked for: the artifact may be changed later.
    source = models.JSONField(default=dict, editable=False)
    name = models.CharField(_("name in the cluster"), max_length=63, editable=False)
    namespace = models.CharField(_("namespace"), max_length=63, editable=False)
    image = models.CharField(_("loader's image"), max_length=300, blank=True, default="", editable=False)
    storage_class = models.CharField(_("storage class"), max_length=63, blank=True, default="",
                                     help_text=_("Empty takes the cluster's default."))
    access_mode = models.CharField(_("read by"), max_length=16, choices=AccessMode.choices, default=AccessMode.MANY)
    size_bytes = models.PositiveBigIntegerField(_("volume"), help_text=_("What is asked of the storage."))
    notes = models.JSONField(default=list, editable=False)
    round = models.PositiveIntegerField(_("round"), default=1, editable=False)
    version = models.PositiveBigIntegerField(default=0, editable=False)

    state = models.CharField(_("state"), max_length=8, choices=CopyState.choices, default=CopyState.PENDING, editable=False)
    state_since = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    cause = models.CharField(_("cause"), max_length=24, blank=True, default="", editable=False)
    message = models.CharField(_("message"), max_length=1000, blank=True, default="", editable=False)
    claim = models.CharField(_("volume claim"), max_length=253, blank=True, default="", editable=False)
    sent_round = models.PositiveIntegerField(default=0, editable=False)
    loaded_round = models.PositiveIntegerField(default=0, editable=False)
    bytes_done = models.PositiveBigIntegerField(_("loaded"), default=0, editable=False)
    bytes_total = models.PositiveBigIntegerField(_("to load"), default=0, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    seen_at = models.DateTimeField(_("looked at"), null=True, editable=False)
    next_look_at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)

    objects = ModelCopyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["cluster", "namespace", "name"], name="copy_name_once")]
        verbose_name = _("copy in a cluster")
        verbose_name_plural = _("copies in clusters")
        permissions = [("retry_modelcopy", "Can load a copy once more"),
                       ("remove_modelcopy", "Can remove a copy from its cluster")]

    def __str__(self) -> str:
        return f"{self.name} · {self.cluster}"

    @property
    def folder(self) -> str:
        """Where in the volume the model lies: a disk's root can have files of its own, such as lost+found."""
        return "model" if self.method == CopyMethod.JOB else ""

    @property
    def allowed(self) -> timedelta | None:
        """How long it may be as it is now; None for ever."""
        return allowed(self.state, self.size_bytes)

    @property
    def weights(self) -> dict[str, Any]:
        """What a revision freezes of it; a copy's claim is called as the copy itself."""
        return {"claim": self.name, "folder": self.folder}
