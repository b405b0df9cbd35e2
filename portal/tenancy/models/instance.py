from __future__ import annotations

import uuid

from django.db import models

from ..fields import EncryptedField, HoldsSecrets
from ..rows import Row


class Instance(HoldsSecrets, Row):
    """The one row that says which installation this database belongs to.

    Its canary tells whether the configured field keys are the right ones before anything is written
    with wrong ones.
    """

    only = models.BooleanField(default=True, unique=True, editable=False)
    canary = EncryptedField()

    def __str__(self) -> str:
        return str(self.uid)

    @classmethod
    def check_keys(cls) -> uuid.UUID:
        """Make the row on first use; afterwards raise SecretUnreadable where the keys are wrong."""
        row = Instance.objects.filter(only=True).first()
        if row is None:
            row = Instance()
            row.put_secret("canary", "canary")
            row.save()
        row.secret("canary")
        return row.uid
