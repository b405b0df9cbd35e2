"""The route for the figures of an endpoint's calls."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ninja import Router, Schema

from endpoints import services
from endpoints.api import endpoint_of
from endpoints.targets.measuring import NAMES, Measured
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import NotFound

router = Router(tags=["endpoints"])


class MeasuresOut(Schema):
    """Times in milliseconds, means; null where the place doesn't keep a figure, and `missing` says why."""

    model_invocations_total: float | None
    model_latency_milliseconds: float | None
    model_ttfb_milliseconds: float | None
    model_concurrent_requests: float | None
    period: str
    source: str
    looked_at: datetime
    missing: str


@router.get("/endpoints/{uid}/measures", response=MeasuresOut, summary="Show calls, their times, and how many run")
def get_measures(request: ApiRequest, uid: UUID) -> MeasuresOut:
    """HyperPod and SageMaker keep these; of other places the portal's own usage tells."""
    found: Measured | None = services.measures(endpoint_of(request, uid))
    if found is None:
        raise NotFound()
    return MeasuresOut(**{name: found.values.get(name) for name in NAMES}, period=found.period, source=found.source,
                       looked_at=found.looked_at, missing=found.missing)
