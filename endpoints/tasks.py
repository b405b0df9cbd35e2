"""Tasks carry ids only. Each may run twice at once, late, or never."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task
from celery.signals import worker_shutting_down

from clusters.drivers.kube_errors import KubeError
from clusters.models import Cluster

from . import services
from .models import Endpoint
from .services import alert_sending, alert_watch, canaries, day_sums, gpu_hours, loadtest_run, usage, vllmclusters
from .targets.base import TargetError


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


@shared_task
def follow_all_vllmclusters() -> None:
    vllmclusters.follow_all()


@shared_task(throws=(KubeError,))
def follow_vllmclusters(cluster_id: int) -> None:
    """An error of the cluster is only noted here: the page of the place says why it can't be asked."""
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is not None:
        vllmclusters.follow_cluster(cluster)


@shared_task
def collect_all_leftovers() -> None:
    services.ring_for_leftovers()


@shared_task(throws=(TargetError,))
def collect_leftovers(cluster_id: int) -> None:
    """A place that can't be asked keeps its leftovers until it can."""
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is not None:
        services.collect_leftovers(cluster)


@shared_task
def forget_usage() -> int:
    """Drop usage that is older than it is kept; how many rows went."""
    return usage.forget_old()


@shared_task
def sum_up_usage() -> int:
    """Sum up the days that are over; how many were."""
    return day_sums.sum_up()


@shared_task
def book_gpu_hours() -> None:
    gpu_hours.book()


@shared_task
def find_all_drift() -> None:
    services.ring_for_drift()


@shared_task(throws=(TargetError,))
def find_drift(cluster_id: int) -> None:
    """A place that can't be asked says nothing about drift; its page tells why."""
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is not None:
        services.find_drift(cluster)


@shared_task
def judge_canaries() -> None:
    canaries.judge_canaries()


@shared_task
def watch_limits() -> None:
    alert_watch.watch()


@shared_task
def send_delivery(delivery_id: int) -> None:
    alert_sending.send(delivery_id)


@shared_task(acks_late=False, soft_time_limit=720, time_limit=750)
def run_load_test(load_test_id: int) -> None:
    """Takes as long as the run, ten minutes at most and what its last answers need. A second copy finds it taken."""
    loadtest_run.run(load_test_id)


@shared_task
def sweep_load_tests() -> None:
    loadtest_run.sweep()


@worker_shutting_down.connect
def end_load_tests(**_said: Any) -> None:
    """A worker that is told to end does not wait ten minutes for its runs."""
    loadtest_run.stopping.set()
