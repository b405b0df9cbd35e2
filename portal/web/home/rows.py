"""The endpoints of the first page: those that need somebody first, each with how its calls went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Case, Count, F, Q, QuerySet, Sum, Value, When
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from endpoints.canary import Sample
from endpoints.models import Endpoint, TrafficMinute, UsageHour
from endpoints.services.endpoint_traffic import quantile
from endpoints.services.hourly import cost_per_hour
from endpoints.services.route_traffic import COUNTERS, MINUTE, minute_of, sample_of
from endpoints.states import NEEDS_PERSON, Cause, Status

from ..durations import took
from .drawing import Spark, spark

SHOWN, MOST_URGENT = 10, 21
MINUTES, HOURS = 5, 24
URGENT = (Status.FAILED, Status.STALLED, Status.DEGRADED, Status.PENDING, Status.CREATING, Status.UPDATING, Status.STOPPING,
          Status.DELETING)
ILL = {*NEEDS_PERSON, Status.DEGRADED}
CHANGED = Q(cause=Cause.CONTESTED) | ~Q(drift=[])  # by somebody outside, again and again or not yet decided upon


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


@dataclass(frozen=True)
class Tally:
    """How many endpoints are in each state, the most urgent state first. `changed` were changed outside the portal, and
    are not ill by their state."""

    states: list[tuple[Status, int]]
    changed: int

    @property
    def total(self) -> int:
        return sum(count for _status, count in self.states)

    @property
    def urgent(self) -> int:
        """How many need somebody."""
        return self.changed + sum(count for status, count in self.states if status in ILL)


def tally_of(mine: QuerySet[Endpoint]) -> Tally:
    """One query."""
    found = {Status(status): (count, changed) for status, count, changed in (
        mine.order_by().values_list("status").annotate(count=Count("pk"), changed=Count("pk", filter=CHANGED)))}
    order = [*URGENT, *(status for status in Status if status not in URGENT)]
    return Tally([(status, found[status][0]) for status in order if status in found],
                 sum(changed for status, (_count, changed) in found.items() if status not in ILL))


def urgent_first(mine: QuerySet[Endpoint], tally: Tally) -> tuple[list[int], bool]:
    """Keys of the first endpoints by urgency, and whether there are more. One query."""
    urgent = tally.changed + sum(count for status, count in tally.states if status in URGENT)
    most, calm = min(max(urgent, SHOWN + 1), MOST_URGENT), (Status.INSERVICE, Status.STOPPED)
    shown = (*URGENT, *calm) if tally.changed or urgent <= SHOWN else URGENT
    ranks = [*(Q(status=status) for status in URGENT if status in ILL), *([CHANGED] if tally.changed else []),
             *(Q(status=status) for status in URGENT if status not in ILL)]
    order = Case(*(When(rank, then=Value(place)) for place, rank in enumerate(ranks)), default=Value(len(ranks)))
    found = list(mine.filter(status__in=shown).order_by(order, "-pk").values_list("pk", flat=True)[:most])
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
