from __future__ import annotations

from typing import Self
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.rows import Row

from ..states import EngineCause, Phase
from .place import Accelerator, Node


class EngineQuerySet(models.QuerySet["Engine"]):
    def wanted(self) -> Self:
        return self.filter(stop=False)

    def of_endpoints(self, uids: list[UUID]) -> Self:
        return self.filter(endpoint_uid__in=uids)


class Engine(HoldsSecrets, Row):
    """One engine process that should run on a host, and what its agent last said about it.

    `endpoint_uid` names the endpoint without knowing its table. `launch` is the whole order for the agent:
    release, artifact, arguments as a list, environment, device indices. The row goes when the agent
    has reported that the process is gone.
    """

    node = models.ForeignKey(Node, models.PROTECT, related_name="engines", verbose_name=_("node"))
    endpoint_uid = models.UUIDField(_("endpoint"), db_index=True)
    label = models.CharField(_("endpoint"), max_length=130)
    revision = models.PositiveIntegerField(_("revision"))
    index = models.PositiveSmallIntegerField(_("replica"))
    launch = models.JSONField(default=dict, editable=False)
    token = EncryptedField()
    hub_token = EncryptedField()
    # No new calls since then: it still runs, so that the calls it has can end.
    retired_at = models.DateTimeField(_("retired"), null=True, editable=False)
    stop = models.BooleanField(_("should stop"), default=False)

    phase = models.CharField(_("phase"), max_length=10, choices=Phase.choices, default=Phase.ASSIGNED)
    phase_since = models.DateTimeField(_("since"), null=True)
    message = models.CharField(_("message"), max_length=1000, blank=True, default="")
    cause = models.CharField(_("cause"), max_length=32, choices=EngineCause.choices, blank=True, default="")
    pid = models.PositiveIntegerField(null=True)
    port = models.PositiveIntegerField(_("port"), null=True)
    restarts = models.PositiveIntegerField(_("restarts"), default=0)
    exit_code = models.IntegerField(_("exit code"), null=True)
    log = models.TextField(_("last lines"), blank=True, default="")
    previous_log = models.TextField(_("last lines of the previous run"), blank=True, default="")
    reported_at = models.DateTimeField(_("reported"), null=True)

    objects = EngineQuerySet.as_manager()

    class Meta:
        ordering = ["endpoint_uid", "index", "revision"]
        constraints = [
            models.UniqueConstraint(fields=["endpoint_uid", "revision", "index"], name="engine_replica_once"),
        ]
        verbose_name = _("engine")
        verbose_name_plural = _("engines")

    def __str__(self) -> str:
        return f"{self.label} · {self.index} · r{self.revision}"


class Claim(models.Model):
    """What an engine holds of a node: CPU and memory once, GPU memory once per accelerator."""

    engine = models.ForeignKey(Engine, models.CASCADE, related_name="claims")
    node = models.ForeignKey(Node, models.PROTECT, related_name="claims")
    accelerator = models.ForeignKey(Accelerator, models.PROTECT, null=True, related_name="claims")
    cpu_millis = models.PositiveIntegerField(default=0)
    memory_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["node", "accelerator"])]

    def __str__(self) -> str:
        return f"{self.engine_id} on {self.node_id}"
