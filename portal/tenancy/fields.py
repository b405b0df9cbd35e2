"""Secrets at rest: AES-256-GCM with rotating keys, bound to the place where they are stored.

A ciphertext copied to another row, field or host does not decrypt, because table, row uid, field and
host are its associated data. Format: ``v1:<key id>:<base64 of nonce + ciphertext>``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

NONCE_BYTES = 12


class SecretUnreadable(Exception):
    """The stored text can't be decrypted with any configured key, or was moved here from elsewhere."""


def _key(text: str) -> tuple[str, bytes]:
    raw = base64.urlsafe_b64decode(text)
    if len(raw) != 32:
        raise ImproperlyConfigured("PORTAL_FIELD_KEYS: each key is 32 bytes in URL-safe base64")
    return hashlib.sha256(raw).hexdigest()[:8], raw


def seal(plain: str, bound_to: str) -> str:
    """Encrypt with the first configured key."""
    key_id, raw = _key(settings.PORTAL_FIELD_KEYS[0])
    nonce = os.urandom(NONCE_BYTES)
    body = AESGCM(raw).encrypt(nonce, plain.encode(), bound_to.encode())
    return f"v1:{key_id}:{base64.urlsafe_b64encode(nonce + body).decode()}"


def unseal(stored: str, bound_to: str) -> str:
    """Decrypt with the key that the text names. Raises SecretUnreadable."""
    try:
        version, key_id, body = stored.split(":", 2)
        raw = dict(map(_key, settings.PORTAL_FIELD_KEYS))[key_id]
        data = base64.urlsafe_b64decode(body)
        plain = AESGCM(raw).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound_to.encode())
    except (ValueError, KeyError, InvalidTag) as error:
        raise SecretUnreadable(f"a stored secret can't be read ({type(error).__name__})") from error
    if version != "v1":
        raise SecretUnreadable(f"a stored secret has the unknown format {version!r}")
    return plain.decode()


def resealed(stored: str, bound_to: str) -> str:
    """The same secret under the newest key; unchanged where it is so already. Raises SecretUnreadable."""
    newest = _key(settings.PORTAL_FIELD_KEYS[0])[0]
    return stored if stored.split(":")[1:2] == [newest] else seal(unseal(stored, bound_to), bound_to)


def derived(purpose: str) -> str:
    """A secret that no row has to keep: the same for one purpose as long as the oldest configured key stays."""
    _key_id, raw = _key(settings.PORTAL_FIELD_KEYS[-1])
    return hmac.new(raw, f"derived|{purpose}".encode(), hashlib.sha256).hexdigest()


class EncryptedField(models.TextField[str, str]):
    """Holds only ciphertext. Write with ``row.put_secret(name, value)``, read with ``row.secret(name)``.

    `host_field` names the field whose value (an address) the secret belongs to: when the address
    changes, the secret can no longer be read and must be entered again.
    """

    def __init__(self, *args: Any, host_field: str = "", **kwargs: Any) -> None:
        self.host_field = host_field
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", "")
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        if self.host_field:
            kwargs["host_field"] = self.host_field
        return name, path, args, kwargs


class HoldsSecrets(models.Model):
    """For rows with encrypted fields; the row needs a `uid` that never changes."""

    class Meta:
        abstract = True

    def _bound_to(self, name: str) -> str:
        field = self._meta.get_field(name)
        assert isinstance(field, EncryptedField)
        host = getattr(self, field.host_field) if field.host_field else ""
        uid = getattr(self, "uid")  # noqa: B009 - the row brings it, this mix-in does not know it
        return f"{self._meta.db_table}|{uid}|{name}|{host}"

    def put_secret(self, name: str, value: str) -> None:
        """Keep `value` encrypted in field `name`; an empty value empties the field."""
        setattr(self, name, seal(value, self._bound_to(name)) if value else "")

    def secret(self, name: str) -> str:
        """The plain value of field `name`, or "" where none is kept. Raises SecretUnreadable."""
        stored = getattr(self, name)
        return unseal(stored, self._bound_to(name)) if stored else ""

    def rewrap_secrets(self) -> list[str]:
        """Encrypt every secret of this row again with the newest key; the names of the fields that changed."""
        newest = _key(settings.PORTAL_FIELD_KEYS[0])[0]
        changed = []
        for field in self._meta.get_fields():
            stored = getattr(self, field.name, "") if isinstance(field, EncryptedField) else ""
            if stored and stored.split(":")[1] != newest:
                self.put_secret(field.name, self.secret(field.name))
                changed.append(field.name)
        return changed
