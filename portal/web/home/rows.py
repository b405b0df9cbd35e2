"""The endpoints of the first page: those that need somebody first, each with how its calls went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Case, F, QuerySet, Sum, Value, When
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from endpoints.canary import Sample
from endpoints.models import Endpoint, TrafficMinute, UsageHour
from endpoints.services.endpoint_traffic import quantile
from endpoints.services.hourly import cost_per_hour
from endpoints.services.route_traffic import COUNTERS, MINUTE, minute_of, sample_of
from endpoints.states import Status

from ..durations import took
from .drawing import Spark, spark

SHOWN, MOST_URGENT = 10, 21
MINUTES, HOURS = 5, 24
URGENT = (Status.FAILED, Status.STALLED, Status.DEGRADED, Status.PENDING, Status.CREATING, Status.UPDATING, Status.STOPPING,
          Status.DELETING)


@dataclass(frozen=True)
class Row:
    """`per_second` and `first_token` are of the last minutes, None where nothing was asked."""

    endpoint: Endpoint
    wanted: int
    spark: Spark | None
    per_second: float | None
    first_token: float | None
    cost: Decimal | None

    @property
    def rate(self) -> str:
        return "–" if self.per_second is None else number_format(self.per_second, 1 if self.per_second < 100 else 0)

    @property
    def waits(self) -> str:
        """The time within which nineteen of twenty calls have their first token."""
        return took(self.first_token)

    @property
    def per_hour(self) -> str:
        return "–" if self.cost is None else number_format(self.cost, 2, force_grouping=True)


def urgent_first(mine: QuerySet[Endpoint]) -> tuple[list[int], bool]:
    """Keys of the first endpoints by urgency, and whether there are more. Two queries, each by an index."""
    order = Case(*(When(status=status, then=Value(place)) for place, status in enumerate(URGENT)))
    urgent = list(mine.filter(status__in=URGENT).order_by(order, "-pk").values_list("pk", flat=True)[:MOST_URGENT])
    calm = mine.filter(status__in=(Status.INSERVICE, Status.STOPPED)).order_by("-pk").values_list("pk", flat=True)
    room = SHOWN + 1 - len(urgent)
    found = [*urgent, *(calm[:room] if room > 0 else ())]
    return found, len(found) > SHOWN


def in_order(mine: QuerySet[Endpoint], keys: Sequence[int]) -> list[Endpoint]:
    """The endpoints with these keys, in this order, with all that a row shows. One query."""
    found = mine.filter(pk__in=list(keys)).select_related("workspace", "cluster", "wanted__profile__model")
    rows = {row.pk: row for row in found}
    return [rows[key] for key in keys if key in rows]


def rows_of(endpoints: Sequence[Endpoint], now: datetime, regions: Mapping[int, str]) -> list[Row]:
    """Two queries: the last minutes, and the day. `regions` are those of places in AWS."""
    lately, day = _lately([row.pk for row in endpoints], now), _day(endpoints, now)
    return [_row(row, lately.get(row.pk, Sample()), day.get(row.pk), regions.get(row.cluster_id, "")) for row in endpoints]


def _row(endpoint: Endpoint, sample: Sample, hours: list[int] | None, region: str) -> Row:
    return Row(
        endpoint, endpoint.replicas_now if endpoint.wish == "running" else 0,
        spark(hours, _("Requests in the last 24 hours")) if hours else None,
        sample.calls / (MINUTES * 60) if sample.calls else None, quantile(sample.first_bytes, 0.95),
        cost_per_hour(endpoint, region))


def _lately(keys: Sequence[int], now: datetime) -> dict[int, Sample]:
    """The calls of the last whole minutes; each minute by its name, since a span of them would read all endpoints' rows."""
    minutes = [minute_of(now) - MINUTE * back for back in range(1, MINUTES + 1)]
    sums: dict[int, Sample] = defaultdict(Sample)
    rows = TrafficMinute.objects.filter(minute__in=minutes, endpoint_id__in=keys)
    for key, *counters in rows.values_list("endpoint_id", *COUNTERS):
        sums[key] += sample_of(counters)
    return sums


def _day(endpoints: Sequence[Endpoint], now: datetime) -> dict[int, list[int]]:
    """Requests of each of the last 24 hours, the oldest first; endpoints without any are not there."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    first = this_hour - timedelta(hours=HOURS - 1)
    rows = UsageHour.objects.filter(
        workspace_id__in={row.workspace_id for row in endpoints}, hour__gte=first,
        endpoint_id__in=[row.pk for row in endpoints])
    found: dict[int, list[int]] = {}
    for key, hour, requests in rows.order_by().values_list("endpoint_id", "hour").annotate(all=Sum(F("requests"))):
        place = int((hour - first).total_seconds() // 3600)
        if 0 <= place < HOURS:
            found.setdefault(key, [0] * HOURS)[place] = requests
    return found
