"""Comparing what is used with what may be used, each minute, and noting which alerts are due.

Beat may run twice, and two workers at once: the row of a delivery is unique, and only who inserts it rings for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from endpoints.alerts import MICRO, MONTHLY, DeliveryState, month_of, reached
from endpoints.models import AlertChannel, Delivery, Endpoint
from portal.tenancy import heartbeat
from portal.tenancy.db import retry_tx
from portal.tenancy.models import Limit, LimitKind
from portal.tenancy.queue import after_commit

from .alert_channels import SEND
from .month_use import by_kind, named_by, used_this_month
from .quota import held_by

KEPT = timedelta(days=400)
# Of what is due, rung for in one look; the next one comes in a minute.
MOST_RUNG = 200

# Which columns of endpoints name what a limit of this kind is about.
PLACE_COLUMNS = {
    LimitKind.WORKSPACE: ("workspace_id",), LimitKind.MEMBER: ("workspace_id", "created_by_id"),
    LimitKind.KEY: ("workspace_id", "created_by_key_id"), LimitKind.MODEL: ("workspace_id", "public_name")}


@dataclass(frozen=True)
class Level:
    """How far one quantity of one limit is used, in units of the quantity; money in millionths of the currency."""

    limit: Limit
    quantity: str
    used: int
    most: int
    refuses: bool = False  # whether calls of the limit's subject were refused lately, by this limit or another


def watch(now: datetime | None = None) -> int:
    """Note the alerts that are due, ring for them and for what waits, forget old ones; how many were noted."""
    now = now or timezone.now()
    channels = defaultdict(list)
    for channel in AlertChannel.objects.filter(is_enabled=True):
        channels[channel.workspace_id].append(channel)
    noted = _note(channels, levels(list(channels), now), f"{month_of(now):%Y-%m}") if channels else 0
    ring()
    Delivery.objects.filter(created_at__lt=now - KEPT).delete()
    heartbeat.mark("alerts")
    return noted


def ring() -> None:
    """Send a task for each delivery whose next try is due."""
    for pk in due()[:MOST_RUNG]:
        after_commit(SEND, pk)


def due() -> QuerySet[Delivery, int]:
    rows = Delivery.objects.filter(state=DeliveryState.WAITING, next_try_at__lte=Now(), channel__is_enabled=True)
    return rows.order_by("next_try_at").values_list("pk", flat=True)


def levels(workspaces: Sequence[int], now: datetime) -> Iterator[Level]:
    """Every limited quantity of these workspaces that alerts are about. At most eight queries, however many limits."""
    return levels_of(list(Limit.objects.filter(workspace__in=workspaces).select_related("workspace", "member", "key")), now)


def levels_of(limits: Sequence[Limit], now: datetime, *, places: bool = True) -> Iterator[Level]:
    """The same of these limits. Without `places` nothing of endpoints is read."""
    yield from _monthly([limit for limit in limits if any(_most(limit, name) is not None for name in MONTHLY)], now)
    yield from _placed([limit for limit in limits if places and any(_most(limit, name) is not None for name in Limit.PLACES)])


def _most(limit: Limit, quantity: str) -> int | None:
    value = getattr(limit, quantity)
    return int(value * MICRO) if quantity == "money_per_month" and value is not None else value


def _monthly(limits: list[Limit], now: datetime) -> Iterator[Level]:
    used = used_this_month(limits, now)
    for limit in limits:
        use = used[limit.pk]
        yield from _levels(limit, MONTHLY, {"tokens_per_month": use.tokens, "money_per_month": use.micro},
                           refuses=use.refused > 0)


def _placed(limits: list[Limit]) -> Iterator[Level]:
    for kind, of_kind in by_kind(limits).items():
        columns = PLACE_COLUMNS[kind]
        named = {f"{column}__in": {named_by(limit)[at] for limit in of_kind} for at, column in enumerate(columns)}
        used = held_by(Endpoint.objects.filter(**named), *columns)
        for limit in of_kind:
            use = used[named_by(limit)]
            yield from _levels(limit, Limit.PLACES, {name: getattr(use, name) for name in Limit.PLACES})


def _levels(
    limit: Limit, quantities: Iterable[str], used: dict[str, int], *, refuses: bool = False,
) -> Iterator[Level]:
    for quantity in quantities:
        most = _most(limit, quantity)
        if most is not None:
            yield Level(limit, quantity, used[quantity], most, refuses)


def _note(channels: dict[int, list[AlertChannel]], found: Iterable[Level], window: str) -> int:
    """Make the deliveries that are not there yet. A jump over several thresholds is told once, by the highest."""
    told = _told(window)
    noted = 0
    for level in found:
        threshold = reached(level.used, level.most, refuses=level.refuses)
        for channel in channels[level.limit.workspace_id]:
            if threshold > told.get((channel.pk, level.limit.pk, level.quantity, level.most), 0):
                noted += _insert(channel, level, window, threshold)
    return noted


def _told(window: str) -> dict[tuple[int, int, str, int], int]:
    """The highest threshold that each channel was told of in this window, for each limit as it was."""
    told: dict[tuple[int, int, str, int], int] = {}
    rows = Delivery.objects.filter(window=window, channel__is_enabled=True)
    for channel, limit, quantity, most, threshold in rows.values_list(
            "channel_id", "limit_id", "quantity", "most", "threshold"):
        key = channel, limit, quantity, most
        told[key] = max(threshold, told.get(key, 0))
    return told


@retry_tx
def _insert(channel: AlertChannel, level: Level, window: str, threshold: int) -> bool:
    """Whether this worker made the row."""
    try:
        with transaction.atomic():
            row = Delivery.objects.create(
                channel=channel, limit_id=level.limit.pk, subject=str(level.limit)[:300], quantity=level.quantity,
                window=window, threshold=threshold, used=level.used, most=level.most, next_try_at=Now())
    except IntegrityError:
        return False
    after_commit(SEND, row.pk)
    return True
