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
    # Of a backend reached by a cluster's own certificates: PEM, and the key of a client certificate.
    ca = models.TextField(blank=True, default="")
    client_certificate = models.TextField(blank=True, default="")
    client_key = EncryptedField(host_field="url")
    # Sent as Host where the address alone does not say which endpoint is meant.
    host = models.CharField(max_length=253, blank=True, default="")
    revision = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "key"], name="backend_once")]

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.key}"
