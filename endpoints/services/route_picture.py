"""What a route wishes and what its calls do, side by side: for its page and for the API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from endpoints.canary import Sample, Verdict, quantile
from endpoints.models import FIRST_BYTE_BOUNDS, Canary, Endpoint, Route, TargetRole
from endpoints.states import Wish

from .canaries import own_sample, verdict_on
from .route_traffic import MINUTE, Counted, counted, minute_of, total
from .route_wish import WHOLE, percents

ON_TRIAL = "canary"
WINDOW_MINUTES = 5
HISTORY_MINUTES = 30


@dataclass(frozen=True)
class Lane:
    """One endpoint behind a route: what it is there for, its share as wished (in %), and what was counted.

    `seen` is of the window; `history` has one sample a minute, the oldest first.
    """

    endpoint: Endpoint
    role: str
    percent: float
    seen: Sample
    history: tuple[Sample, ...]

    @property
    def first_token(self) -> float | None:
        """The 95th percentile in seconds; None without calls."""
        return quantile(self.seen.first_bytes, FIRST_BYTE_BOUNDS)


@dataclass(frozen=True)
class Judged:
    """A running canary's calls that are judged, those that they are held against, and what comes of it."""

    own: Sample
    others: Sample
    verdict: Verdict


@dataclass(frozen=True)
class Picture:
    """`judged` is there for a canary that runs."""

    lanes: list[Lane]
    calls: int
    minutes: int
    canary: Canary | None
    judged: Judged | None = None


def picture(route: Route, *, minutes: int = WINDOW_MINUTES, now: datetime | None = None) -> Picture:
    """The route now, in three queries. Shares are those of endpoints that should run: the others' calls go to them."""
    now = now or timezone.now()
    seen = counted([route.pk], now - max(HISTORY_MINUTES, minutes) * MINUTE)
    canary = Canary.objects.filter(route=route).select_related("endpoint").first()
    ends = _ends(route, canary)
    lanes = [_lane(endpoint, role, percent, seen, now=now, minutes=minutes) for endpoint, role, percent in ends]
    calls = sum(lane.seen.calls for lane in lanes)
    if canary is None or not canary.is_running:
        return Picture(lanes, calls, minutes, canary)
    mains = {lane.endpoint.pk for lane in lanes if lane.role == TargetRole.MAIN}
    first = minute_of(now - timedelta(minutes=canary.window_minutes))
    others = total(one.sample for one in seen if one.endpoint_id in mains and one.minute >= first)
    own = own_sample(canary, seen, now)
    return Picture(lanes, calls, minutes, canary, Judged(own, others, verdict_on(canary, own, others)))


def _ends(route: Route, canary: Canary | None) -> list[tuple[Endpoint, str, float]]:
    """Endpoints with their role and their share of all calls, the one on trial behind those that it is held against."""
    targets = list(route.targets.select_related("endpoint").order_by("position", "id"))
    mains = [one for one in targets if one.role == TargetRole.MAIN]
    tried = canary.percent if canary is not None and canary.is_running and _runs(canary.endpoint) else 0
    shares = percents([one.weight if _runs(one.endpoint) else 0 for one in mains])
    left = (WHOLE - tried) / WHOLE
    found = [(one.endpoint, one.role, share * left) for one, share in zip(mains, shares, strict=True)]
    if canary is not None:
        found.append((canary.endpoint, ON_TRIAL, float(tried)))
    return [*found, *[(one.endpoint, one.role, 0.0) for one in targets if one.role == TargetRole.FALLBACK]]


def _runs(endpoint: Endpoint) -> bool:
    return endpoint.wish == Wish.RUNNING


def _lane(
    endpoint: Endpoint, role: str, percent: float, seen: Iterable[Counted], *, now: datetime, minutes: int,
) -> Lane:
    mine = {one.minute: one.sample for one in seen if one.endpoint_id == endpoint.pk}
    last = minute_of(now)
    history = tuple(mine.get(last - n * MINUTE, Sample()) for n in range(HISTORY_MINUTES - 1, -1, -1))
    first = minute_of(now - minutes * MINUTE)
    return Lane(endpoint, role, percent, total(one for minute, one in mine.items() if minute >= first), history)
