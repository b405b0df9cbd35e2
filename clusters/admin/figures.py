"""Bytes, CPUs and bars for the pages of places and nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clusters.models import Accelerator, Claim, Node
from clusters.units import GIB
from portal.tenancy.adminkit import sheet

WIDTH = 100.0
# Annotations, and the columns of nodes that they are (or sum up). What pods ask for is 0 on hosts, claims in clusters.
OF_NODES = {
    "cpu": "cpu_millis", "cpu_asked": "cpu_requested_millis", "mem": "memory_bytes", "mem_others": "memory_used_by_others",
    "mem_asked": "memory_requested_bytes", "mem_asked_by_us": "memory_requested_by_us", "n_gpus": "gpus",
    "gpus_asked": "gpus_requested", "gpus_ours": "gpus_requested_by_us",
}


def gib(value: int | None) -> str:
    """Bytes as GiB with at most one decimal, as people compare memory."""
    size = (value or 0) / GIB
    return f"{size:,.0f} GiB" if size >= 100 else f"{size:.1f} GiB"


def cpus(millis: int | None) -> str:
    return f"{(millis or 0) / 1000:g}"


@dataclass(frozen=True)
class Share:
    """How much of a whole is ours (`used`), somebody else's (`others`) and free, in one unit."""

    total: int
    used: int
    others: int = 0

    @property
    def free(self) -> int:
        return max(0, self.total - self.used - self.others)

    def width(self, part: int) -> float:
        return round(WIDTH * min(part, self.total) / self.total, 2) if self.total else 0.0

    @property
    def used_width(self) -> float:
        return self.width(self.used)

    @property
    def others_width(self) -> float:
        return min(self.width(self.others), round(WIDTH - self.used_width, 2))


def share_cell(share: Share, show: Callable[[int], str]) -> SafeString | str:
    """"12 of 32 free" over a bar: ours solid, others hatched."""
    if not share.total:
        return "–"
    words = _("%(free)s of %(total)s free") % {"free": show(share.free), "total": show(share.total)}
    return sheet("portal/admin/share.html", share=share, words=words)


def total_of(rows: QuerySet[Any], owner: str, field: str) -> Coalesce:
    """The sum of `field` over the `rows` of the outer row; a subquery, since joined sums multiply each other."""
    summed = rows.filter(**{owner: OuterRef("pk")}).order_by().values(owner).annotate(total=Sum(field)).values("total")
    return Coalesce(Subquery(summed, output_field=BigIntegerField()), 0)


def places_with_capacity(rows: QuerySet[Any]) -> Any:
    """Annotate places with what their nodes have, what is claimed there, and what others use."""
    nodes = Node.objects.all()
    return _with_use(rows, "node__cluster").annotate(
        **{name: total_of(nodes, "cluster", field) for name, field in OF_NODES.items()})


def nodes_with_capacity(rows: QuerySet[Any]) -> Any:
    """The same for nodes."""
    return _with_use(rows, "node").annotate(**{name: F(field) for name, field in OF_NODES.items()})


def _with_use(rows: QuerySet[Any], owner: str) -> Any:
    claims, gpus = Claim.objects.all(), Accelerator.objects.all()
    own, of_gpus = claims.filter(accelerator=None), claims.exclude(accelerator=None)
    return rows.annotate(
        cpu_claimed=total_of(own, owner, "cpu_millis"), mem_claimed=total_of(own, owner, "memory_bytes"),
        gpu_mem=total_of(gpus, owner, "memory_bytes"), gpu_others=total_of(gpus, owner, "used_by_others"),
        gpu_claimed=total_of(of_gpus, owner, "memory_bytes"))


def cpu_cell(row: Any) -> SafeString | str:
    return share_cell(Share(row.cpu, row.cpu_claimed, row.cpu_asked), cpus)


def memory_cell(row: Any) -> SafeString | str:
    ours = row.mem_claimed + row.mem_asked_by_us
    return share_cell(Share(row.mem, ours, row.mem_others + row.mem_asked - row.mem_asked_by_us), gib)


def gpu_cell(row: Any) -> SafeString | str:
    """Memory where an agent measures it; whole GPUs in a Kubernetes cluster, where pods ask for nothing finer."""
    if row.n_gpus:
        return share_cell(Share(row.n_gpus, row.gpus_ours, row.gpus_asked - row.gpus_ours), str)
    return share_cell(Share(row.gpu_mem, row.gpu_claimed, row.gpu_others), gib)
