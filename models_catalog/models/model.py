from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.models import User, Workspace
from portal.tenancy.models.people import slug_rule
from portal.tenancy.rows import Row

from ..choices import ArtifactKind, Task


class Seeded(models.Model):
    """A row that the seed may have written: `seeded` holds what it wrote, so that a person's change is told apart."""

    seeded = models.JSONField(default=dict, editable=False, blank=True)

    class Meta:
        abstract = True


class Vendor(Seeded, Row):
    """Who made a model; its name in several languages, as ``{"enUS": …, "zhCN": …}``."""

    slug = models.CharField(_("short name"), max_length=63, unique=True, validators=[slug_rule])
    names = models.JSONField(_("names"), default=dict,
                             help_text=_('By language, such as {"enUS": "Alibaba", "zhCN": "通义千问"}.'))
    homepage = models.URLField(_("home page"), blank=True, default="")

    class Meta:
        ordering = ["slug"]
        verbose_name = _("vendor")
        verbose_name_plural = _("vendors")

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name in the reader's language, else in English, else the first one, else the short name."""
        language = (get_language() or "en").lower()
        by_language = {key[:2].lower(): text for key, text in reversed(list(self.names.items()))}
        return by_language.get(language[:2]) or by_language.get("en") or next(iter(self.names.values()), self.slug)


class CatalogModelQuerySet(models.QuerySet["CatalogModel"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        """Shelved models that are shared, and the workspaces' own."""
        return self.filter(models.Q(models.Exists(workspaces), workspace=None)
                           | models.Q(workspace__in=workspaces), shelved=True)


class CatalogModel(Seeded, Row):
    """What can be served. Architecture numbers are the text part's, as in the model's config.json."""

    slug = models.CharField(_("short name"), max_length=63, unique=True, validators=[slug_rule])
    name = models.CharField(_("name"), max_length=120)
    vendor = models.ForeignKey(Vendor, models.PROTECT, related_name="models", verbose_name=_("vendor"))
    workspace = models.ForeignKey(Workspace, models.PROTECT, null=True, blank=True, related_name="models",
                                  verbose_name=_("only for workspace"))
    task = models.CharField(_("task"), max_length=12, choices=Task.choices)
    category = models.CharField(_("category"), max_length=20, blank=True, default="")
    shelved = models.BooleanField(_("on the shelf"), default=True,
                                  help_text=_("Only models on the shelf can be chosen."))
    description = models.TextField(_("description"), blank=True, default="")
    licence = models.CharField(_("licence"), max_length=80, blank=True, default="")
    gated = models.BooleanField(_("gated"), default=False,
                                help_text=_("The hub asks for an accepted form and a token."))
    languages = models.JSONField(_("languages"), default=list, blank=True)
    released = models.CharField(_("released"), max_length=10, blank=True, default="")
    parameters = models.PositiveBigIntegerField(_("parameters"), null=True, blank=True)
    parameters_active = models.PositiveBigIntegerField(_("active parameters"), null=True, blank=True)
    context_tokens = models.PositiveIntegerField(_("context"), null=True, blank=True)
    weights_bytes = models.PositiveBigIntegerField(_("weights"), null=True, blank=True)
    architecture = models.CharField(_("architecture"), max_length=80, blank=True, default="")
    dtype = models.CharField(_("number format"), max_length=12, blank=True, default="")
    quantisation = models.CharField(_("quantisation"), max_length=40, blank=True, default="")
    # layers, hidden_size, heads, kv_heads, head_dim, vocab_size, moe, kv_layout, kv_bytes_per_token, … (sizing.py)
    shape = models.JSONField(_("architecture numbers"), default=dict, blank=True)
    sources = models.JSONField(_("sources"), default=list, blank=True)

    objects = CatalogModelQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        verbose_name = _("model")
        verbose_name_plural = _("models")
        permissions = [("shelve_catalogmodel", "Can put models on the shelf and take them off")]

    def __str__(self) -> str:
        return self.name


class Artifact(Seeded, HoldsSecrets, Row):
    """Where the weights of a model lie. A hub's model is pinned by its revision."""

    model = models.ForeignKey(CatalogModel, models.CASCADE, related_name="artifacts", verbose_name=_("model"))
    kind = models.CharField(_("kind"), max_length=12, choices=ArtifactKind.choices)
    location = models.CharField(_("location"), max_length=500,
                                help_text=_("Hub ID, absolute folder, or address, as the kind asks for."))
    revision = models.CharField(_("revision"), max_length=80, blank=True, default="",
                                help_text=_("Commit of the hub's repository; a branch can change under you."))
    size_bytes = models.PositiveBigIntegerField(_("size"), null=True, blank=True)
    token = EncryptedField(host_field="location")

    class Meta:
        ordering = ["model", "kind", "location"]
        constraints = [models.UniqueConstraint(fields=["model", "kind", "location", "revision"], name="artifact_once")]
        verbose_name = _("artifact")
        verbose_name_plural = _("artifacts")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.location}"
