"""Idempotency-Key: the same key with the same body gets the same stored answer, so that a client may repeat a create."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from .db import retry_tx
from .errors import Conflict, Invalid
from .fields import seal, unseal
from .models import IdempotentCall

KEPT = timedelta(hours=48)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


def once(*, scope: str, key: str, body: bytes, make: Callable[[], Answer], secret: bool = False) -> Answer:
    """Run `make` for the first call with this key; answer every later one from the store.

    The key, what `make` writes and the stored answer are one transaction: a killed process leaves nothing
    behind, and a parallel call waits for the first one. A refused first call is not stored, so the caller
    may correct and repeat it. `secret` keeps the answer encrypted. Raises Conflict where the body differs.
    """
    if not key:
        return make()
    if len(key) > 64 or not (key.isascii() and key.isprintable()):
        raise Invalid(_("Idempotency-Key has at most 64 printable ASCII characters."), field="Idempotency-Key")
    return _once(scope, key, hashlib.sha256(body).hexdigest(), make, secret)


def is_answered(*, scope: str, key: str) -> bool:
    """Whether a call with this key has an answer, so that its repetition needs no more looking."""
    return IdempotentCall.objects.filter(scope=scope, key=key).exclude(status=None).exists()


@retry_tx
def _once(scope: str, key: str, digest: str, make: Callable[[], Answer], secret: bool) -> Answer:
    try:
        with transaction.atomic():
            row = IdempotentCall.objects.create(scope=scope, key=key, body_digest=digest)
    except IntegrityError:
        return _stored(scope, key, digest)
    answer = make()
    body = {"sealed": seal(json.dumps(answer.body), _bound_to(scope, key))} if secret else answer.body
    IdempotentCall.objects.filter(pk=row.pk).update(status=answer.status, body=body)
    return answer


def _stored(scope: str, key: str, digest: str) -> Answer:
    row = IdempotentCall.objects.filter(scope=scope, key=key).first()
    if row is None or row.status is None:
        raise Conflict(_("The first call with this Idempotency-Key is still running."), code="idempotency_running")
    if row.body_digest != digest:
        raise Conflict(_("This Idempotency-Key was used with another body."), code="idempotency_mismatch")
    if isinstance(row.body, dict) and set(row.body) == {"sealed"}:
        return Answer(row.status, json.loads(unseal(row.body["sealed"], _bound_to(scope, key))))
    return Answer(row.status, row.body)


def _bound_to(scope: str, key: str) -> str:
    return f"{IdempotentCall._meta.db_table}|{scope}|{key}|body"


def forget_old() -> int:
    """Drop answers older than two days; how many went."""
    return IdempotentCall.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
