"""Plays what an agent reports, on the real rows: the real agent has its own tests (tests/clusters, tests/e2e)."""

from __future__ import annotations

from django.utils import timezone

from clusters.models import Engine, Host
from clusters.states import DRAIN, Phase
from endpoints import services
from endpoints.models import Endpoint


def report(phase: str, *, revision: int | None = None, index: int | None = None, message: str = "") -> int:
    """Every engine that should run (or the named ones) is now in `phase`; how many."""
    engines = Engine.objects.filter(stop=False)
    if revision is not None:
        engines = engines.filter(revision=revision)
    if index is not None:
        engines = engines.filter(index=index)
    return engines.update(phase=phase, phase_since=timezone.now(), message=message, port=18000)


def drain() -> None:
    """What some seconds do to retired engines."""
    Engine.objects.exclude(retired_at=None).update(retired_at=timezone.now() - 2 * DRAIN)


def clear_stopped() -> int:
    """The agent says that every engine which should go is gone."""
    return Engine.objects.filter(stop=True).delete()[0]


def lose_host(host: Host) -> None:
    host.state = "LOST"
    host.save()
    Engine.objects.filter(node=host.node).update(phase=Phase.LOST)


def step(endpoint: Endpoint, times: int = 3) -> Endpoint:
    """Let the keeper come by a few times; the row as it is then."""
    for _ in range(times):
        services.reconcile(endpoint.pk)
    endpoint.refresh_from_db()
    return endpoint


def serve(endpoint: Endpoint) -> Endpoint:
    """Go on until nothing moves, with an agent that makes every engine ready and lets stopped ones go."""
    for _ in range(30):
        report(Phase.READY)
        drain()
        clear_stopped()
        services.reconcile(endpoint.pk)
    endpoint.refresh_from_db()
    return endpoint
