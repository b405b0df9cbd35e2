"""Task governance: operators say in which queue a workspace's endpoints wait, and how important they are."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints.models import TaskGovernance
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace

AUDITED = ("queue", "priority_class")


@retry_tx
def set_governance(actor: Actor, workspace: Workspace, *, queue: str = "", priority_class: str = "") -> TaskGovernance | None:
    """Set the workspace's queue and priority; two empty ones take the rule away. Operators only. Raises Invalid."""
    actor.require_operator()
    there = TaskGovernance.objects.filter(workspace=workspace).first()
    before = audit.snapshot(there, AUDITED) if there else None
    if not queue and not priority_class:
        if there is not None:
            there.delete()
            audit.record(actor, "end governance", workspace, workspace=workspace, before=before)
        return None
    row = there or TaskGovernance(workspace=workspace)
    row.queue, row.priority_class = queue, priority_class
    try:
        row.clean_fields()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error
    row.save()
    if before != (after := audit.snapshot(row, AUDITED)):
        audit.record(actor, "govern", workspace, workspace=workspace, before=before, after=after)
    return row


def governance_for(workspace: Workspace, cluster: Cluster) -> dict[str, str]:
    """What a new revision keeps of it, under the names of options; nothing for other kinds of place."""
    if cluster.kind != ClusterKind.HYPERPOD:
        return {}
    rule = TaskGovernance.objects.filter(workspace=workspace).first()
    return rule.as_options if rule else {}
