"""What the JSON API shows of places. Units: thousandths of a CPU, bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import StringConstraints

from clusters.drivers.hosts import room
from clusters.models import Accelerator, Cluster, EnrolmentToken, Host, Node
from clusters.placement import NodeRoom
from clusters.states import ClusterKind, HostState
from portal.tenancy.answers import etag_of
from portal.tenancy.schemas import Closed, Line, Ref


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

    @staticmethod
    def resolve_workspace(obj: Cluster) -> str | None:
        return obj.workspace.slug if obj.workspace else None

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
    """`free` is what is left after every claim and after what others use."""

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


class PlaceIn(Closed):
    """Without a workspace the place is shared by all."""

    name: Annotated[str, StringConstraints(max_length=63)]
    kind: ClusterKind = ClusterKind.HOSTS
    workspace: Ref | None = None
    description: Line = ""


class PlacePatch(Closed):
    """Only what is sent is changed; a null workspace shares the place with all."""

    workspace: Ref | None = None
    description: Line = ""
    paused: bool = False


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
        cpu_free_millis=max(0, found.cpu_free) if found else 0, memory_bytes=node.memory_bytes,
        memory_free_bytes=max(0, found.memory_free) if found else 0, disk_bytes=node.disk_bytes,
        disk_free_bytes=node.disk_free_bytes,
        accelerators=[_accelerator_out(device, free.get(device.pk, 0)) for device in node.accelerators.all()])


def _accelerator_out(device: Accelerator, free: int) -> AcceleratorOut:
    return AcceleratorOut(uid=device.uid, index=device.index, model=device.model, memory_bytes=device.memory_bytes,
                          free_bytes=max(0, free), simulated=device.simulated)
