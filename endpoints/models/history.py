from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from models_catalog.models import Profile
from portal.tenancy.models import User

from .endpoint import Endpoint


class Revision(models.Model):
    """What an endpoint ran or should run: a frozen copy of the profile with the changes made for it."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="revisions", verbose_name=_("endpoint"))
    number = models.PositiveIntegerField(_("number"))
    profile = models.ForeignKey(Profile, models.PROTECT, related_name="+", verbose_name=_("profile"))
    spec = models.JSONField(_("frozen settings"), default=dict)
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("made by"))
    served_at = models.DateTimeField(_("first in service"), null=True, editable=False)
    failed_at = models.DateTimeField(_("failed"), null=True, editable=False)
    failure = models.CharField(_("why it failed"), max_length=1000, blank=True, default="", editable=False)

    class Meta:
        ordering = ["endpoint", "-number"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "number"], name="revision_number_once")]
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")

    def __str__(self) -> str:
        return f"r{self.number}"


class Event(models.Model):
    """One line of an endpoint's history: a wish, a move, or something that happened. Never changed."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="events", verbose_name=_("endpoint"))
    at = models.DateTimeField(_("when"), auto_now_add=True)
    kind = models.CharField(_("kind"), max_length=12)  # wish, status, replica, error
    was = models.CharField(_("was"), max_length=10, blank=True, default="")
    now = models.CharField(_("now"), max_length=10, blank=True, default="")
    cause = models.CharField(_("cause"), max_length=24, blank=True, default="")
    message = models.CharField(_("what happened"), max_length=1000, blank=True, default="")
    actor_label = models.CharField(_("by"), max_length=200, blank=True, default="")
    generation = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["endpoint", "-id"])]
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return self.message or f"{self.was} → {self.now}"


