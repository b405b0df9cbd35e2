"""Tasks carry ids only. Each may run twice at once, late, or never."""

from __future__ import annotations

from celery import Task, shared_task

from . import services
from .models import Endpoint


@shared_task
def reconcile_endpoint(endpoint_id: int) -> None:
    services.reconcile(endpoint_id)


@shared_task(bind=True, max_retries=5)
def look_at(self: Task[[str], None], endpoint_uid: str) -> None:
    """Something outside changed for this endpoint; an unknown uid is somebody's leftover and is ignored.

    A worker that holds the row now may have looked before the change, so the bell rings again shortly.
    """
    pk = Endpoint.objects.filter(uid=endpoint_uid).values_list("pk", flat=True).first()
    if pk is not None and not services.reconcile(pk):
        self.retry(countdown=0.3, throw=False)


@shared_task
def look_at_cluster(cluster_id: int) -> None:
    services.look_at_cluster(cluster_id)


@shared_task
def sweep() -> None:
    services.sweep()
