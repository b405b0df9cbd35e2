"""Recurring work of this room."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.models import Session
from django.utils import timezone

from . import heartbeat, idempotency, page_keys, sealing, tries


@shared_task(name="portal.tenancy.tasks.forget_old")
def forget_old() -> int:
    """Drop what is kept for a while only; how many rows went."""
    sessions, _by_kind = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    gone = sessions + idempotency.forget_old() + page_keys.forget_old() + tries.forget_old()
    heartbeat.mark("forget")
    return gone


@shared_task(name="portal.tenancy.tasks.seal_audit")
def seal_audit() -> int:
    """Put new entries of the audit into its chain; how many."""
    return sealing.seal()
