"""What the JSON API shows of places. Units: thousandths of a CPU, bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field, StringConstraints

from clusters import services
from clusters.aws_places_schemas import AwsIn, AwsPlaceOut, aws_out
from clusters.drivers.hosts import room
from clusters.models import Accelerator, Cluster, EnrolmentToken, Host, KubernetesAccess, Node
from clusters.placement import NodeRoom
from clusters.states import ClusterKind, HostState, Reach, Through
from portal.tenancy.answers import etag_of
from portal.tenancy.schemas import Closed, Line, Ref

# The services check length and form; this only bounds what is read.
Text = Annotated[str, StringConstraints(max_length=512 * 1024)]


class RightOut(Schema):
    verb: str
    resource: str
    namespace: str


class KubernetesOut(Schema):
    """How a cluster is reached and what the last looks found. `server` is shown to operators only, no secret to anybody."""

    through: Through
    server: str
    credential: str
    reach: Reach
    reach_since: datetime
    message: str
    version: str
    capabilities: dict[str, Any]
    missing_rights: list[RightOut]
    gateway: str
    cors_origins: list[str]
    prometheus: str
    imports_to: str | None
    checked_at: datetime | None
    inventory_at: datetime | None

    @staticmethod
    def resolve_server(obj: KubernetesAccess, context: dict[str, Any]) -> str:
        return obj.server if context["request"].auth.operates else ""

    @staticmethod
    def resolve_message(obj: KubernetesAccess, context: dict[str, Any]) -> str:
        names_aws = obj.through == Through.EKS  # AWS's words name roles and users
        return obj.message if context["request"].auth.operates or not names_aws else ""

    @staticmethod
    def resolve_credential(obj: KubernetesAccess) -> str:
        return services.credential_kind(obj)

    @staticmethod
    def resolve_imports_to(obj: KubernetesAccess) -> str | None:
        return obj.imports_to.slug if obj.imports_to else None


class PlaceOut(Schema):
    uid: UUID
    name: str
    kind: ClusterKind
    workspace: str | None
    description: str
    paused: bool
    message: str
    seen_at: datetime | None
    created_at: datetime
    etag: str
    kubernetes: KubernetesOut | None
    aws: AwsPlaceOut | None

    @staticmethod
    def resolve_workspace(obj: Cluster) -> str | None:
        return obj.workspace.slug if obj.workspace else None

    @staticmethod
    def resolve_kubernetes(obj: Cluster) -> KubernetesAccess | None:
        return getattr(obj, "access", None)

    @staticmethod
    def resolve_aws(obj: Cluster, context: dict[str, Any]) -> AwsPlaceOut | None:
        side = getattr(obj, "aws", None)
        return aws_out(side, operates=context["request"].auth.operates) if side is not None else None

    @staticmethod
    def resolve_etag(obj: Cluster) -> str:
        return etag_of(obj)


class AcceleratorOut(Schema):
    uid: UUID
    index: int
    model: str
    memory_bytes: int
    free_bytes: int
    simulated: bool


class NodeOut(Schema):
    """`free` is what is left after every claim and after what others use or, in a cluster, what pods ask for.

    `instance_…` is what AWS says of a machine of a HyperPod cluster; one that has not joined it has nothing else.
    """

    uid: UUID
    name: str
    ready: bool
    message: str
    cpu_millis: int
    cpu_free_millis: int
    memory_bytes: int
    memory_free_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    schedulable: bool
    taints: list[Any]
    gpus: int
    gpus_requested: int
    gpus_requested_by_us: int
    simulated: bool
    instance_id: str
    instance_group: str
    instance_status: str
    instance_message: str
    accelerators: list[AcceleratorOut]


class HostOut(Schema):
    uid: UUID
    name: str
    state: HostState
    is_local: bool
    agent_version: str
    releases: list[str]
    seen_at: datetime | None
    lease_until: datetime | None
    conditions: list[Any]

    @staticmethod
    def resolve_name(obj: Host) -> str:
        return obj.node.name


class KubernetesIn(Closed):
    """A kubeconfig, or server with CA and a token or client certificate, or an agent; and how the cluster is used.

    Secrets go in and never come out. With another server the credential must be sent again.
    """

    kubeconfig: Text | None = None
    server: Annotated[str, StringConstraints(max_length=300)] = ""
    ca: Text = ""
    token: Text = ""
    client_certificate: Text = ""
    client_key: Text = ""
    through_agent: bool = False
    gateway: Annotated[str, StringConstraints(max_length=130)] = ""
    cors_origins: Annotated[list[Annotated[str, StringConstraints(max_length=300)]], Field(max_length=20)] = []
    prometheus: Annotated[str, StringConstraints(max_length=300)] = ""
    imports_to: Ref | None = None


class PlaceIn(Closed):
    """Without a workspace the place is shared by all."""

    name: Annotated[str, StringConstraints(max_length=63)]
    kind: ClusterKind = ClusterKind.HOSTS
    workspace: Ref | None = None
    description: Line = ""
    kubernetes: KubernetesIn | None = None
    aws: AwsIn | None = None


class PlacePatch(Closed):
    """Only what is sent is changed; a null workspace shares the place with all."""

    workspace: Ref | None = None
    description: Line = ""
    paused: bool = False
    kubernetes: KubernetesIn | None = None
    aws: AwsIn | None = None


class EnrolmentIn(Closed):
    """`address` is where the gateway reaches the host; empty takes the one that its agent calls from."""

    address: Line = ""


class EnrolmentOut(Schema):
    uid: UUID
    created_by: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    host: UUID | None

    @staticmethod
    def resolve_created_by(obj: EnrolmentToken) -> str | None:
        return obj.created_by.get_username() if obj.created_by else None

    @staticmethod
    def resolve_host(obj: EnrolmentToken) -> UUID | None:
        return obj.host.uid if obj.host else None


class NewEnrolmentOut(Schema):
    """`token` is shown this once; the portal keeps only its digest."""

    token: str
    enrolment: EnrolmentOut


class PlacePage(Schema):
    items: list[PlaceOut]
    next: str | None


class NodePage(Schema):
    items: list[NodeOut]
    next: str | None


class HostPage(Schema):
    items: list[HostOut]
    next: str | None


class EnrolmentPage(Schema):
    items: list[EnrolmentOut]
    next: str | None


def node_outs(cluster: Cluster, nodes: list[Node]) -> list[NodeOut]:
    """The nodes with what is free on them; the same number of queries for any number of nodes."""
    rooms = {found.pk: found for found in room(cluster)}
    return [_node_out(node, rooms.get(node.pk)) for node in nodes]


def _node_out(node: Node, found: NodeRoom | None) -> NodeOut:
    free = {device.pk: device.free_bytes for device in found.devices} if found else {}
    return NodeOut(
        uid=node.uid, name=node.name, ready=node.ready, message=node.message, cpu_millis=node.cpu_millis,
        cpu_free_millis=max(0, found.cpu_free - node.cpu_requested_millis) if found else 0, memory_bytes=node.memory_bytes,
        memory_free_bytes=max(0, found.memory_free - node.memory_requested_bytes) if found else 0,
        disk_bytes=node.disk_bytes, disk_free_bytes=node.disk_free_bytes, schedulable=node.schedulable, taints=node.taints,
        gpus=node.gpus, gpus_requested=node.gpus_requested, gpus_requested_by_us=node.gpus_requested_by_us,
        simulated=node.simulated, instance_id=node.instance_id, instance_group=node.instance_group,
        instance_status=node.instance_status, instance_message=node.instance_message,
        accelerators=[_accelerator_out(device, free.get(device.pk, 0)) for device in node.accelerators.all()])


def _accelerator_out(device: Accelerator, free: int) -> AcceleratorOut:
    return AcceleratorOut(uid=device.uid, index=device.index, model=device.model, memory_bytes=device.memory_bytes,
                          free_bytes=max(0, free), simulated=device.simulated)
