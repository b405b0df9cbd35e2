"""Tasks carry ids only. Each may run twice at once, late, or never."""

from __future__ import annotations

from celery import shared_task

from . import services


@shared_task
def sweep_copies() -> None:
    services.sweep_copies()


@shared_task
def look_at_copies(cluster_id: int) -> None:
    services.look_at_copies(cluster_id)
