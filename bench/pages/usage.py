"""Hours of usage as gateways book them: one for each hour, key and endpoint, over 13 months; the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.pages.insert import insert, moment

DAYS = 395
BUSIEST = 0.6  # of the usage is the workspace's that is looked at
PROGRAMS, PEOPLE, CALLED = 300, 60, 100  # keys, their makers, and endpoints of a workspace
STEADY = 0.5  # of the calls of an hour come from programs that always call; the others from whoever has work to do
DRAWN = 0.05  # of the calls of an hour come from the playground, each by a key of its own
GPU_ENDPOINTS = 20
FIRST_DRAWN = 10**6  # the id of the first key that the playground drew
PLAYGROUND = "Playground"
COLUMNS = ("hour", "workspace_id", "member_id", "key_id", "endpoint_id", "route_id", "door", "workspace_name", "member_name",
           "key_name", "endpoint_name", "model_name", "requests", "errors", "refused", "partial", "prompt_tokens",
           "completion_tokens", "cached_tokens", "cost_nano")
GPU_COLUMNS = ("hour", "workspace_id", "endpoint_id", "workspace_name", "endpoint_name", "model_name", "place_name",
               "gpu_seconds")


def fill_usage(
    workspaces: Sequence[Any], keys: Sequence[Any], members: Sequence[Any], endpoints: Sequence[Any], rows: int,
) -> None:
    """`keys`, `members` and `endpoints` are those of the first workspace; the others have as many by other ids."""
    from endpoints.models import GpuHour, UsageHour

    insert(UsageHour, COLUMNS, _usage(workspaces, keys, members, endpoints, rows))
    insert(GpuHour, GPU_COLUMNS, _gpus(workspaces[0], endpoints[:GPU_ENDPOINTS]))
    _sum_up()


def _sum_up() -> None:
    """The days that are over, as the task does in the hour after an update."""
    from django.db import transaction
    from django.utils import timezone

    from endpoints.services import day_sums

    now = timezone.now()
    with transaction.atomic():
        day_sums.sum_up(now - 2 * day_sums.NOTED_BEFORE)
        while day_sums.sum_up(now):
            pass


def _hours() -> list[datetime]:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return [now - timedelta(hours=back) for back in range(DAYS * 24 - 1, -1, -1)]


def _usage(
    workspaces: Sequence[Any], keys: Sequence[Any], members: Sequence[Any], endpoints: Sequence[Any], rows: int,
) -> Iterator[tuple[Any, ...]]:
    """As many as `rows`, but for a few by rounding."""
    draw, hours, drawn = random.Random(1), _hours(), FIRST_DRAWN
    shares = [BUSIEST, *[(1 - BUSIEST) / (len(workspaces) - 1)] * (len(workspaces) - 1)]
    pairs = [_pairs(number, workspace, keys, members, endpoints, draw) for number, workspace in enumerate(workspaces)]
    for passed, hour in enumerate(hours, 1):
        text = moment(hour)
        for workspace, share, own in zip(workspaces, shares, pairs, strict=True):
            wanted = round(rows * share * passed / len(hours)) - round(rows * share * (passed - 1) / len(hours))
            steady, people = round(wanted * STEADY), round(wanted * DRAWN)
            for who in (*own[:steady], *draw.sample(own[steady:], wanted - steady - people)):
                yield (text, workspace.pk, *who, *_counts(draw))
            for member, _key, endpoint, *_rest, member_name, _name, endpoint_name, model in draw.sample(own, people):
                drawn += 1
                yield (text, workspace.pk, member, drawn, endpoint, 0, 1, workspace.slug, member_name, PLAYGROUND,
                       endpoint_name, model, *_counts(draw))


def _pairs(
    number: int, workspace: Any, keys: Sequence[Any], members: Sequence[Any], endpoints: Sequence[Any], draw: random.Random,
) -> list[tuple[Any, ...]]:
    """Who calls what: two endpoints for each key, in an order that stays; the columns between workspace and counts."""
    found = []
    for at, key in enumerate(keys[:PROGRAMS]):
        member, shift = members[at % min(PEOPLE, len(members))], number * 10**5
        for endpoint in draw.sample(endpoints[:CALLED], 2):
            found.append((member.pk + shift, key.pk + shift, endpoint.pk + shift, 0, 1, workspace.slug, member.username,
                          key.name, endpoint.name, endpoint.public_name))
    return found


def _counts(draw: random.Random) -> tuple[int, ...]:
    requests = int(1 + draw.random() ** 3 * 500)
    prompt, completion = requests * int(100 + draw.random() * 900), requests * int(20 + draw.random() * 300)
    return requests, requests // 50, requests // 90, 0, prompt, completion, prompt // 3, prompt * 200 + completion * 800


def _gpus(workspace: Any, endpoints: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    for hour in _hours():
        text = moment(hour)
        for endpoint in endpoints:
            yield (text, workspace.pk, endpoint.pk, workspace.slug, endpoint.name, endpoint.public_name, endpoint.cluster.name,
                   3600 * (1 + endpoint.pk % 4))
