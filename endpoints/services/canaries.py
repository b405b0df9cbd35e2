"""Looks after endpoints on trial: one that does worse than it may returns to 0 %, one that does well takes its step."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from endpoints.canary import Guard, Sample, Verdict, judge
from endpoints.models import FIRST_BYTE_BOUNDS, Canary, CanaryState, Event, RouteTarget, TargetRole
from portal.tenancy.actor import PORTAL
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import PortalError

from .route_traffic import Counted, counted, minute_of, sample_of, total
from .routes import return_canary, step_canary

log = logging.getLogger(__name__)
LONGEST = timedelta(minutes=60)  # a canary's `window_minutes` at most


def judge_canaries(now: datetime | None = None) -> int:
    """Look at every running canary once, in three queries; how many were changed. A change by people goes first."""
    now = now or timezone.now()
    rows = list(Canary.objects.filter(state=CanaryState.RUNNING).select_related("route__workspace", "endpoint"))
    if not rows:
        return 0
    ids = [row.route_id for row in rows]
    mains = set(RouteTarget.objects.filter(route__in=ids, role=TargetRole.MAIN).values_list("route_id", "endpoint_id"))
    seen = counted(ids, now - LONGEST)
    return sum(_look(row, [one for one in seen if one.route_id == row.route_id], mains, now) for row in rows)


def _look(row: Canary, seen: list[Counted], mains: set[tuple[int, int]], now: datetime) -> bool:
    others = total(one.sample for one in _window(row, seen, now) if (row.route_id, one.endpoint_id) in mains)
    verdict = verdict_on(row, own_sample(row, seen, now), others)
    try:
        if verdict.reason:
            _return(row, verdict.reason)
        elif verdict.is_judged and row.steps and now - row.since >= timedelta(minutes=row.step_minutes):
            step_canary(PORTAL, row.route, expected_generation=row.route.generation)
        else:
            return False
    except PortalError as error:  # somebody changed the route meanwhile, or its endpoint goes: the next look sees that
        log.info("canary left alone", extra={"route": str(row.route.uid), "error": error.message})
        return False
    return True


@retry_tx
def _return(row: Canary, reason: str) -> None:
    return_canary(PORTAL, row.route, reason, expected_generation=row.route.generation)
    Event.objects.create(endpoint=row.endpoint, kind="route", message=f"{row.route.public_name}: {reason}"[:1000],
                         actor_label=PORTAL.label, generation=row.endpoint.generation)


def verdict_on(row: Canary, own: Sample, others: Sample) -> Verdict:
    limit = row.max_first_byte_ms
    guard = Guard(row.min_calls, row.max_error_percent, row.max_error_points, None if limit is None else limit / 1000,
                  row.max_first_byte_ratio)
    return judge(own, others, guard, FIRST_BYTE_BOUNDS)


def own_sample(row: Canary, seen: Iterable[Counted], now: datetime) -> Sample:
    """What the endpoint on trial did within its window, and since it is in its state or at its step."""
    first = minute_of(row.since)
    rows = [one for one in _window(row, seen, now) if one.endpoint_id == row.endpoint_id and one.minute >= first]
    before = row.baseline.get(str(row.endpoint_id))
    return total(_less(one.sample, sample_of(before)) if before and one.minute == first else one.sample for one in rows)


def _window(row: Canary, seen: Iterable[Counted], now: datetime) -> list[Counted]:
    first = minute_of(now - timedelta(minutes=row.window_minutes))
    return [one for one in seen if one.minute >= first]


def _less(sample: Sample, before: Sample) -> Sample:
    return Sample(max(0, sample.calls - before.calls), max(0, sample.errors - before.errors),
                  tuple(max(0, now - then) for now, then in zip(sample.first_bytes, before.first_bytes, strict=True)))
