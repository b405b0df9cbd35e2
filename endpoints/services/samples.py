"""Figures of an endpoint that nobody stores: samples of the last minutes, kept in this process while somebody looks."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from clusters.states import ClusterKind
from endpoints.models import Endpoint
from endpoints.targets import target_for
from endpoints.targets.base import TargetError
from endpoints.targets.engine_pages import EngineFigures, ShowsEngines, read_engines

from .endpoint_traffic import Counters, counters_of
from .specs import spec_of

# Engines on hosts are asked themselves, all others through their place, which has more to do.
EVERY, EVERY_ELSEWHERE = timedelta(seconds=3), timedelta(seconds=10)
KEPT = 600  # half an hour of them at least
MOST_RINGS = 200
# Gateways book every few seconds, so a rate over less would jump.
WINDOW = timedelta(seconds=15)
FORGOTTEN_AFTER = timedelta(minutes=2)  # nobody has looked: what would follow is another time


@dataclass(frozen=True)
class Sample:
    """Figures of one moment; `booked` are counters since `Ring.since`."""

    at: datetime
    engine: EngineFigures
    booked: Counters


@dataclass(frozen=True)
class Point:
    """What a page draws of a moment: rates in units a second, `cache` as a share from 0 to 1. None is not known."""

    at: datetime
    requests: float | None
    tokens_out: float | None
    tokens_in: float | None
    running: float | None
    waiting: float | None
    cache: float | None


@dataclass
class Ring:
    since: datetime
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_due(self, now: datetime, every: timedelta) -> bool:
        return not self.samples or now - self.samples[-1].at >= every


_rings: OrderedDict[int, Ring] = OrderedDict()
_lock = threading.Lock()


def sample(endpoint: Endpoint) -> Point | None:
    """Take a sample and give its point; None where there is a fresh one, or another thread is at it just now.

    Asks engines, for seconds at worst: nothing for the first answer of a page.
    """
    now = timezone.now()
    every = EVERY if endpoint.cluster.kind == ClusterKind.HOSTS else EVERY_ELSEWHERE
    ring = _ring(endpoint, now)
    if not ring.lock.acquire(blocking=False):
        return None
    try:
        if not ring.is_due(now, every):
            return None
        ring.samples.append(Sample(now, _engine(endpoint), counters_of(endpoint, ring.since)))
        return points(list(ring.samples)[-12:])[-1]
    finally:
        ring.lock.release()


def _ring(endpoint: Endpoint, now: datetime) -> Ring:
    with _lock:
        ring = _rings.get(endpoint.pk)
        if ring is None or (ring.samples and now - ring.samples[-1].at > FORGOTTEN_AFTER):
            ring = _rings[endpoint.pk] = Ring(now)
        _rings.move_to_end(endpoint.pk)
        while len(_rings) > MOST_RINGS:
            _rings.popitem(last=False)
        return ring


def recent(endpoint: Endpoint) -> list[Point]:
    """What this process has sampled, the oldest first; empty where nobody has looked lately. Asks nobody."""
    with _lock:
        ring = _rings.get(endpoint.pk)
    return points(list(ring.samples)) if ring else []


def points(samples: Sequence[Sample]) -> list[Point]:
    """Rates between each sample and the one WINDOW before it. Pure."""
    found, first = [], 0
    for last, here in enumerate(samples):
        while first < last - 1 and here.at - samples[first + 1].at >= WINDOW:
            first += 1
        found.append(_point(samples[first], here))
    return found


def _point(before: Sample, here: Sample) -> Point:
    seconds = (here.at - before.at).total_seconds()
    booked, was = here.booked, before.booked
    return Point(
        here.at, _rate(was.requests, booked.requests, seconds),
        _first(_rate(before.engine.written_tokens, here.engine.written_tokens, seconds),
               _rate(was.completion_tokens, booked.completion_tokens, seconds)),
        _first(_rate(before.engine.prompt_tokens, here.engine.prompt_tokens, seconds),
               _rate(was.prompt_tokens, booked.prompt_tokens, seconds)),
        here.engine.running, here.engine.waiting, here.engine.cache)


def _rate(was: float | None, now: float | None, seconds: float) -> float | None:
    """None where a counter began anew, or nothing is known."""
    if was is None or now is None or seconds <= 0 or now < was:
        return None
    return (now - was) / seconds


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _engine(endpoint: Endpoint) -> EngineFigures:
    try:
        target = target_for(endpoint.cluster)
        return read_engines(target.engine_pages(spec_of(endpoint))) if isinstance(target, ShowsEngines) else EngineFigures()
    except TargetError:  # a place that can't be asked tells nothing now
        return EngineFigures()


def forget_samples() -> None:
    with _lock:
        _rings.clear()
