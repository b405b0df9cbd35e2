"""Endpoints behind routes, and calls as gateways count them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from endpoints.models import FIRST_BYTE_BOUNDS, Endpoint, Revision, Route, TrafficMinute
from endpoints.services.route_wish import RouteWish, Share
from endpoints.services.routes import create_route
from models_catalog.models import Profile
from portal.tenancy.models import Workspace
from tests.cast import Cast, make_cluster, make_profile


def make_end(workspace: Workspace, name: str, *, task: str = "chat", **values: Any) -> Endpoint:
    """An endpoint that answers calls of `task`; nothing is deployed."""
    cluster = values.pop("cluster", None) or make_cluster(f"{workspace.slug}-{name}")
    row = Endpoint.objects.create(workspace=workspace, cluster=cluster, name=name,
                                  **{"public_name": name, "public_key": name.lower(), "status": "INSERVICE", **values})
    profile = Profile.objects.first() or make_profile()
    row.wanted = Revision.objects.create(endpoint=row, number=1, profile=profile, spec={"task": task})
    row.save()
    return row


def make_route(cast: Cast, name: str, *shares: tuple[Endpoint, int], **values: Any) -> Route:
    wish = RouteWish(name, tuple(Share(endpoint, weight) for endpoint, weight in shares), **values)
    return create_route(cast.actor("alice"), shares[0][0].workspace, wish)


def count(route: Route, endpoint: Endpoint, calls: int, *, errors: int = 0, seconds: Sequence[float] = (),
          at: datetime | None = None) -> None:
    """Book calls of one minute; `seconds` are the times to the first byte, by default 0.15 s of each call that went well."""
    times = list(seconds) or [0.15] * (calls - errors)
    buckets = [0] * (len(FIRST_BYTE_BOUNDS) + 1)
    for one in times:
        buckets[next((n for n, bound in enumerate(FIRST_BYTE_BOUNDS) if one <= bound), len(FIRST_BYTE_BOUNDS))] += 1
    minute = (at or timezone.now()).replace(second=0, microsecond=0)
    row, _made = TrafficMinute.objects.get_or_create(minute=minute, route_id=route.pk, endpoint_id=endpoint.pk)
    row.calls, row.errors = row.calls + calls, row.errors + errors
    for number, more in enumerate(buckets):
        setattr(row, f"first_byte_{number}", getattr(row, f"first_byte_{number}") + more)
    row.save()
