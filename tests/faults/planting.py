"""Plants a text in every column of rows that takes free text: what a column added tomorrow holds is planted too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import CharField, Field, JSONField, Model, TextField, URLField

from portal.tenancy.fields import EncryptedField

ROOMS = ("tenancy", "clusters", "models_catalog", "endpoints")
# Not words but what the portal itself looks things up by, compares or draws.
WORDS = {
    "slug", "password", "digest", "public_id", "last4", "public_key", "status", "kind", "cause", "was", "now", "language",
    "object_uid", "key", "task", "region", "sign_in", "reach", "version", "quantity", "window", "nonce", "canary",
    "device_uuid", "body_digest", "scope", "previous", "server", "url", "through", "ca", "client_certificate", "address",
    "ending", "namespace", "gateway", "prometheus", "client_key", "host", "verb",
}


def models() -> Iterator[type[Model]]:
    for room in ROOMS:
        yield from apps.get_app_config(room).get_models()


def is_free(field: Field[Any, Any]) -> bool:
    return (isinstance(field, CharField | TextField) and not isinstance(field, EncryptedField | URLField)
            and not field.choices and field.name not in WORDS)


def plant(rows: Iterable[Model], text: Callable[[str], str], *, in_json: bool = True) -> list[str]:
    """Write `text(column)` into every free column, and into JSON, which pages that show it may not bear. Which were written."""
    written = []
    for row in rows:
        values: dict[str, Any] = {}
        for field in row._meta.concrete_fields:
            if is_free(field):
                mark = f"-{row.pk}" if field.unique else ""  # type: ignore[union-attr]
                values[field.name] = text(field.name)[:(field.max_length or 4000) - len(mark)] + mark  # type: ignore[union-attr]
            elif in_json and isinstance(field, JSONField):
                values[field.name] = with_text(getattr(row, field.name), text(field.name))
        written += [f"{row._meta.label_lower}.{name}" for name, value in values.items() if _written(row, name, value)]
    return written


def _written(row: Model, name: str, value: Any) -> bool:
    """False where the table's own constraint has it empty in such a row."""
    try:
        with transaction.atomic():
            return bool(type(row)._base_manager.filter(pk=row.pk).update(**{name: value}))
    except IntegrityError:
        return False


def with_text(value: Any, text: str) -> Any:
    """`value` with the text beside what is there: as one more entry of a mapping, one more element of a list of words."""
    if isinstance(value, dict):
        return {**value, text: text}
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return [*value, text]
    return value
