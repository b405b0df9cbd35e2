"""What an agent found on its machine, written where it differs."""

from __future__ import annotations

from clusters.agent.messages import Gpu, Inventory
from portal.tenancy.text import clean

from ..models import Accelerator, Node

NODE_FIELDS = ("cpu_millis", "memory_bytes", "memory_used_by_others", "disk_bytes", "disk_free_bytes")
BIGGEST = 2**63 - 1


def write_inventory(node: Node, found: Inventory) -> None:
    """Bring node and accelerators up to date: one query where nothing changed."""
    values = {name: getattr(found, name) for name in NODE_FIELDS}
    values["labels"] = {**node.labels, "system": clean(found.system, 120)}
    if any(getattr(node, name) != value for name, value in values.items()):
        Node.objects.filter(pk=node.pk).update(**values)
    rows = {row.index: row for row in Accelerator.objects.filter(node=node)}
    for gpu in found.gpus:
        _write_gpu(node, rows.pop(gpu.index, None), gpu)
    if rows:
        _take_away([row.pk for row in rows.values()])


def _write_gpu(node: Node, row: Accelerator | None, gpu: Gpu) -> None:
    values = {"device_uuid": clean(gpu.uuid, 80), "model": clean(gpu.model, 100), "memory_bytes": gpu.memory_bytes,
              "used_by_others": gpu.used_by_others}
    if row is None:
        Accelerator.objects.create(node=node, index=gpu.index, **values)
    elif any(getattr(row, name) != value for name, value in values.items()):
        Accelerator.objects.filter(pk=row.pk).update(**values)


def _take_away(pks: list[int]) -> None:
    """GPUs that are gone go, unless an engine still holds a claim there; then nothing more fits on them."""
    gone = Accelerator.objects.filter(pk__in=pks)
    gone.filter(claims=None).delete()
    gone.exclude(claims=None).update(memory_bytes=0, used_by_others=0)
