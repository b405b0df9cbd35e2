"""The machines of a HyperPod cluster, matched to its nodes. AWS knows of them before Kubernetes does, and after."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from clusters.hyperpod import Machine
from clusters.models import Accelerator, Cluster, Node
from portal.tenancy.db import retry_tx

FIELDS = ("instance_id", "instance_group", "instance_status", "instance_message")
NONE = dict.fromkeys(FIELDS, "")
TYPE_LABEL = "node.kubernetes.io/instance-type"
# What is left of a node that Kubernetes has let go of while AWS still has its machine.
LEFT: dict[str, Any] = {
    "ready": False, "cpu_millis": 0, "memory_bytes": 0, "memory_used_by_others": 0, "disk_bytes": 0, "disk_free_bytes": 0,
    "gpus": 0, "gpus_requested": 0, "gpus_requested_by_us": 0, "cpu_requested_millis": 0, "memory_requested_bytes": 0,
    "memory_requested_by_us": 0,
}


@retry_tx
def write_machines(place: Cluster, found: list[Machine], *, whole: bool) -> None:
    """Bring the nodes' AWS columns up to date: one query where nothing changed. Without `whole` none is taken away.

    A machine without a node gets a row of its own, not ready. A row goes when neither AWS nor Kubernetes knows it.
    """
    rows = {row.name: row for row in Node.objects.filter(cluster=place)}
    here = {one.node: one for one in found}
    changed = [row for name, row in rows.items() if name in here and _differs(row, _values(here[name]))]
    if whole:
        gone = [row for name, row in rows.items() if name not in here and row.instance_id]
        changed += [row for row in gone if row.has_joined and _differs(row, NONE)]
        Node.objects.filter(pk__in=[row.pk for row in gone if not row.has_joined]).delete() if gone else None
    if changed:
        Node.objects.bulk_update(changed, FIELDS, batch_size=200)
    fresh = [_node(place, one) for name, one in here.items() if name not in rows]
    # The inventory may have made the node meanwhile; the next look finds it.
    Node.objects.bulk_create(fresh, batch_size=200, ignore_conflicts=True)


def _values(one: Machine) -> dict[str, str]:
    return {"instance_id": one.instance_id, "instance_group": one.group, "instance_status": one.status,
            "instance_message": one.message}


def _differs(row: Node, values: dict[str, str]) -> bool:
    new = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in new.items():
        setattr(row, name, value)
    return bool(new)


def _node(place: Cluster, one: Machine) -> Node:
    return Node(cluster=place, name=one.node, ready=False, schedulable=False, labels={TYPE_LABEL: one.instance_type},
                message=_("AWS has this machine, but it has not joined the cluster."), **_values(one))


def let_go(rows: list[Node]) -> None:
    """Kubernetes knows these nodes no more: those that AWS still has stay as machines, the others go."""
    Node.objects.filter(pk__in=[row.pk for row in rows if not row.instance_id]).delete()
    left = [row.pk for row in rows if row.instance_id and row.has_joined]
    if left:
        Accelerator.objects.filter(node__in=left).delete()
        message = _("AWS has this machine, but it has left the cluster.")
        Node.objects.filter(Q(pk__in=left)).update(**LEFT, schedulable=False, message=message)
