"""One worker a row: a lease by compare-and-swap on the database's clock, with an epoch that fences late writers."""

from __future__ import annotations

import logging

from django.db.models import BooleanField, ExpressionWrapper, F, Q
from django.db.models.functions import Now

from endpoints.models import Endpoint
from endpoints.states import LEASE
from portal.tenancy.db import retry_tx

log = logging.getLogger(__name__)


@retry_tx
def take(endpoint_id: int) -> tuple[Endpoint, bool] | None:
    """The row and whether its deadline has passed, or None where another worker holds it or it is gone."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    taken = Endpoint.objects.filter(free, pk=endpoint_id).update(
        lease_until=Now() + LEASE, lease_epoch=F("lease_epoch") + 1)
    if not taken:
        return None
    row = (
        Endpoint.objects.filter(pk=endpoint_id)
        .select_related("workspace", "cluster", "wanted__profile__artifact", "wanted__profile__release",
                        "serving__profile__artifact", "serving__profile__release")
        .annotate(late=ExpressionWrapper(Q(deadline_at__lt=Now()), output_field=BooleanField()))
        .first()
    )
    return None if row is None else (row, bool(getattr(row, "late", False)))


@retry_tx
def release(endpoint: Endpoint) -> None:
    """Give the lease back, unless somebody else holds a newer one."""
    gone = not Endpoint.objects.filter(pk=endpoint.pk, lease_epoch=endpoint.lease_epoch).update(lease_until=None)
    if gone:
        log.info("lease lost", extra={"endpoint": str(endpoint.uid), "epoch": endpoint.lease_epoch})
