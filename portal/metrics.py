"""/metrics for Prometheus: what the rows say, and what this process has counted (the gateway's requests)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from clusters.models import Engine, Host
from clusters.states import HostState, Phase
from endpoints.models import Endpoint
from endpoints.states import Status
from portal.tenancy.models import Heartbeat, User

from .startup import is_loopback


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, for this machine, for who has PORTAL_METRICS_TOKEN, and for operators."""
    if not may_read(request):
        response = HttpResponse("not allowed\n", content_type="text/plain", status=401)
        response["WWW-Authenticate"] = "Bearer"
        return response
    rows = CollectorRegistry(auto_describe=False)
    rows.register(RowCollector())
    return HttpResponse(generate_latest(rows) + generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def may_read(request: HttpRequest) -> bool:
    kind, _space, token = request.headers.get("Authorization", "").partition(" ")
    if kind:
        wanted = settings.PORTAL_METRICS_TOKEN
        return bool(wanted) and kind.lower() == "bearer" and hmac.compare_digest(token.encode(), wanted.encode())
    # A caller that came through a proxy on this machine is not on this machine.
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    if not forwarded and is_loopback(request.META.get("REMOTE_ADDR", "")):
        return True
    return isinstance(request.user, User) and request.user.sees_everything


class RowCollector(Collector):
    """Five queries for each scrape, whatever the number of rows."""

    def collect(self) -> Iterator[Metric]:
        yield _counted("portal_endpoints", "Endpoints by status", Endpoint.objects.all(), "status", Status.values)
        yield _counted("portal_hosts", "Hosts by state", Host.objects.all(), "state", HostState.values)
        yield _counted("portal_engines", "Engines by phase", Engine.objects.all(), "phase", Phase.values)
        beats = list(Heartbeat.objects.all())
        yield _of_jobs("portal_job_seconds", "How long the last run took", beats, lambda beat: beat.seconds)
        yield _of_jobs("portal_job_lag_seconds", "How late the last run found its oldest row", beats, lambda beat: beat.lag)
        now = timezone.now()
        yield _of_jobs("portal_job_age_seconds", "Time since the last run ended", beats,
                       lambda beat: (now - beat.at).total_seconds())


def _counted(name: str, text: str, rows: QuerySet[Any], field: str, known: Iterable[str]) -> Metric:
    counts = dict(rows.order_by().values_list(field).annotate(Count("pk")))
    family = GaugeMetricFamily(name, text, labels=[field])
    for value in known:
        family.add_metric([value], counts.get(value, 0))
    return family


def _of_jobs(name: str, text: str, beats: list[Heartbeat], value: Callable[[Heartbeat], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["job"])
    for beat in beats:
        family.add_metric([beat.name], value(beat))
    return family
