"""The limits of this installation: counted in the broker's Redis, or in the database where there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db.models import Sum

from endpoints.models import UsageHour

from ..loader import in_own_connection
from ..snapshot import Rule
from .counters import KINDS, Counter
from .messages import Request, Store
from .shared import LINES_AT_ONCE, SharedLimits
from .sql_store import SqlStore

NANO_A_MICRO = 1000


def shared_limits() -> SharedLimits:
    return SharedLimits(shared_store(), month_used)


def shared_store() -> Store:
    url = settings.CELERY_BROKER_URL
    if not url.startswith(("redis://", "rediss://")):
        return SqlStore()
    from .redis_store import PREFIX, RedisStore  # the client takes 10 MB, which a gateway without Redis need not have
    # Celery takes Python's names of these choices too, the client only its own.
    return RedisStore(url.replace("=CERT_REQUIRED", "=required").replace("=CERT_OPTIONAL", "=optional")
                      .replace("=CERT_NONE", "=none"), prefix=f"{PREFIX}{installation()}:")


def installation() -> str:
    """A name for this portal: another one, or this one set up anew, has other rows with the same numbers."""
    return hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest()[:8]


@in_own_connection
def month_used(rule: Rule, first: datetime) -> tuple[int, int]:
    """Tokens, and micro-units of money, that calls under this rule have used since `first`, as far as they are booked.

    Raises DatabaseAway.
    """
    hours = UsageHour.objects.filter(workspace_id=rule.workspace_id, hour__gte=first)
    for column, value in (("member_id", rule.member_id), ("key_id", rule.key_id), ("model_name", rule.model_name)):
        if value:
            hours = hours.filter(**{column: value})
    sums = hours.aggregate(into=Sum("prompt_tokens"), out=Sum("completion_tokens"), cost=Sum("cost_nano"))
    return (sums["into"] or 0) + (sums["out"] or 0), -(-(sums["cost"] or 0) // NANO_A_MICRO)


def used_now(rules: Iterable[Rule]) -> dict[tuple[int, str], int]:
    """What calls use at this moment, or used in this minute, by rule and quantity. Raises StoreAway."""
    counters = [Counter(rule, name, limit) for rule in rules for name, kind in KINDS.items()
                if kind != "month" and (limit := getattr(rule, name)) is not None]
    store, found = shared_store(), {}
    for start in range(0, len(counters), LINES_AT_ONCE):
        some = counters[start:start + LINES_AT_ONCE]
        reply = store.exchange(Request("", [counter.line(0) for counter in some]))
        found.update({(counter.rule.id, counter.quantity): answer.used
                      for counter, answer in zip(some, reply.answers, strict=True)})
    if counters and not isinstance(store, SqlStore):
        store.close()
    return found
