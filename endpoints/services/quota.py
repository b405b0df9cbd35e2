"""Limits of a workspace on endpoints, replicas and GPUs, checked inside the transaction that would break them."""

from __future__ import annotations

from django.db.models import F
from django.utils.translation import gettext as _

from endpoints.models import Endpoint
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
    used = {"endpoints": 0, "replicas": 0, "gpus": 0}
    for wish, replicas, spec in rows.values_list("wish", "replicas", "wanted__spec"):
        used["endpoints"] += 1
        if wish == Wish.RUNNING:
            used["replicas"] += replicas
            used["gpus"] += replicas * (spec or {}).get("resources", {}).get("gpus", 0)
    for name, limit in (("endpoints", workspace.max_endpoints), ("replicas", workspace.max_replicas),
                        ("gpus", workspace.max_gpus)):
        if limit is not None and used[name] > limit:
            raise QuotaExceeded(_("The workspace's limit is reached: %(what)s %(used)d of %(limit)d.") % {
                "what": name, "used": used[name], "limit": limit}, field=name)


def begin_claim(workspace_id: int) -> None:
    """Make changes that count against a limit of this workspace wait for each other."""
    Workspace.objects.filter(pk=workspace_id).update(claims_version=F("claims_version") + 1)
