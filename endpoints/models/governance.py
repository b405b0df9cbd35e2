from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.tenancy.models import User, Workspace
from portal.tenancy.rows import Row

# A label's value in Kubernetes.
label_rule = RegexValidator(r"\A[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z", _(
    "Use up to 63 letters, digits and . _ - inside; start and end with a letter or digit."))


class TaskGovernanceQuerySet(models.QuerySet["TaskGovernance"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(workspace__in=workspaces)


class TaskGovernance(Row):
    """In which queue a workspace's endpoints wait on HyperPod clusters, and how important they are there (Kueue).

    Only operators may give an endpoint another, by its options. It counts for revisions that are made after it.
    """

    workspace = models.OneToOneField(Workspace, models.CASCADE, related_name="governance", verbose_name=_("workspace"))
    queue = models.CharField(_("queue"), max_length=63, blank=True, default="", validators=[label_rule], help_text=_(
        "Name of a LocalQueue in the workspace's namespace."))
    priority_class = models.CharField(_("priority class"), max_length=63, blank=True, default="", validators=[label_rule],
                                      help_text=_("Name of a WorkloadPriorityClass, such as inference-priority."))

    objects = TaskGovernanceQuerySet.as_manager()

    class Meta:
        ordering = ["workspace"]
        verbose_name = _("task governance")
        verbose_name_plural = _("task governance")

    def __str__(self) -> str:
        return str(self.workspace)

    @property
    def as_options(self) -> dict[str, str]:
        """Under the names of an endpoint's own options."""
        given = {"queue": self.queue, "priorityClass": self.priority_class}
        return {name: value for name, value in given.items() if value}
