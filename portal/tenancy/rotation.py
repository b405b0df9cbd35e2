"""Key rotation: put a new key first in PORTAL_FIELD_KEYS, rewrap, then take the old key out."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps

from .db import retry_tx
from .fields import HoldsSecrets


def holders() -> Iterator[type[HoldsSecrets]]:
    """Every table with encrypted fields."""
    return (model for model in apps.get_models() if issubclass(model, HoldsSecrets))


def rewrap_all() -> int:
    """Encrypt every secret with the newest key; how many changed. Raises SecretUnreadable, and then changed no more."""
    return sum(_rewrap(model, pk) for model in holders()
               for pk in model._default_manager.values_list("pk", flat=True).iterator())


@retry_tx
def _rewrap(model: type[HoldsSecrets], pk: int) -> int:
    row = model._default_manager.filter(pk=pk).first()
    if row is None:
        return 0
    old = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    changed = row.rewrap_secrets()
    if not changed:
        return 0
    # Only where nobody wrote a newer secret meanwhile.
    unchanged = {name: old[name] for name in changed}
    new = {name: getattr(row, name) for name in changed}
    return len(changed) * model._default_manager.filter(pk=pk, **unchanged).update(**new)
