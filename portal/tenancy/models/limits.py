from __future__ import annotations

from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..rows import Row
from .access import ApiKey, Membership
from .people import User, Workspace


class LimitKind(models.TextChoices):
    """What a row of limits is about."""

    WORKSPACE = "workspace", _("workspace")
    MEMBER = "member", _("member")
    KEY = "key", _("API key")
    MODEL = "model", _("model")


def _subject(kind: LimitKind, **named: bool) -> models.Q:
    """Rows of this kind name exactly what belongs to it."""
    return models.Q(
        models.Q(model_name="", _negated=named.get("model", False)), kind=kind,
        member__isnull=not named.get("member", False), key__isnull=not named.get("key", False))


class LimitQuerySet(models.QuerySet["Limit"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(workspace__in=Workspace.objects.visible_to(user))


class Limit(Row):
    """What a workspace, one of its members, keys or models may use at most.

    An empty quantity means no limit, 0 allows nothing. Every row that fits a call applies to it (docs/limits.md).
    """

    CALLS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "tokens_per_month", "money_per_month")
    PLACES = ("gpus", "endpoints", "replicas")
    QUANTITIES = (*CALLS, *PLACES)

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="limits", verbose_name=_("workspace"))
    kind = models.CharField(_("holds for"), max_length=12, choices=LimitKind.choices, default=LimitKind.WORKSPACE)
    member = models.ForeignKey(User, models.CASCADE, related_name="limits", verbose_name=_("member"), null=True, blank=True)
    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="limits", verbose_name=_("API key"), null=True, blank=True)
    model_name = models.CharField(_("model"), max_length=128, blank=True, default="",
                                  help_text=_("The name that callers write."))
    # No database makes empty columns unique in the same way, so the subject is kept as one text too.
    subject = models.CharField(max_length=160, editable=False)

    requests_per_minute = models.PositiveIntegerField(
        _("requests a minute"), null=True, blank=True, help_text=_("Calls begun in any 60 seconds."))
    tokens_per_minute = models.PositiveBigIntegerField(
        _("tokens a minute"), null=True, blank=True, help_text=_("Tokens read and written in any 60 seconds."))
    concurrent_requests = models.PositiveIntegerField(
        _("requests at a time"), null=True, blank=True, help_text=_("Calls that are being answered at one moment."))
    tokens_per_month = models.PositiveBigIntegerField(
        _("tokens a month"), null=True, blank=True, help_text=_("Tokens read and written in a calendar month, UTC."))
    money_per_month = models.DecimalField(
        _("money a month"), null=True, blank=True, max_digits=14, decimal_places=2, validators=[MinValueValidator(0)],
        help_text=_("What calls cost in a calendar month, UTC, by the price book and in its currency."))
    gpus = models.PositiveIntegerField(
        _("GPUs"), null=True, blank=True, help_text=_("GPUs that endpoints hold at one moment."))
    endpoints = models.PositiveIntegerField(
        _("endpoints"), null=True, blank=True, help_text=_("Endpoints that should run at one moment."))
    replicas = models.PositiveIntegerField(
        _("replicas"), null=True, blank=True, help_text=_("Replicas that should run at one moment."))

    objects = LimitQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "subject"], name="limit_once"),
            models.CheckConstraint(name="limit_names_its_subject", condition=(
                _subject(LimitKind.WORKSPACE) | _subject(LimitKind.MEMBER, member=True)
                | _subject(LimitKind.KEY, key=True) | _subject(LimitKind.MODEL, model=True))),
        ]
        verbose_name = _("limit")
        verbose_name_plural = _("limits")

    def __str__(self) -> str:
        named = {LimitKind.MEMBER: self.member, LimitKind.KEY: self.key, LimitKind.MODEL: self.model_name}
        what = named.get(LimitKind(self.kind))
        return f"{self.workspace} · {self.get_kind_display()} {what}" if what else f"{self.workspace}"

    def clean(self) -> None:
        """Raise ValidationError where a new row names too little, too much, or what is not the workspace's."""
        if not self._state.adding:
            return  # what a limit is about never changes, and a member may have left since
        named = {LimitKind.MEMBER: self.member_id, LimitKind.KEY: self.key_id, LimitKind.MODEL: self.model_name}
        for kind, value in named.items():
            if kind == self.kind and not value:
                raise ValidationError({_FIELDS[kind]: gettext("Choose for whom or for what this limit holds.")})
            if kind != self.kind and value:
                raise ValidationError({_FIELDS[kind]: gettext("This does not go with what the limit holds for.")})
        if self.member_id and not Membership.objects.filter(workspace=self.workspace_id, user=self.member_id).exists():
            raise ValidationError({"member": gettext("This person is not a member of the workspace.")})
        if self.key is not None and self.key.workspace_id != self.workspace_id:
            raise ValidationError({"key": gettext("This key is not one of the workspace.")})

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.subject = f"{self.kind}:{self.member_id or self.key_id or self.model_name}"
        super().save(*args, **kwargs)


class LimitCounter(models.Model):
    """What is used of one quantity of one limit, where no Redis counts it. Moved by compare-and-swap of `version`.

    One more row, `processes`, says which gateway processes are alive.
    """

    name = models.CharField(max_length=64, unique=True)
    state = models.TextField()
    version = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("counter of a limit")
        verbose_name_plural = _("counters of limits")

    def __str__(self) -> str:
        return self.name


_FIELDS = {LimitKind.MEMBER: "member", LimitKind.KEY: "key", LimitKind.MODEL: "model_name"}
