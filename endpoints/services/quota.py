"""Limits of a workspace on endpoints, replicas and GPUs, checked inside the transaction that would break them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.db.models import F
from django.utils.translation import gettext as _

from endpoints.models import Endpoint, EndpointQuerySet
from endpoints.options.footprint import footprint
from endpoints.states import Wish
from portal.tenancy.errors import QuotaExceeded
from portal.tenancy.models import Workspace


def check_quota(workspace_id: int) -> None:
    """Raise QuotaExceeded where the workspace, as the transaction sees it now, is over a limit.

    Call it after the change. The update of the workspace's version comes first in the transaction
    (`begin_claim`), so changes of one workspace follow each other on every database.
    """
    workspace = Workspace.objects.get(pk=workspace_id)
    rows = Endpoint.objects.filter(workspace=workspace).exclude(wish=Wish.DELETED)
    running = rows.filter(wish=Wish.RUNNING)
    counts: tuple[tuple[str, int | None, Callable[[], int]], ...] = (
        ("endpoints", workspace.max_endpoints, rows.count),
        ("replicas", workspace.max_replicas, lambda: replicas_of(running)),
        ("gpus", workspace.max_gpus, lambda: gpus_of(running)),
    )
    # Only what is limited is counted: most workspaces have no limit and may have thousands of rows.
    for name, limit, count in counts:
        if limit is not None and (used := count()) > limit:
            raise QuotaExceeded(_("The workspace's limit is reached: %(what)s %(used)d of %(limit)d.") % {
                "what": name, "used": used, "limit": limit}, field=name)


def replicas_of(running: EndpointQuerySet) -> int:
    """The replicas that these may have at most: an autoscaler's upper bound counts, not what it wants now."""
    return sum(replicas for replicas, _gpus in _footprints(running))


def gpus_of(running: EndpointQuerySet) -> int:
    return sum(gpus for _replicas, gpus in _footprints(running))


def _footprints(running: EndpointQuerySet) -> Iterator[tuple[int, int]]:
    for row in running.select_related("wanted").only("replicas", "autoscale", "wanted__spec"):
        yield footprint(row.wanted.spec if row.wanted else {}, row.most_replicas)


def begin_claim(workspace_id: int) -> None:
    """Make changes that count against a limit of this workspace wait for each other."""
    Workspace.objects.filter(pk=workspace_id).update(claims_version=F("claims_version") + 1)
