"""Tasks carry ids only. Each may run twice at once, late, or never."""

from __future__ import annotations

from celery import shared_task

from . import services
from .models import AwsAccount, AwsPlace, Cluster


@shared_task
def mark_lost_hosts() -> None:
    services.mark_lost_hosts()


@shared_task
def check_place(uid: str) -> None:
    """Test a place's connection after it was changed."""
    place = Cluster.objects.filter(uid=uid).first()
    if place is not None:
        services.check_access(place)


@shared_task
def refresh_inventories() -> None:
    services.refresh_inventories()


@shared_task
def refresh_inventory(cluster_id: int) -> None:
    cluster = Cluster.objects.filter(pk=cluster_id).first()
    if cluster is not None:
        services.refresh_inventory(cluster)


@shared_task
def look_at_aws_places() -> None:
    services.look_at_all()


@shared_task
def look_at_aws_place(side_id: int) -> None:
    side = AwsPlace.objects.filter(pk=side_id).select_related("account", "cluster").first()
    if side is not None:
        services.look_at_place(side)


@shared_task
def check_aws_account(uid: str) -> None:
    """Test an account's way in, after it was changed and now and then."""
    account = AwsAccount.objects.filter(uid=uid).first()
    if account is not None:
        services.look_at_account(account)


@shared_task
def look_at_aws_accounts() -> None:
    services.look_at_accounts()
