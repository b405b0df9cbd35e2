from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.tenancy.models import User, Workspace
from portal.tenancy.models.people import slug_rule
from portal.tenancy.rows import Row

from ..states import ClusterKind


class ClusterQuerySet(models.QuerySet["Cluster"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Shared places, and those of the person's workspaces."""
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(models.Q(models.Exists(workspaces), workspace=None)
                           | models.Q(workspace__in=workspaces))


class Cluster(Row):
    """A place where models run. Without a workspace it is shared by all."""

    name = models.CharField(_("name"), max_length=63, unique=True, validators=[slug_rule])
    kind = models.CharField(_("kind"), max_length=12, choices=ClusterKind.choices)
    workspace = models.ForeignKey(Workspace, models.PROTECT, null=True, blank=True, related_name="clusters",
                                  verbose_name=_("only for workspace"),
                                  help_text=_("Leave empty to share this place with every workspace."))
    description = models.CharField(_("description"), max_length=200, blank=True, default="")
    paused = models.BooleanField(_("takes nothing new"), default=False)
    seen_at = models.DateTimeField(_("looked at"), null=True, blank=True, editable=False)
    message = models.CharField(_("message"), max_length=500, blank=True, default="", editable=False)

    objects = ClusterQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("place")
        verbose_name_plural = _("places")
        permissions = [("resize_cluster", "Can change the size of instance groups of HyperPod clusters")]

    def __str__(self) -> str:
        return self.name


class Node(Row):
    """A machine in a place, with what it has and what strangers use of it. Units: thousandths of a CPU, bytes."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="nodes", verbose_name=_("place"))
    name = models.CharField(_("name"), max_length=253)
    ready = models.BooleanField(_("ready"), default=True)
    cpu_millis = models.PositiveIntegerField(_("CPU"), default=0)
    memory_bytes = models.PositiveBigIntegerField(_("memory"), default=0)
    memory_used_by_others = models.PositiveBigIntegerField(_("memory used by others"), default=0)
    disk_bytes = models.PositiveBigIntegerField(_("disk"), default=0)
    disk_free_bytes = models.PositiveBigIntegerField(_("disk free"), default=0)
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True, default="")
    # Of nodes of a Kubernetes cluster; on hosts, claims say what is taken.
    schedulable = models.BooleanField(_("takes new pods"), default=True)
    taints = models.JSONField(_("taints"), default=list, blank=True)
    gpus = models.PositiveSmallIntegerField(_("GPUs"), default=0)
    gpus_requested = models.PositiveSmallIntegerField(_("GPUs requested"), default=0)
    gpus_requested_by_us = models.PositiveSmallIntegerField(_("GPUs requested by endpoints"), default=0)
    cpu_requested_millis = models.PositiveIntegerField(_("CPU requested"), default=0)
    memory_requested_bytes = models.PositiveBigIntegerField(_("memory requested"), default=0)
    memory_requested_by_us = models.PositiveBigIntegerField(_("memory requested by endpoints"), default=0)
    simulated = models.BooleanField(_("GPUs are simulated"), default=False,
                                    help_text=_("A fake GPU operator made them: only CPU engines can run here."))
    # Of HyperPod's machines, as AWS names them and how it finds them; empty elsewhere.
    instance_id = models.CharField(_("instance"), max_length=40, blank=True, default="")
    instance_group = models.CharField(_("instance group"), max_length=63, blank=True, default="")
    instance_status = models.CharField(_("state in AWS"), max_length=40, blank=True, default="")
    instance_message = models.CharField(_("what AWS says"), max_length=300, blank=True, default="")
    # Grows with each claim; two schedulers that read the same number can't both claim.
    claims_version = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["cluster", "name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="node_name_once")]
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        permissions = [("repair_node", "Can reboot and replace nodes of HyperPod clusters")]

    def __str__(self) -> str:
        return self.name

    @property
    def has_joined(self) -> bool:
        """Whether the place's own API has told of it; AWS knows of machines before Kubernetes does, and after."""
        return self.cpu_millis > 0


class Accelerator(Row):
    """A GPU (or its like) in a node. `used_by_others` counts memory that processes not ours hold."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="accelerators", verbose_name=_("node"))
    index = models.PositiveSmallIntegerField(_("index"))
    device_uuid = models.CharField(_("device"), max_length=80, blank=True, default="")
    model = models.CharField(_("model"), max_length=100)
    memory_bytes = models.PositiveBigIntegerField(_("memory"))
    used_by_others = models.PositiveBigIntegerField(_("used by others"), default=0)
    simulated = models.BooleanField(_("simulated"), default=False)

    class Meta:
        ordering = ["node", "index"]
        constraints = [models.UniqueConstraint(fields=["node", "index"], name="accelerator_index_once")]
        verbose_name = _("accelerator")
        verbose_name_plural = _("accelerators")

    def __str__(self) -> str:
        return f"{self.node} · {self.index} · {self.model}"
