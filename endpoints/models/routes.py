from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.tenancy.models import User, Workspace
from portal.tenancy.rows import Row

from .endpoint import Endpoint, public_name_rule

MOST = MaxValueValidator(100)


class TargetRole(models.TextChoices):
    MAIN = "main", _("takes its share")
    FALLBACK = "fallback", _("stands in")


class CanaryState(models.TextChoices):
    RUNNING = "running", _("Running")
    RETURNED = "returned", _("Returned")


class RouteQuerySet(models.QuerySet["Route"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(workspace__in=workspaces)

    def leading_to(self, endpoint: Endpoint) -> Self:
        leads = models.Q(targets__endpoint=endpoint) | models.Q(canary__endpoint=endpoint)
        return self.filter(pk__in=self.model.objects.filter(leads).values("pk"))


class Route(Row):
    """A model name for callers that leads to endpoints in any kinds of place, each with its share of the calls.

    What people wish is in this row, its targets and its canary; `generation` grows with each change of them.
    """

    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="routes", verbose_name=_("workspace"))
    public_name = models.CharField(_("model name for callers"), max_length=128, validators=[public_name_rule],
                                   help_text=_("What programs write as “model”. It goes before the own name of an endpoint."))
    public_key = models.CharField(max_length=128, editable=False, help_text="public_name in lower case")
    description = models.CharField(_("description"), max_length=200, blank=True, default="")
    is_sticky = models.BooleanField(_("keep sessions together"), default=False, help_text=_(
        "Calls of one session go to one endpoint for as long as it is ready."))
    generation = models.PositiveBigIntegerField(default=1, editable=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False, related_name="+",
                                   verbose_name=_("made by"))

    objects = RouteQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["workspace", "public_key"], name="route_public_name_once")]
        verbose_name = _("route")
        verbose_name_plural = _("routes")

    def __str__(self) -> str:
        return self.public_name

    @property
    def etag(self) -> str:
        """Changes with each change of the route, its targets and its canary, for If-Match."""
        return f'"{self.uid.hex}-{self.generation}"'


class RouteTarget(models.Model):
    """An endpoint behind a route: one that takes its share of the calls, or one that stands in for all others.

    `weight` counts relative to the sum of the route's mains; 0 keeps a main ready and without calls. `position` is
    the order of fallbacks.
    """

    route = models.ForeignKey(Route, models.CASCADE, related_name="targets", verbose_name=_("route"))
    # An endpoint that goes takes itself out of routes.
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="route_targets", verbose_name=_("endpoint"))
    role = models.CharField(_("role"), max_length=8, choices=TargetRole.choices, default=TargetRole.MAIN)
    weight = models.PositiveSmallIntegerField(_("weight"), default=100, validators=[MOST])
    position = models.PositiveSmallIntegerField(_("order"), default=0)

    class Meta:
        ordering = ["route", "position", "id"]
        constraints = [models.UniqueConstraint(fields=["route", "endpoint"], name="route_target_once")]
        verbose_name = _("target")
        verbose_name_plural = _("targets")

    def __str__(self) -> str:
        return str(self.endpoint)


class Canary(models.Model):
    """An endpoint on trial behind a route: it gets `percent` of the calls for as long as it is no worse than the guard allows.

    The guard looks at the last `window_minutes` since `since`, and says nothing before `min_calls` calls. Limits that
    are null don't count. `steps` are the percentages that follow, each after `step_minutes` without a breach.
    """

    route = models.OneToOneField(Route, models.CASCADE, related_name="canary", verbose_name=_("route"))
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="canaries", verbose_name=_("endpoint"))
    percent = models.PositiveSmallIntegerField(_("share in %"), default=5,
                                               validators=[MinValueValidator(1), MaxValueValidator(99)])
    steps = models.JSONField(_("next steps"), default=list, blank=True)
    step_minutes = models.PositiveSmallIntegerField(
        _("minutes a step"), default=10, validators=[MinValueValidator(1), MaxValueValidator(1440)])
    min_calls = models.PositiveIntegerField(
        _("calls before it is judged"), default=20, validators=[MinValueValidator(1), MaxValueValidator(1_000_000)])
    window_minutes = models.PositiveSmallIntegerField(
        _("minutes looked at"), default=5, validators=[MinValueValidator(1), MaxValueValidator(60)])
    max_error_percent = models.FloatField(_("most errors in %"), null=True, blank=True, default=10.0,
                                          validators=[MinValueValidator(0), MOST])
    max_error_points = models.FloatField(_("most errors above the others, in points"), null=True, blank=True, default=5.0,
                                         validators=[MinValueValidator(0), MOST])
    max_first_byte_ms = models.PositiveIntegerField(_("longest time to first token in ms (p95)"), null=True, blank=True)
    max_first_byte_ratio = models.FloatField(
        _("longest time to first token against the others (p95), times"), null=True, blank=True, default=2.0,
        validators=[MinValueValidator(1), MOST])

    state = models.CharField(_("state"), max_length=8, choices=CanaryState.choices, default=CanaryState.RUNNING,
                             editable=False)
    reason = models.CharField(_("why"), max_length=300, blank=True, default="", editable=False)
    # Since when it has been in this state, or at this step.
    since = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    # What its counters of the minute of `since` held by then: {endpoint id: [calls, errors, …]}.
    baseline = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        verbose_name = _("canary")
        verbose_name_plural = _("canaries")

    def __str__(self) -> str:
        return f"{self.endpoint} {self.percent} %"

    @property
    def is_running(self) -> bool:
        return self.state == CanaryState.RUNNING


class RouteChange(models.Model):
    """One line of a route's history, with the route as it was from then on, so that it can be restored. Never changed."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="changes", verbose_name=_("route"))
    generation = models.PositiveBigIntegerField(_("version"))
    at = models.DateTimeField(_("when"), auto_now_add=True)
    verb = models.CharField(_("what"), max_length=12)  # create, change, promote, return, resume, step, restore
    message = models.CharField(_("what happened"), max_length=1000, blank=True, default="")
    actor_label = models.CharField(_("by"), max_length=200, blank=True, default="")
    wish = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["route", "generation"], name="route_generation_once")]
        verbose_name = _("change of a route")
        verbose_name_plural = _("changes of routes")

    def __str__(self) -> str:
        return self.message
