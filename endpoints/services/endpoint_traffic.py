"""How the calls of one endpoint went lately: by the minute, and as counters that grow. For its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Sum

from endpoints.canary import Sample
from endpoints.models import FIRST_BYTE_BOUNDS, Endpoint, Route, TrafficMinute, UsageHour

from .route_traffic import COUNTERS, MINUTE, minute_of, sample_of

NO_ROUTE = 0
EDGES = (0.0, *FIRST_BYTE_BOUNDS)


@dataclass(frozen=True)
class Minute:
    """The calls of one minute. Times in seconds until the first byte; None where nothing came."""

    at: datetime
    calls: int
    errors: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class Counters:
    """What was booked of an endpoint since the beginning of an hour."""

    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nano: int = 0


def minutes_of(endpoint: Endpoint, now: datetime, count: int = 60) -> list[Minute]:
    """The last `count` whole minutes, the oldest first; one without a call is there too. Two queries, by index."""
    last = minute_of(now) - MINUTE
    times = [last - MINUTE * back for back in reversed(range(count))]
    routes = [NO_ROUTE, *Route.objects.leading_to(endpoint).values_list("pk", flat=True)]
    # Each minute by its name: the index begins with the minute, and a span of them would read all endpoints' rows.
    rows = TrafficMinute.objects.filter(minute__in=times, route_id__in=routes, endpoint_id=endpoint.pk)
    sums = dict.fromkeys(times, Sample())
    for minute, *counters in rows.values_list("minute", *COUNTERS):
        sums[minute] += sample_of(counters)
    return [Minute(at, sample.calls, sample.errors, quantile(sample.first_bytes, 0.5), quantile(sample.first_bytes, 0.95))
            for at, sample in sums.items()]


def counters_of(endpoint: Endpoint, since: datetime) -> Counters:
    """What was booked from the hour of `since` on; in steps, since gateways book every few seconds."""
    hour = since.replace(minute=0, second=0, microsecond=0)
    rows = UsageHour.objects.filter(workspace_id=endpoint.workspace_id, hour__gte=hour, endpoint_id=endpoint.pk)
    names = tuple(Counters.__dataclass_fields__)
    sums = rows.order_by().aggregate(**{f"sum_of_{name}": Sum(name) for name in names})
    return Counters(**{name: sums[f"sum_of_{name}"] or 0 for name in names})


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The time within which this share of calls had their first byte, straight between the edges of its bucket.

    Of what took longer than the last edge nothing more is known: that edge then. Pure.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, passed = share * total, 0
    for count, (low, high) in zip(counts, pairwise(EDGES), strict=False):
        if count and passed + count >= wanted:
            return low + (high - low) * (wanted - passed) / count
        passed += count
    return EDGES[-1]


def hour_ago(now: datetime) -> datetime:
    return now - timedelta(hours=1)
