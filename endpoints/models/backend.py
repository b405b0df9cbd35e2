from __future__ import annotations

from django.db import models

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.rows import Row

from .endpoint import Endpoint


class Backend(HoldsSecrets, Row):
    """An address behind an endpoint that answers now; written by `reconcile`, read by the gateway."""

    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="backends")
    key = models.CharField(max_length=80)
    url = models.CharField(max_length=300)
    token = EncryptedField(host_field="url")
    revision = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "key"], name="backend_once")]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.key}"
