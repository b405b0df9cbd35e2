from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Heartbeat(models.Model):
    """When a recurring job last ran, how long it took and how late it was: one row for each job."""

    name = models.CharField(_("job"), max_length=40, unique=True)
    at = models.DateTimeField(_("ended"))
    seconds = models.FloatField(_("took, seconds"), default=0.0)
    lag = models.FloatField(_("late by, seconds"), default=0.0)

    class Meta:
        ordering = ["name"]
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")

    def __str__(self) -> str:
        return self.name
