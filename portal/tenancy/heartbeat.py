"""Signs of life of recurring jobs, so that /readyz, /metrics and `doctor` can tell that workers and beat are alive."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from .db import retry_tx
from .models import Heartbeat


@retry_tx
def mark(name: str, *, seconds: float = 0.0, lag: float = 0.0) -> None:
    """Note that the job `name` has just ended. `seconds` is how long it took, `lag` how late its oldest row was."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now(), "seconds": seconds, "lag": lag})


def age(name: str, now: datetime | None = None) -> float | None:
    """Seconds since the job `name` last ended; None where it never did."""
    at = Heartbeat.objects.filter(name=name).values_list("at", flat=True).first()
    return None if at is None else ((now or timezone.now()) - at).total_seconds()
