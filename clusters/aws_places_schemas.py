"""What the JSON API shows and takes of the AWS side of places. AWS's own names of things are shown to operators only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field, StringConstraints

from clusters import services
from clusters.hyperpod import MOST_INSTANCES, MOST_REPAIRED
from clusters.models import AwsPlace
from clusters.services import Repair
from clusters.states import Reach
from portal.tenancy.schemas import Closed, Line, Ref

Region = Annotated[str, StringConstraints(max_length=30)]
Ids = Annotated[list[Annotated[str, StringConstraints(max_length=40)]], Field(max_length=16)]


class InstanceGroupOut(Schema):
    """`target` is how many instances the group shall have, `current` how many it has."""

    name: str
    instance_type: str
    current: int
    target: int
    status: str
    spot: bool


class AwsPlaceOut(Schema):
    """`status` is AWS's word for a HyperPod cluster; `deployable` says whether endpoints may be made, `why_not` why not.

    `looked_at` is the last look that went well. Account, ARNs, names and AWS's messages are empty for all but operators.
    """

    account: str
    region: str
    reach: Reach
    reach_since: datetime
    message: str
    looked_at: datetime | None
    hyperpod_arn: str
    hyperpod_name: str
    eks_name: str
    status: str
    status_message: str
    deployable: bool
    why_not: str
    instance_groups: list[InstanceGroupOut]
    features: dict[str, Any]
    execution_role: str
    bucket: str
    kms_key: str
    subnets: list[str]
    security_groups: list[str]
    network_isolation: bool


OF_OPERATORS = ("message", "hyperpod_arn", "hyperpod_name", "eks_name", "status_message", "execution_role", "bucket", "kms_key",
                "subnets", "security_groups")
OF_ALL = ("region", "reach", "reach_since", "looked_at", "status", "features", "network_isolation")


def aws_out(side: AwsPlace, *, operates: bool) -> AwsPlaceOut:
    """The AWS side as a caller may see it."""
    why_not = services.why_not_deployable(side.cluster)
    shown = {name: getattr(side, name) for name in OF_ALL}
    named = {name: getattr(side, name) if operates else type(getattr(side, name))() for name in OF_OPERATORS}
    return AwsPlaceOut(**shown, **named, account=side.account.name if operates else "", deployable=not why_not,
                       why_not=why_not, instance_groups=[_group_out(one) for one in side.instance_groups])


def _group_out(one: dict[str, Any]) -> InstanceGroupOut:
    return InstanceGroupOut(
        name=one.get("InstanceGroupName", ""), instance_type=one.get("InstanceType", ""),
        current=one.get("CurrentCount") or 0, target=one.get("TargetCount") or 0, status=one.get("Status", ""),
        spot="Spot" in (one.get("CapacityRequirements") or {}))


class AwsIn(Closed):
    """Which account a place is in, by name or uid, and how SageMaker endpoints run there.

    For a HyperPod cluster give `hyperpod_name`; importing it asks AWS first and tells at once what is wrong.
    `through_eks` changes the way to its Kubernetes API to one that is signed in to AWS, and forgets a kept credential.
    """

    account: Ref | None = None
    region: Region = ""
    hyperpod_name: Annotated[str, StringConstraints(max_length=63)] = ""
    execution_role: Line = ""
    bucket: Annotated[str, StringConstraints(max_length=63)] = ""
    kms_key: Annotated[str, StringConstraints(max_length=300)] = ""
    subnets: Ids = []
    security_groups: Ids = []
    network_isolation: bool = False
    through_eks: bool = False


class FoundOut(Schema):
    """A HyperPod cluster of an account. `place` is the place that it is already; `note` says why nothing can go there yet."""

    name: str
    arn: str
    status: str
    status_message: str
    orchestrator: str
    eks_name: str
    instance_groups: list[InstanceGroupOut]
    features: dict[str, Any]
    place: str
    can_import: bool
    why_not: str
    note: str


class FoundPage(Schema):
    items: list[FoundOut]


def found_out(found: services.Found) -> FoundOut:
    one = found.cluster
    return FoundOut(
        name=one.name, arn=one.arn, status=one.status, status_message=one.message,
        orchestrator="EKS" if one.eks_arn else "Slurm", eks_name=one.eks_name, features=one.features, place=found.place,
        instance_groups=[_group_out(group) for group in one.groups], can_import=found.can_import, why_not=found.why_not,
        note=found.note)


class ImportIn(Closed):
    """`cluster` is a name or an ARN; the place is called as the cluster unless `name` says otherwise."""

    cluster: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    region: Region = ""
    name: Annotated[str, StringConstraints(max_length=63)] = ""
    workspace: Ref | None = None
    description: Line = ""


class RepairIn(Closed):
    """Nodes by uid. Replacing a machine destroys everything on its disks."""

    how: Repair
    nodes: Annotated[list[UUID], Field(min_length=1, max_length=MOST_REPAIRED)]


class RepairAnswerOut(Schema):
    """`problem` is empty where AWS will do it."""

    node: str
    instance_id: str
    problem: str


class RepairOut(Schema):
    items: list[RepairAnswerOut]


class ResizeIn(Closed):
    group: Annotated[str, StringConstraints(max_length=63)]
    count: Annotated[int, Field(ge=0, le=MOST_INSTANCES)]
