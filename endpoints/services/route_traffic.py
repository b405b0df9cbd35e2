"""What gateways have counted of the calls by a route: for the judge of canaries, and for the picture."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from endpoints.canary import Sample
from endpoints.models import FIRST_BYTE_BOUNDS, TrafficMinute

BUCKETS = len(FIRST_BYTE_BOUNDS) + 1
COUNTERS = ("calls", "errors", *[f"first_byte_{number}" for number in range(BUCKETS)])
MINUTE = timedelta(minutes=1)


class Counted(NamedTuple):
    """One endpoint's calls by one route in one minute."""

    route_id: int
    endpoint_id: int
    minute: datetime
    sample: Sample


def minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def counted(route_ids: Collection[int], since: datetime) -> list[Counted]:
    """All that is counted for these routes from the minute of `since` on, in one query, the oldest first."""
    rows = (TrafficMinute.objects.filter(route_id__in=route_ids, minute__gte=minute_of(since)).order_by("minute")
            .values_list("route_id", "endpoint_id", "minute", *COUNTERS))
    return [Counted(route_id, endpoint_id, minute, sample_of(counters)) for route_id, endpoint_id, minute, *counters in rows]


def sample_of(counters: Sequence[int]) -> Sample:
    return Sample(counters[0], counters[1], tuple(counters[2:]))


def total(samples: Iterable[Sample]) -> Sample:
    return sum(samples, Sample())


def counted_already(route_id: int, endpoint_id: int, now: datetime) -> dict[str, Any]:
    """What the counters of this minute hold already, as a canary's `baseline` keeps it: {endpoint id: counters}."""
    row = (TrafficMinute.objects.filter(route_id=route_id, endpoint_id=endpoint_id, minute=minute_of(now))
           .values_list(*COUNTERS).first())
    return {str(endpoint_id): list(row)} if row else {}
