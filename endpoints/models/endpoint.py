from __future__ import annotations

import re
from datetime import datetime
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clusters.models import Cluster
from portal.tenancy.models import ApiKey, User, Workspace
from portal.tenancy.models.people import slug_rule
from portal.tenancy.rows import Row
from portal.tenancy.text import external_name

from ..states import (
    MAX_CORRECTIONS,
    NEEDS_PERSON,
    SERVING,
    STALE_AFTER,
    TRANSITIONAL,
    Affinity,
    DriftPolicy,
    Status,
    Wish,
)

PUBLIC_NAME = re.compile(r"\A[A-Za-z0-9](?:[A-Za-z0-9._/:+-]{0,126}[A-Za-z0-9])?\Z")
public_name_rule = RegexValidator(
    PUBLIC_NAME, _("Use up to 128 letters, digits and . _ / : + - inside; start and end with a letter or digit."))


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(workspace__in=workspaces)

    def due(self) -> Self:
        """Rows whose next look is due, by the database's clock, and which no living worker holds."""
        free = models.Q(lease_until=None) | models.Q(lease_until__lt=Now())
        return self.filter(free, next_look_at__lte=Now())

    def needing_attention(self) -> Self:
        return self.filter(status__in=[*NEEDS_PERSON, Status.DEGRADED])

    def with_places(self) -> Self:
        """Everything that a list shows, in one query."""
        return self.select_related("workspace", "cluster", "wanted__profile__model")


class Endpoint(Row):
    """A model in service: what people wish (upper half) and what `reconcile` has seen (lower half)."""

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="endpoints", verbose_name=_("workspace"))
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="endpoints", verbose_name=_("place"))
    name = models.CharField(_("name"), max_length=63, validators=[slug_rule],
                            help_text=_("Lower-case letters, digits and hyphens; it can't be changed later."))
    public_name = models.CharField(_("model name for callers"), max_length=128, validators=[public_name_rule],
                                   help_text=_("What programs write as “model”."))
    public_key = models.CharField(max_length=128, editable=False, help_text="public_name in lower case")
    wish = models.CharField(_("wish"), max_length=8, choices=Wish.choices, default=Wish.RUNNING)
    wanted = models.ForeignKey("Revision", models.PROTECT, null=True, related_name="+", verbose_name=_("revision wanted"))
    replicas = models.PositiveIntegerField(_("replicas"), default=1)
    # {} or {"min_replicas": 1, "max_replicas": 4, "triggers": [...], ...}: the place's autoscaler owns replicas.
    autoscale = models.JSONField(_("autoscaling"), default=dict, blank=True)
    affinity = models.CharField(
        _("calls go to"), max_length=8, choices=Affinity.choices, default=Affinity.NONE, blank=True, help_text=_(
            "Which of several replicas takes a call. Calls of one session, or prompts that begin alike, find on one replica "
            "what it computed for them before; a replica that is too busy passes them on all the same."))
    drift_policy = models.CharField(_("changes made outside"), max_length=8, choices=DriftPolicy.choices,
                                    default=DriftPolicy.CORRECT)
    # What a person accepted as the new truth: [{"object": "StatefulSet/x", "path": "spec.…", "value": …}, …].
    accepted = models.JSONField(default=list, blank=True, editable=False)
    # An endpoint that an object of the cluster owns: {"kind": "VLLMCluster", "namespace": …, "name": …}.
    origin = models.JSONField(default=dict, blank=True, editable=False)
    origin_uid = models.UUIDField(null=True, unique=True, editable=False)
    # metadata.generation of that object as it was last followed, and since when it has been missing.
    origin_generation = models.PositiveBigIntegerField(default=0, editable=False)
    origin_missing_at = models.DateTimeField(null=True, editable=False)
    # Sentences on what was understood otherwise than it was written, for as long as the wish stands.
    notes = models.JSONField(default=list, blank=True, editable=False)
    generation = models.PositiveBigIntegerField(default=1, editable=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("made by"))
    # Whose limits apply to it too, when a program made it.
    created_by_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, editable=False, related_name="+")

    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING, editable=False)
    status_since = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    cause = models.CharField(_("cause"), max_length=24, blank=True, default="", editable=False)
    message = models.CharField(_("message"), max_length=1000, blank=True, default="", editable=False)
    observed_generation = models.PositiveBigIntegerField(default=0, editable=False)
    serving = models.ForeignKey("Revision", models.PROTECT, null=True, related_name="+", editable=False,
                                verbose_name=_("revision in service"))
    ready_replicas = models.PositiveIntegerField(_("ready"), default=0, editable=False)
    # What the place's autoscaler wants, as last seen; null where `replicas` counts.
    autoscaled_replicas = models.PositiveIntegerField(null=True, editable=False)
    seen_at = models.DateTimeField(_("looked at"), null=True, editable=False)
    seen_by = models.CharField(_("source"), max_length=40, blank=True, default="", editable=False)
    # [{"object", "path", "ours", "theirs", "manager", "since"}, …]: what was changed by hand, as last seen.
    drift = models.JSONField(default=list, blank=True, editable=False)
    corrections = models.PositiveSmallIntegerField(default=0, editable=False)
    deadline_at = models.DateTimeField(_("deadline"), null=True, editable=False)
    next_look_at = models.DateTimeField(default=timezone.now, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=1000, blank=True, default="", editable=False)
    lease_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    version = models.PositiveBigIntegerField(default=1, editable=False)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="endpoint_name_once"),
            models.UniqueConstraint(fields=["workspace", "public_key"], name="endpoint_public_name_once"),
        ]
        indexes = [
            models.Index(fields=["next_look_at"]),
            models.Index(fields=["status", "-id"]),
            models.Index(fields=["workspace", "-id"]),
            models.Index(fields=["cluster", "-id"]),
        ]
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        permissions = [
            ("deploy_endpoint", "Can deploy endpoints"), ("stop_endpoint", "Can stop endpoints"),
            ("start_endpoint", "Can start endpoints"), ("scale_endpoint", "Can scale endpoints"),
            ("update_endpoint", "Can update endpoints to a new revision"),
            ("rollback_endpoint", "Can roll endpoints back"), ("retry_endpoint", "Can retry endpoints"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def external_name(self) -> str:
        return external_name(self.name, self.uid)

    @property
    def is_owned_by_cluster(self) -> bool:
        """Whether its wish is written by an object of the cluster, so that people change that object instead."""
        return bool(self.origin)

    @property
    def most_replicas(self) -> int:
        """How many replicas there may be at most: what limits count."""
        return max(self.replicas, int(self.autoscale.get("max_replicas", 0)))

    @property
    def replicas_now(self) -> int:
        """How many replicas are wanted now: the autoscaler's number where one owns it."""
        return self.replicas if self.autoscaled_replicas is None else self.autoscaled_replicas

    @property
    def is_contested(self) -> bool:
        """Whether somebody outside changes again and again what the portal puts back, so that a person must decide."""
        return bool(self.drift) and self.corrections >= MAX_CORRECTIONS

    @property
    def is_settled(self) -> bool:
        return self.status not in TRANSITIONAL and self.observed_generation == self.generation

    @property
    def is_serving(self) -> bool:
        return self.status in SERVING and self.ready_replicas > 0

    def is_stale(self, now: datetime | None = None) -> bool:
        """Whether the evidence is older than three periods, so that the page must say so."""
        return self.seen_at is None or (now or timezone.now()) - self.seen_at > STALE_AFTER

    @property
    def etag(self) -> str:
        """Changes with each wish and each status, for If-Match."""
        return f'"{self.uid.hex}-{self.generation}"'
