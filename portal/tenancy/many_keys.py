"""Verbs on several keys at once: all or nothing."""

from __future__ import annotations

from collections.abc import Iterable

from .actor import Actor
from .db import retry_tx
from .models import ApiKey
from .services import revoke_key


@retry_tx
def revoke_keys(actor: Actor, keys: Iterable[ApiKey]) -> None:
    """End these keys, or none of them where the actor may not end one. Raises as `revoke_key`."""
    for key in keys:
        revoke_key(actor, key)
