"""What a Kubernetes cluster has: one LIST of its nodes and one of its pods, written where it differs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now

from clusters.drivers import kinds
from clusters.drivers.kube import Kube, kube_for
from clusters.drivers.kube_errors import KubeError
from clusters.kube_inventory import NodeFacts, NodeItem, Pod, facts_of, requests_by_node
from portal.tenancy.db import retry_tx
from portal.tenancy.queue import after_commit

from ..models import Accelerator, Cluster, KubernetesAccess, Node
from ..states import Through
from .aws_places.machines import let_go
from .check import note_reach

# Two calls of 30 s at most, and the writing; who dies in between is followed after this long.
LOOK_LEASE = timedelta(seconds=75)
NOT_ENDED = "status.phase!=Succeeded,status.phase!=Failed"
DEVICE_FIELDS = ("model", "memory_bytes", "simulated")
Wanted = dict[tuple[int, int], dict[str, Any]]  # the devices that there are, by node and index


def refresh_inventories() -> int:
    """Ring the bell for each Kubernetes place, so that a slow one holds no other up; how many places."""
    connected = KubernetesAccess.objects.filter(Q(through=Through.AGENT) | ~Q(server=""))
    pks = list(connected.values_list("cluster_id", flat=True))
    for pk in pks:
        after_commit("clusters.tasks.refresh_inventory", pk)
    return len(pks)


def refresh_inventory(cluster: Cluster) -> bool:
    """Look at the cluster and keep what is there; False where another worker is just doing so, or nothing is connected.

    Never raises for what the cluster does: its access row says how the look ended. Not inside a transaction.
    """
    access = KubernetesAccess.objects.filter(cluster=cluster).first()
    if access is None or not _begin(access):
        return False
    failure: KubeError | None = None
    try:
        found = look(kube_for(cluster))
        try:
            _write(cluster, found)
        except IntegrityError:  # a look at AWS made a row for one of the nodes at the same moment
            _write(cluster, found)
    except KubeError as error:
        failure = error
    finally:
        _end(access)
    note_reach(access, failure)
    return True


def look(kube: Kube) -> list[NodeFacts]:
    """All nodes with what pods ask of them. Raises KubeError where either listing is not complete."""
    nodes = kube.list(kinds.NODE, NodeItem).items
    asked = requests_by_node(kube.list(kinds.POD, Pod, fields=NOT_ENDED).items)
    return [facts_of(node, asked.get(node.metadata.name)) for node in nodes]


@retry_tx
def _begin(access: KubernetesAccess) -> bool:
    free = Q(look_until=None) | Q(look_until__lt=Now())
    return bool(KubernetesAccess.objects.filter(free, pk=access.pk).update(look_until=Now() + LOOK_LEASE))


@retry_tx
def _end(access: KubernetesAccess) -> None:
    KubernetesAccess.objects.filter(pk=access.pk).update(look_until=None)


@retry_tx
def _write(cluster: Cluster, found: list[NodeFacts]) -> None:
    """Bring the rows up to date: four queries where nothing changed. A cluster without nodes takes no row away."""
    rows = {row.name: row for row in Node.objects.filter(cluster=cluster)}
    changed = [row for facts in found if (row := rows.get(facts.name)) is not None and _differs(row, facts.values)]
    if changed:
        Node.objects.bulk_update(changed, sorted(found[0].values), batch_size=200)
    fresh = Node.objects.bulk_create([Node(cluster=cluster, name=facts.name, **facts.values) for facts in found
                                      if facts.name not in rows], batch_size=200)
    rows |= {row.name: row for row in fresh}
    if found:
        here = {facts.name for facts in found}
        gone = [row for name, row in rows.items() if name not in here]
        if gone:
            let_go(gone)
        _write_devices(cluster, {(rows[facts.name].pk, index): _device(facts, index)
                                 for facts in found for index in range(len(facts.devices))})
    KubernetesAccess.objects.filter(cluster=cluster).update(inventory_at=Now())
    Cluster.objects.filter(pk=cluster.pk).update(seen_at=Now())


def _device(facts: NodeFacts, index: int) -> dict[str, Any]:
    model, memory = facts.devices[index]
    return {"model": model, "memory_bytes": memory, "simulated": facts.values["simulated"]}


def _write_devices(cluster: Cluster, wanted: Wanted) -> None:
    there = {(row.node_id, row.index): row for row in Accelerator.objects.filter(node__cluster=cluster)}
    changed = [row for key, row in there.items() if key in wanted and _differs(row, wanted[key])]
    if changed:
        Accelerator.objects.bulk_update(changed, DEVICE_FIELDS, batch_size=200)
    _create_devices(there.keys(), wanted)
    gone = [row.pk for key, row in there.items() if key not in wanted]
    if gone:
        Accelerator.objects.filter(pk__in=gone).delete()


def _create_devices(there: Iterable[tuple[int, int]], wanted: Wanted) -> None:
    missing = sorted(wanted.keys() - set(there))
    if missing:
        Accelerator.objects.bulk_create(
            [Accelerator(node_id=node, index=index, **wanted[node, index]) for node, index in missing], batch_size=500)


def _differs(row: Node | Accelerator, values: dict[str, Any]) -> bool:
    """Whether a column says something else; the new values are put onto the row."""
    new = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in new.items():
        setattr(row, name, value)
    return bool(new)
