from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.models import User, Workspace
from portal.tenancy.models.people import slug_rule
from portal.tenancy.rows import Row

from ..choices import Device, EngineKind
from ..registries import registry_of
from .model import Artifact, CatalogModel, Seeded


class EngineRelease(Seeded, HoldsSecrets, Row):
    """A release of an engine, as an agent can start it or a cluster can pull it."""

    slug = models.CharField(_("short name"), max_length=63, unique=True,
                            help_text=_("Also the folder of its virtual environment on hosts."))
    kind = models.CharField(_("engine"), max_length=8, choices=EngineKind.choices)
    version = models.CharField(_("version"), max_length=20)
    device = models.CharField(_("device"), max_length=5, choices=Device.choices)
    image = models.CharField(_("image"), max_length=300, blank=True, default="")
    registry_user = models.CharField(_("registry's user"), max_length=200, blank=True, default="", editable=False)
    # Bound to the registry and not to the whole image: another tag comes from the same place.
    registry_password = EncryptedField(host_field="registry")
    enabled = models.BooleanField(_("can be chosen"), default=True)

    class Meta:
        ordering = ["slug"]
        verbose_name = _("engine release")
        verbose_name_plural = _("engine releases")

    @property
    def registry(self) -> str:
        """Where clusters pull the image; the login is kept for this place only."""
        return registry_of(self.image)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.version} · {self.get_device_display()}"


class ProfileQuerySet(models.QuerySet["Profile"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        shelf = CatalogModel.objects.for_workspaces(workspaces)
        return self.filter(model__in=shelf, release__enabled=True)


class Profile(Seeded, Row):
    """One tried way to serve a model: engine, arguments, environment and what each replica needs."""

    slug = models.CharField(_("short name"), max_length=63, unique=True, validators=[slug_rule])
    name = models.CharField(_("name"), max_length=120)
    model = models.ForeignKey(CatalogModel, models.CASCADE, related_name="profiles", verbose_name=_("model"))
    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="profiles", verbose_name=_("artifact"))
    release = models.ForeignKey(EngineRelease, models.PROTECT, related_name="profiles",
                                verbose_name=_("engine release"))
    places = models.JSONField(_("kinds of place"), default=list, blank=True, help_text=_("Empty means any."))
    arguments = models.JSONField(_("engine arguments"), default=dict, blank=True,
                                 help_text=_('By name, such as {"max-model-len": 4096, "enforce-eager": true}.'))
    environment = models.JSONField(_("environment"), default=dict, blank=True)
    cpu_millis = models.PositiveIntegerField(_("CPU, thousandths"), default=1000)
    memory_bytes = models.PositiveBigIntegerField(_("memory, bytes"))
    gpus = models.PositiveSmallIntegerField(_("GPUs"), default=0, help_text=_("Of each node that a replica takes."))
    nodes = models.PositiveSmallIntegerField(_("nodes of a replica"), default=1,
                                             help_text=_("More than one where tensor x pipeline parallel spans nodes."))
    gpu_memory_bytes = models.PositiveBigIntegerField(_("memory on each GPU, bytes"), default=0)
    # {"node_selector": {}, "tolerations": [], "priority_class": "", "runtime_class": ""}, for Kubernetes.
    placement = models.JSONField(_("placement"), default=dict, blank=True)
    start_seconds = models.PositiveIntegerField(_("start takes at most, seconds"), default=900)

    objects = ProfileQuerySet.as_manager()

    class Meta:
        ordering = ["model", "slug"]
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")

    def __str__(self) -> str:
        return f"{self.model} · {self.name}"
