from __future__ import annotations

from django.db import models


class Try(models.Model):
    """One try at something that may be guessed or flooded: a password, a code, a mail. Counted by `portal.tenancy.tries`.

    `subject` is a digest of what is tried and from where, so that the table names neither people nor addresses.
    """

    subject = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["subject", "at"], name="try_of_subject")]
        verbose_name = "try"
        verbose_name_plural = "tries"

    def __str__(self) -> str:
        return f"{self.subject[:8]} {self.at}"
