"""The figures of an endpoint's calls, as its place keeps them."""

from __future__ import annotations

from django.utils import timezone

from endpoints.models import Endpoint
from endpoints.targets import target_for
from endpoints.targets.base import TargetError
from endpoints.targets.measuring import NAMES, Measured, Measures
from portal.tenancy.text import clean

from .specs import spec_of


def measures(endpoint: Endpoint) -> Measured | None:
    """None for a kind of place that keeps none. A place that can't be asked is said in the answer, not raised."""
    try:
        target = target_for(endpoint.cluster)
        return target.measure(spec_of(endpoint)) if isinstance(target, Measures) else None
    except TargetError as error:
        return Measured(dict.fromkeys(NAMES), "", timezone.now(), missing=clean(error.message, 300))
