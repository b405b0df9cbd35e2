"""How long ready replicas hold GPUs: booked once a minute, for the time since the booking before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from endpoints.models import Endpoint, GpuHour, SpoolPosition
from endpoints.options.footprint import footprint
from endpoints.states import STALE_AFTER

POSITION = "gpu-hours"
MOST_SECONDS = 120  # that one booking stands for: what was before, nobody looked at
HOUR = 3600
# Options that bring GPUs with them, whatever the profile asks for.
BRING_GPUS = ["pdSpec", "InstanceType", "InstancePools", "Variants"]
COLUMNS = {
    "hour": "VARCHAR(32)", "workspace_id": "BIGINT", "endpoint_id": "BIGINT", "workspace_name": "VARCHAR(100)",
    "endpoint_name": "VARCHAR(63)", "model_name": "VARCHAR(128)", "place_name": "VARCHAR(100)", "gpu_seconds": "BIGINT",
}
NAMED = ("workspace_id", "pk", "workspace__slug", "name", "public_name", "cluster__name")


def book(now: datetime | None = None) -> bool:
    """Book the GPUs that endpoints hold now for the time since the last booking; False where there was nothing to do.

    Of two at once, one books. The first one ever only notes the time. After a pause the last two minutes count at most.
    """
    second = int((now or timezone.now()).timestamp())
    row, is_first = SpoolPosition.objects.get_or_create(spool=POSITION, defaults={"position": second})
    since = row.position
    # Another machine's clock may be a little ahead; one that was far ahead and was set right must not stop the count.
    if is_first or since - MOST_SECONDS <= second <= since:
        return False
    parts = list(_hours(max(since, second - MOST_SECONDS), second))
    growth = [[hour, *named, held * seconds // replicas]
              for named, held, replicas in _holding(datetime.fromtimestamp(second, UTC)) for hour, seconds in parts]
    with transaction.atomic():
        moved = SpoolPosition.objects.filter(spool=POSITION, position=since).update(
            position=second, moved_at=timezone.now())
        if moved and growth:
            _add(growth)
    return bool(moved)


def _hours(begin: int, end: int) -> Iterator[tuple[str, int]]:
    """Each hour between, as the database writes it, with its seconds."""
    while begin < end:
        until = min(end, (begin // HOUR + 1) * HOUR)
        hour = datetime.fromtimestamp(begin // HOUR * HOUR, UTC)
        yield str(connection.ops.adapt_datetimefield_value(hour)), until - begin
        begin = until


def _holding(now: datetime) -> Iterator[tuple[list[Any], int, int]]:
    """What is written of each endpoint that was seen lately with GPUs; these GPUs are `held / replicas`."""
    seen = Endpoint.objects.filter(ready_replicas__gt=0, seen_at__gte=now - STALE_AFTER).order_by()
    for revision, rows in (("serving", seen), ("wanted", seen.filter(serving=None))):
        spec = f"{revision}__spec"
        has_gpus = Q(**{f"{spec}__resources__gpus__gt": 0}) | Q(**{f"{spec}__options__has_any_keys": BRING_GPUS})
        found = rows.filter(has_gpus).values_list(
            *NAMED, "ready_replicas", f"{spec}__resources", f"{spec}__options")
        for *named, ready, resources, options in found:
            held, replicas = _gpus({"resources": resources or {}, "options": options or {}}, ready)
            if held:
                yield named, held, replicas


def _gpus(spec: Mapping[str, Any], ready: int) -> tuple[int, int]:
    """GPUs of the ready replicas, as a fraction: where replicas differ, each counts as their mean."""
    replicas, gpus = footprint(spec, ready)
    return gpus * ready, max(replicas, 1)


def _add(growth: list[list[Any]]) -> None:
    """Add to the rows of these hours and endpoints, which are made where there are none: one statement for all."""
    table, names = GpuHour._meta.db_table, ", ".join(COLUMNS)
    if connection.vendor == "mysql":
        told = ", ".join(f"{name} {kind} PATH '$[{at}]'" for at, (name, kind) in enumerate(COLUMNS.items()))
        rows = f"SELECT {names} FROM JSON_TABLE(%s, '$[*]' COLUMNS ({told})) AS told"  # noqa: S608  Only words of ours.
        grow = f"ON DUPLICATE KEY UPDATE gpu_seconds = {table}.gpu_seconds + VALUES(gpu_seconds)"
    else:
        told = ", ".join(f"JSON_EXTRACT(value, '$[{at}]')" for at in range(len(COLUMNS)))
        rows = f"SELECT {told} FROM JSON_EACH(%s) WHERE true"  # noqa: S608  Only words of ours.
        grow = f"ON CONFLICT (hour, endpoint_id) DO UPDATE SET gpu_seconds = {table}.gpu_seconds + excluded.gpu_seconds"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) {rows} {grow}", [json.dumps(growth)])
