"""Idempotency-Key: the same key with the same body gets the same stored answer, so that a client may repeat a create."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from .errors import Conflict, Invalid, PortalError
from .models import IdempotentCall

KEPT = timedelta(hours=48)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


def once(*, scope: str, key: str, body: bytes, make: Callable[[], Answer]) -> Answer:
    """Run `make` for the first call with this key; answer every later one from the store.

    Raises Conflict while the first call still runs, or where the body differs. A refused first call is
    not stored, so the caller may correct and repeat it.
    """
    if not key:
        return make()
    if len(key) > 64 or not key.isprintable():
        raise Invalid(_("Idempotency-Key has at most 64 printable characters."), field="Idempotency-Key")
    digest = hashlib.sha256(body).hexdigest()
    try:
        with transaction.atomic():
            row = IdempotentCall.objects.create(scope=scope, key=key, body_digest=digest)
    except IntegrityError:
        return _stored(scope, key, digest)
    try:
        answer = make()
    except PortalError:
        row.delete()
        raise
    IdempotentCall.objects.filter(pk=row.pk).update(status=answer.status, body=answer.body)
    return answer


def _stored(scope: str, key: str, digest: str) -> Answer:
    row = IdempotentCall.objects.get(scope=scope, key=key)
    if row.body_digest != digest:
        raise Conflict(_("This Idempotency-Key was used with another body."), code="idempotency_mismatch")
    if row.status is None:
        raise Conflict(_("The first call with this Idempotency-Key is still running."), code="idempotency_running")
    return Answer(row.status, row.body)


def forget_old() -> int:
    """Drop answers older than two days; how many went."""
    return IdempotentCall.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
