"""Tasks carry ids only. Each may run twice at once, late, or never."""

from __future__ import annotations

from celery import shared_task

from . import services


@shared_task
def mark_lost_hosts() -> None:
    services.mark_lost_hosts()
