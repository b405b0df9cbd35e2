"""The door to hosts: engines are ordered by rows that agents fetch, so no road to a host is needed.

Each function is one short transaction and a possible point of death for a worker (tests kill it there).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet, Sum
from django.db.models.functions import Now

from clusters.models import Accelerator, Claim, Cluster, Engine, Host, Node
from clusters.placement import Choice, DeviceRoom, Need, NodeRoom, rank, refusal
from clusters.states import DRAIN, HostState, Phase
from portal.tenancy.db import retry_tx
from portal.tenancy.faults import outside_call


class NoRoom(Exception):
    """No node of the place can take the replica now; the text says why, node by node."""


def room(cluster: Cluster, *, endpoint_uid: UUID | None = None, node_id: int | None = None) -> list[NodeRoom]:
    """What every node of a place has left, in four queries at most."""
    nodes = Node.objects.filter(cluster=cluster)
    if node_id is not None:
        nodes = nodes.filter(pk=node_id)
    here: dict[int, int] = defaultdict(int)
    if endpoint_uid is not None:
        for (pk,) in Engine.objects.filter(endpoint_uid=endpoint_uid).values_list("node_id"):
            here[pk] += 1
    return [replace(left, replicas_here=here[node.pk]) for node, left in rooms_of(nodes)]


def rooms(clusters: Collection[Cluster]) -> dict[int, list[NodeRoom]]:
    """The same of several places, by their keys, in three queries however many there are."""
    found: dict[int, list[NodeRoom]] = {cluster.pk: [] for cluster in clusters}
    for node, left in rooms_of(Node.objects.filter(cluster__in=list(found))) if found else ():
        found[node.cluster_id].append(left)
    return found


def rooms_of(nodes: QuerySet[Node]) -> list[tuple[Node, NodeRoom]]:
    """These nodes, each with what it has left."""
    claimed: dict[tuple[int, int | None], tuple[int, int]] = {
        (row["node"], row["accelerator"]): (row["cpu"], row["memory"])
        for row in Claim.objects.filter(node__in=nodes.values("pk")).order_by().values("node", "accelerator").annotate(
            cpu=Sum("cpu_millis"), memory=Sum("memory_bytes"))}
    rows = nodes.select_related("host", "cluster").prefetch_related("accelerators")
    return [(node, _node_room(node, claimed)) for node in rows]


def _node_room(node: Node, claimed: Mapping[tuple[int, int | None], tuple[int, int]]) -> NodeRoom:
    """`claimed`: CPU and memory by node and accelerator; None stands for the node itself."""
    host: Host | None = getattr(node, "host", None)
    cpu, memory = claimed.get((node.pk, None), (0, 0))
    return NodeRoom(
        pk=node.pk, name=node.name,
        ready=node.ready and not node.cluster.paused and host is not None and host.state == HostState.READY,
        cpu_free=node.cpu_millis - cpu, memory_free=node.memory_bytes - node.memory_used_by_others - memory,
        devices=tuple(_device_room(device, claimed.get((node.pk, device.pk), (0, 0))[1]) for device in node.accelerators.all()),
        releases=frozenset(host.releases if host else ()))


def _device_room(device: Accelerator, claimed: int) -> DeviceRoom:
    return DeviceRoom(pk=device.pk, index=device.index, memory_bytes=device.memory_bytes,
                      free_bytes=device.memory_bytes - device.used_by_others - claimed, model=device.model)


def place_engine(
    cluster: Cluster, need: Need, *, endpoint_uid: UUID, label: str, revision: int, index: int, launch: dict[str, Any],
    token: str = "", hub_token: str = "",
) -> Engine:
    """Find or make the engine of this replica, with its claims. Raises NoRoom."""
    with outside_call():
        nodes = room(cluster, endpoint_uid=endpoint_uid)
        for choice in rank(nodes, need):
            engine = _claim(cluster, choice, need, endpoint_uid=endpoint_uid, label=label, revision=revision,
                            index=index, launch=launch, token=token, hub_token=hub_token)
            if engine is not None:
                return engine
        raise NoRoom(refusal(nodes, need))


@retry_tx
def _claim(
    cluster: Cluster, choice: Choice, need: Need, *, endpoint_uid: UUID, revision: int, index: int, token: str,
    hub_token: str, **values: Any,
) -> Engine | None:
    """Claim on this node, or None where somebody else was quicker.

    The update of the node's version comes first: whoever else claims there waits for it or repeats, on
    every database, so the sums below are final.
    """
    Node.objects.filter(pk=choice.node.pk).update(claims_version=F("claims_version") + 1)
    found = Engine.objects.filter(endpoint_uid=endpoint_uid, revision=revision, index=index).first()
    if found is not None:
        return found
    again = rank(room(cluster, node_id=choice.node.pk), need)
    if not again:
        return None
    devices = again[0].devices
    values["launch"] = {**values["launch"], "devices": [device.index for device in devices],
                        **_memory_share(values["launch"], devices, need)}
    engine = Engine(node_id=choice.node.pk, endpoint_uid=endpoint_uid, revision=revision, index=index, **values)
    engine.put_secret("token", token)
    engine.put_secret("hub_token", hub_token)
    engine.save(force_insert=True)
    Engine.objects.filter(pk=engine.pk).update(phase_since=Now())
    Claim.objects.create(engine=engine, node_id=choice.node.pk, cpu_millis=need.cpu_millis,
                         memory_bytes=need.memory_bytes)
    Claim.objects.bulk_create(
        Claim(engine=engine, node_id=choice.node.pk, accelerator_id=device.pk,
              memory_bytes=need.gpu_memory_bytes or device.memory_bytes) for device in devices)
    Host.objects.filter(node_id=choice.node.pk).update(wanted_version=F("wanted_version") + 1)
    return engine


def _memory_share(launch: dict[str, Any], devices: Sequence[DeviceRoom], need: Need) -> dict[str, Any]:
    """Hold a replica to the part of the GPU that it claimed, unless its arguments say so already.

    A twentieth stays for what the engine takes beside its budget (CUDA context, fragmentation).
    """
    argv = launch["argv"]
    if not devices or not need.gpu_memory_bytes or "--gpu-memory-utilization" in argv:
        return {}
    share = min(need.gpu_memory_bytes / device.memory_bytes for device in devices)
    return {"argv": [*argv, "--gpu-memory-utilization", f"{0.95 * share:.2f}"]}


@retry_tx
def _mark_stop(uid: UUID) -> None:
    node_id = Engine.objects.filter(uid=uid, stop=False).values_list("node_id", flat=True).first()
    if node_id is not None and Engine.objects.filter(uid=uid, stop=False).update(stop=True):
        Host.objects.filter(node_id=node_id).update(wanted_version=F("wanted_version") + 1)


def stop_engine(uid: UUID) -> None:
    """Ask the agent to end this engine; its claims stay until the agent says that it is gone."""
    with outside_call():
        _mark_stop(uid)


@retry_tx
def _drop(uid: UUID) -> None:
    gone = Q(phase=Phase.LOST) | Q(node__host=None)
    engine = Engine.objects.filter(gone, uid=uid).first()
    if engine is not None:
        engine.delete()
        Host.objects.filter(node_id=engine.node_id).update(wanted_version=F("wanted_version") + 1)


@retry_tx
def _mark_retired(uid: UUID, *, retired: bool) -> None:
    Engine.objects.filter(uid=uid, stop=False).update(retired_at=Now() if retired else None)


def retire_engine(uid: UUID, *, retired: bool = True) -> None:
    """Take an engine out of service while it still runs, so that its calls can end; or put it back."""
    with outside_call():
        _mark_retired(uid, retired=retired)


def drop_engine(uid: UUID) -> None:
    """Forget an engine on a lost host: its agent has fenced itself, and stops it again should it come back."""
    with outside_call():
        _drop(uid)


def engines_of(cluster: Cluster, uids: Sequence[UUID] | None = None) -> list[Engine]:
    """All engines of a place, or of some endpoints, with node and host, in one query.

    `drained` on each says whether it has been out of service long enough to be stopped.
    """
    engines = Engine.objects.filter(node__cluster=cluster).select_related("node__host").annotate(
        drained=ExpressionWrapper(Q(retired_at__lt=Now() - DRAIN), output_field=BooleanField()))
    if uids is not None:
        engines = engines.of_endpoints(list(uids))
    return list(engines.defer("log", "previous_log").order_by("endpoint_uid", "index", "revision"))


def engines_with_logs(cluster: Cluster, endpoint_uid: UUID) -> list[Engine]:
    """The engines of one endpoint with node, host and last lines, in one query."""
    engines = Engine.objects.filter(node__cluster=cluster, endpoint_uid=endpoint_uid).select_related("node__host")
    return list(engines.order_by("index", "revision"))


def engine_with_log(endpoint_uid: UUID, index: int) -> Engine | None:
    """The newest engine of this replica with its log lines."""
    return Engine.objects.filter(endpoint_uid=endpoint_uid, index=index).order_by("-revision").first()
