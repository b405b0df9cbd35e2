"""Routes for task governance: a workspace's queue and priority on HyperPod clusters."""

from __future__ import annotations

from typing import Annotated

from ninja import Router, Schema
from pydantic import StringConstraints

from endpoints import services
from endpoints.models import TaskGovernance
from portal.tenancy.answers import find
from portal.tenancy.auth import ApiRequest
from portal.tenancy.schemas import Closed

router = Router(tags=["workspaces"])
Label = Annotated[str, StringConstraints(max_length=63)]


class GovernanceIn(Closed):
    """`queue` is a LocalQueue, `priority_class` a WorkloadPriorityClass of Kueue; two empty ones take the rule away."""

    queue: Label = ""
    priority_class: Label = ""


class GovernanceOut(Schema):
    queue: str
    priority_class: str


@router.get("/workspaces/{slug}/governance", response=GovernanceOut, summary="Show a workspace's queue and priority")
def get_governance(request: ApiRequest, slug: str) -> TaskGovernance:
    workspace = find(request.auth.scope(), slug=slug)
    return TaskGovernance.objects.filter(workspace=workspace).first() or TaskGovernance(workspace=workspace)


@router.put("/workspaces/{slug}/governance", response=GovernanceOut, summary="Set a workspace's queue and priority (operators)")
def set_governance(request: ApiRequest, slug: str, data: GovernanceIn) -> TaskGovernance:
    workspace = find(request.auth.scope(), slug=slug)
    row = services.set_governance(request.auth, workspace, queue=data.queue, priority_class=data.priority_class)
    return row or TaskGovernance(workspace=workspace)
