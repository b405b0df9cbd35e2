"""The spool's side of the database: what it grows by, and how far each spool is booked, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from endpoints.models import FIRST_BYTE_BOUNDS, Endpoint, Route, SpoolPosition, SummedDay, TrafficMinute, UsageHour
from portal.tenancy.models import ApiKey, User, Workspace

from ..loader import DatabaseAway, in_own_connection
from .rollup import Deltas

USAGE_KEY = ("hour", "workspace_id", "member_id", "key_id", "endpoint_id", "route_id", "door")
USAGE_COUNTS = ("requests", "errors", "refused", "partial", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_nano")
TRAFFIC_KEY = ("minute", "route_id", "endpoint_id")
TRAFFIC_COUNTS = ("calls", "errors", *(f"first_byte_{at}" for at in range(len(FIRST_BYTE_BOUNDS) + 1)))
BATCH = 200

Key = tuple[Any, ...]


@in_own_connection
def position_of(spool: str) -> int:
    """How many records of this spool are booked. Raises DatabaseAway."""
    return SpoolPosition.objects.get_or_create(spool=spool)[0].position


@in_own_connection
def book(spool: str, booked: int, upto: int, deltas: Deltas) -> bool:
    """Add `deltas` and move the spool's position, both or neither; False where it isn't at `booked` (any more).

    Rows are made first, with zeros, which costs nothing when it is done twice. Raises DatabaseAway, after which it is
    not known whether all of it happened or nothing: `position_of` tells.
    """
    usage = {(_time(hour, 3600), *rest): counts for (hour, *rest), counts in deltas.usage.items()}
    traffic = {(_time(minute, 60), *rest): counts for (minute, *rest), counts in deltas.traffic.items()}
    hours = _rows(UsageHour, USAGE_KEY, "key_id", usage, _named)
    minutes = _rows(TrafficMinute, TRAFFIC_KEY, "endpoint_id", traffic, _nameless)
    with transaction.atomic():
        moved = SpoolPosition.objects.filter(spool=spool, position=booked).update(position=upto, moved_at=timezone.now())
        if moved:
            _add(UsageHour, USAGE_COUNTS, [[hours[key], *counts] for key, counts in usage.items()])
            SummedDay.reopen(_time(key[0], 3600) for key in deltas.usage)
            _add(TrafficMinute, TRAFFIC_COUNTS, [[minutes[key], *counts] for key, counts in traffic.items()])
    return bool(moved)


@in_own_connection
def forget(spool: str) -> None:
    """The spool's files are gone. Raises DatabaseAway, which may leave the row until it is pruned."""
    SpoolPosition.objects.filter(spool=spool).delete()


def _time(number: int, seconds: int) -> datetime:
    return datetime.fromtimestamp(number * seconds, UTC)


def _rows(model: type[models.Model], fields: Sequence[str], narrow: str, wanted: Iterable[Key],
          values_of: Callable[[list[Key]], Mapping[Key, dict[str, Any]]]) -> dict[Key, int]:
    """The ids of the rows of these keys; missing ones are made, with the values that `values_of` gives."""
    keys = list(wanted)
    found = _find(model, fields, narrow, keys)
    missing = [key for key in keys if key not in found]
    if missing:
        rows = [model(**dict(zip(fields, key, strict=True)), **values) for key, values in values_of(missing).items()]
        model._default_manager.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        found |= _find(model, fields, narrow, missing)
    return found


def _find(model: type[models.Model], fields: Sequence[str], narrow: str, keys: list[Key]) -> dict[Key, int]:
    """More rows than asked for may come: those of the same times and keys (or endpoints)."""
    times, at = sorted({key[0] for key in keys}), fields.index(narrow)
    values = sorted({key[at] for key in keys})
    found: dict[Key, int] = {}
    for start in range(0, len(values), BATCH):
        rows = model._default_manager.filter(**{f"{fields[0]}__in": times, f"{narrow}__in": values[start:start + BATCH]})
        found |= {tuple(key): pk for pk, *key in rows.order_by().values_list("pk", *fields)}
    return found


def _named(keys: list[Key]) -> dict[Key, dict[str, Any]]:
    """The names of what the keys' ids mean, as they are now; "" for what is gone."""
    workspaces = _names(Workspace, "slug", {key[1] for key in keys})
    members = _names(User, "username", {key[2] for key in keys})
    api_keys = _names(ApiKey, "name", {key[3] for key in keys})
    endpoints = {pk: (name, public) for pk, name, public in Endpoint.objects.filter(
        pk__in={key[4] for key in keys}).values_list("pk", "name", "public_name")}
    routes = _names(Route, "public_name", {key[5] for key in keys})
    named = {}
    for key in keys:
        endpoint, public = endpoints.get(key[4], ("", ""))
        named[key] = {
            "workspace_name": workspaces.get(key[1], ""), "member_name": members.get(key[2], ""),
            "key_name": api_keys.get(key[3], ""), "endpoint_name": endpoint,
            "model_name": routes.get(key[5], "") if key[5] else public}
    return named


def _nameless(keys: list[Key]) -> dict[Key, dict[str, Any]]:
    return {key: {} for key in keys}


def _names(model: type[models.Model], field: str, ids: set[int]) -> dict[int, str]:
    return dict(model._default_manager.filter(pk__in=ids - {0}).values_list("pk", field))


def _add(model: type[models.Model], columns: Sequence[str], growth: list[list[int]]) -> None:
    """Add to the columns of rows: one statement, however many rows. Raises DatabaseAway where one has vanished.

    By id, so that gateways that book at the same time take the rows in the same order.
    """
    if not growth:
        return
    names = [f"more_{at}" for at in range(len(columns))]
    table = model._meta.db_table
    sums = ", ".join(f"{name} = {name} + {more}" for name, more in zip(columns, names, strict=True))
    if connection.vendor == "mysql":
        told = ", ".join(f"{name} BIGINT PATH '$[{at}]'" for at, name in enumerate(["row_id", *names]))
        sql = f"UPDATE {table} JOIN JSON_TABLE(%s, '$[*]' COLUMNS ({told})) AS told ON id = row_id SET {sums}"  # noqa: S608  Only words of ours.
    else:
        told = ", ".join(f"JSON_EXTRACT(value, '$[{at}]') AS {name}" for at, name in enumerate(["row_id", *names]))
        sql = f"UPDATE {table} SET {sums} FROM (SELECT {told} FROM JSON_EACH(%s)) AS told WHERE id = row_id"  # noqa: S608  Only words of ours.
    with connection.cursor() as cursor:
        cursor.execute(sql, [json.dumps(sorted(growth))])
        if cursor.rowcount != len(growth):
            raise DatabaseAway("a row of usage was pruned meanwhile")
