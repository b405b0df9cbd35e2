"""Prometheus series of the gateway. Labels are routes and classes of status only, never tenants or models.

What each call counts is kept in plain numbers, because a series of the client library costs a lock and a microsecond;
they become series when somebody asks for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

FIRST_BYTE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

RETRIES = Counter("portal_gateway_retries", "Calls sent to an engine a second time")
OUT = Gauge("portal_gateway_replicas_out", "Replicas that get no calls for a while, because of their failures")
SNAPSHOT_AGE = Gauge("portal_gateway_snapshot_age_seconds", "Age of what the gateway knows of keys and endpoints")
TUNNELS = Gauge("portal_gateway_tunnels", "Sockets that agents of unreachable hosts keep open", ["state"])


class Durations:
    """A histogram of seconds."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus's form: how many took at most so long."""
        total, found = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class RouteSeries:
    """What is counted of the calls of one route."""

    __slots__ = ("durations", "first_bytes", "requests")

    def __init__(self) -> None:
        self.requests = [0] * 10  # by class of status
        self.durations = Durations(DURATION_BUCKETS)
        self.first_bytes = Durations(FIRST_BYTE_BUCKETS)


class CallSeries(Collector):
    """Counts of calls, by route and class of status."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.direct = 0  # calls that were carried from socket to socket, without a task
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._routes: dict[str, RouteSeries] = {}

    def add(self, route: str, status: int, seconds: float, first_byte: float) -> None:
        """A call has ended. `first_byte` is 0 where the engine sent none."""
        series = self._routes.get(route)
        if series is None:
            series = self._routes[route] = RouteSeries()
        series.requests[status // 100] += 1
        took = series.durations
        took.counts[bisect_left(DURATION_BUCKETS, seconds)] += 1
        took.sum += seconds
        if first_byte:
            waited = series.first_bytes
            waited.counts[bisect_left(FIRST_BYTE_BUCKETS, first_byte)] += 1
            waited.sum += first_byte

    def collect(self) -> Iterator[Metric]:
        routes = list(self._routes.items())
        requests = CounterMetricFamily("portal_gateway_requests", "Requests by route and class of status",
                                       labels=["route", "status"])
        for route, series in routes:
            for status, count in enumerate(series.requests):
                if count:
                    requests.add_metric([route, f"{status}xx"], count)
        yield requests
        yield GaugeMetricFamily("portal_gateway_in_flight", "Calls being answered now", self.in_flight)
        yield CounterMetricFamily("portal_gateway_direct", "Calls carried from socket to socket", self.direct)
        tokens = CounterMetricFamily("portal_gateway_tokens", "Tokens by direction", labels=["direction"])
        tokens.add_metric(["prompt"], self.prompt_tokens)
        tokens.add_metric(["completion"], self.completion_tokens)
        yield tokens
        yield _histogram("portal_gateway_first_byte_seconds", "Time to the engine's first byte",
                         {route: series.first_bytes for route, series in routes})
        yield _histogram("portal_gateway_duration_seconds", "Time to the end of the answer",
                         {route: series.durations for route, series in routes})


def _histogram(name: str, text: str, by_route: dict[str, Durations]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["route"])
    for route, durations in by_route.items():
        family.add_metric([route], durations.cumulative(), durations.sum)
    return family


CALLS = CallSeries()
REGISTRY.register(CALLS)
