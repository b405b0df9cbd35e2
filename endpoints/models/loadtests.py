from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from portal.tenancy.models import ApiKey, User, Workspace
from portal.tenancy.rows import Row

from ..loadtests.states import ACTIVE, Mode, RunState
from ..loadtests.verdict import Goals
from .endpoint import Endpoint
from .routes import Route


class LoadTestQuerySet(models.QuerySet["LoadTest"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(workspace__in=workspaces)

    def matching(self, words: str) -> Self:
        """Runs whose model, notes or number has this text."""
        found = models.Q(model_name__icontains=words) | models.Q(notes__icontains=words)
        if words.isdecimal() and len(words) < 10:
            found |= models.Q(number=int(words))
        return self.filter(found)

    def for_lists(self) -> Self:
        """Without the points, which only a run's own page shows."""
        return self.select_related("workspace", "created_by").defer("series")

    def waiting(self) -> Self:
        return self.filter(state=RunState.QUEUED)

    def abandoned(self) -> Self:
        """Running by their row, but their worker has not written for too long, by the database's clock."""
        return self.filter(state=RunState.RUNNING, lease_until__lt=Now())


class LoadTest(Row):
    """A load test of an endpoint or a route: what was asked (upper half) and what came of it (lower half).

    The worker that runs it holds it by a lease, whose epoch fences late writers. A run is never begun twice.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="load_tests", verbose_name=_("workspace"))
    number = models.PositiveIntegerField(_("number"))  # counted in each workspace
    endpoint = models.ForeignKey(Endpoint, models.SET_NULL, null=True, related_name="load_tests", verbose_name=_("endpoint"))
    route = models.ForeignKey(Route, models.SET_NULL, null=True, related_name="load_tests", verbose_name=_("route"))
    # As they were at the start, since what was tested changes or goes: {"endpoint", "place", "replicas", "revision", …}.
    model_name = models.CharField(_("model name for callers"), max_length=128)
    facts = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("started by"))
    notes = models.CharField(_("notes"), max_length=1000, blank=True, default="")

    mode = models.CharField(_("load"), max_length=8, choices=Mode.choices, default=Mode.RATE)
    rate = models.DecimalField(_("calls a second"), max_digits=8, decimal_places=2, default=1)
    callers = models.PositiveIntegerField(_("callers at a time"), default=1)
    seconds = models.PositiveIntegerField(_("duration in seconds"), default=60)
    prompt_tokens = models.PositiveIntegerField(_("prompt in tokens"), default=256)
    prompt_spread = models.PositiveSmallIntegerField(_("spread of prompts in %"), default=0)
    output_tokens = models.PositiveIntegerField(_("answer in tokens"), default=128)
    output_spread = models.PositiveSmallIntegerField(_("spread of answers in %"), default=0)
    goal_first_ms = models.PositiveIntegerField(_("first token in ms"), null=True, blank=True)
    goal_between_ms = models.PositiveIntegerField(_("between tokens in ms"), null=True, blank=True)
    goal_error_percent = models.DecimalField(_("errors in %"), max_digits=5, decimal_places=2, null=True, blank=True)
    # What it may use: tokens, and 10⁻⁹ of the currency; 0 is no limit. Prices of a token at the start, in the same unit.
    most_tokens = models.BigIntegerField(default=0)
    most_nano = models.BigIntegerField(default=0)
    prompt_nano = models.FloatField(default=0.0)
    output_nano = models.FloatField(default=0.0)

    state = models.CharField(_("state"), max_length=12, choices=RunState.choices, default=RunState.QUEUED)
    ending = models.CharField(_("why it ended"), max_length=12, blank=True, default="")  # an Ending
    stop_asked_at = models.DateTimeField(null=True)
    began_at = models.DateTimeField(_("began"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    summary = models.JSONField(default=dict)
    series = models.JSONField(default=dict)
    # The key it calls with: it lives as long as the run, and its text is kept nowhere.
    key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, related_name="+")
    lease_epoch = models.PositiveBigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    # The workspace while this run is queued or running, and the place among those that run: both unique, so that no
    # database needs a lock to keep a second one out.
    occupies = models.BigIntegerField(null=True, unique=True)
    slot = models.PositiveSmallIntegerField(null=True, unique=True)

    objects = LoadTestQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["workspace", "number"], name="load_test_number_once")]
        indexes = [models.Index(fields=["workspace", "-id"]), models.Index(fields=["state", "lease_until"])]
        verbose_name = _("load test")
        verbose_name_plural = _("load tests")

    def __str__(self) -> str:
        return f"{self.model_name} · {self.number}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def goals(self) -> Goals:
        def seconds(ms: int | None) -> float | None:
            return None if ms is None else ms / 1000

        share = self.goal_error_percent
        return Goals(seconds(self.goal_first_ms), seconds(self.goal_between_ms), None if share is None else float(share))
