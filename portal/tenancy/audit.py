"""One door for audit entries. Call it in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Model

from .actor import Actor
from .fields import EncryptedField
from .models import AuditEntry, Workspace
from .text import one_line

HIDDEN = {"digest", "password", "secret", "token"}


def snapshot(row: Model, fields: Iterable[str] | None = None) -> dict[str, Any]:
    """The audited values of a row: no secrets, text for what JSON doesn't know."""
    wanted = set(fields) if fields is not None else None
    values = {}
    for field in row._meta.concrete_fields:
        if isinstance(field, EncryptedField) or field.name in HIDDEN or (wanted is not None and field.name not in wanted):
            continue
        value = getattr(row, field.attname)
        values[field.name] = value if isinstance(value, bool | int | float | str | list | dict | None) else str(value)
    return values


def record(
    actor: Actor, verb: str, row: Model, *, workspace: Workspace | None = None,
    before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Note that `actor` did `verb` to `row`; only values that differ between before and after are kept."""
    old, new = dict(before or {}), dict(after or {})
    for key in [key for key in old if key in new and old[key] == new[key]]:
        del old[key], new[key]
    return AuditEntry.objects.create(
        actor=actor.user, actor_label=one_line(actor.label, 200), workspace=workspace, verb=verb, kind=row._meta.label_lower,
        object_uid=str(getattr(row, "uid", row.pk)), object_label=one_line(row, 200), before=old, after=new,
        request_id=actor.request_id,
    )
