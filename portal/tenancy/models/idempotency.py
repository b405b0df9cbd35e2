from __future__ import annotations

from django.db import models


class IdempotentCall(models.Model):
    """The stored answer to a create that carried an Idempotency-Key; kept for a day at least."""

    scope = models.CharField(max_length=60)
    key = models.CharField(max_length=64)
    body_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotent_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"
