"""The figures of an endpoint's calls, as its place keeps them."""

from __future__ import annotations

import threading
import time
from uuid import UUID

from django.utils import timezone

from endpoints.models import Endpoint
from endpoints.targets import target_for
from endpoints.targets.base import TargetError
from endpoints.targets.measuring import NAMES, Measured, Measures
from portal.tenancy.text import clean

from .specs import spec_of

# An open page asks again every few seconds, CloudWatch is paid by the question, and a HyperPod endpoint has many pods.
KEPT_SECONDS, MOST_KEPT = 30.0, 1000

_kept: dict[tuple[UUID, int], tuple[float, Measured]] = {}
_lock = threading.Lock()


def measures(endpoint: Endpoint) -> Measured | None:
    """Those of half a minute ago at most; None for a kind of place that keeps none.

    A place that can't be asked is said in the answer, not raised.
    """
    key = (endpoint.uid, endpoint.generation)
    with _lock:
        until, found = _kept.get(key, (0.0, None))
    if found is not None and time.monotonic() < until:
        return found
    found = _asked(endpoint)
    if found is not None:
        with _lock:
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
            _kept[key] = time.monotonic() + KEPT_SECONDS, found
    return found


def _asked(endpoint: Endpoint) -> Measured | None:
    try:
        target = target_for(endpoint.cluster)
        return target.measure(spec_of(endpoint)) if isinstance(target, Measures) else None
    except TargetError as error:
        return Measured(dict.fromkeys(NAMES), "", timezone.now(), missing=clean(error.message, 300))
