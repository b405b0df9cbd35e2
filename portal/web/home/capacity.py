"""How much of each place is ours, somebody else's and free: in GPUs, or in memory where a place has none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, QuerySet, Sum
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clusters.drivers import hosts
from clusters.models import Claim, Cluster, Node
from clusters.placement import NodeRoom
from clusters.states import KUBERNETES_KINDS, ClusterKind
from clusters.units import GIB
from endpoints.models import Endpoint
from endpoints.states import STALE_AFTER, Wish


@dataclass(frozen=True)
class Share:
    """A place. `total` is None where nobody knows it: SageMaker starts instances as they are asked for."""

    name: str
    machine: str
    seen_at: datetime | None
    is_stale: bool
    total: int | None
    ours: int = 0
    others: int = 0
    in_gib: bool = False

    @property
    def free(self) -> int:
        return max((self.total or 0) - self.ours - self.others, 0)

    @property
    def ours_wide(self) -> str:
        return self._wide(self.ours)

    @property
    def others_wide(self) -> str:
        return self._wide(self.others)

    @property
    def free_at(self) -> str:
        return self._wide(self.ours + self.others)

    @property
    def free_wide(self) -> str:
        return self._wide(self.free)

    def _wide(self, part: int) -> str:
        return f"{100 * min(part, self.total) / self.total:.2f}%" if self.total else "0%"

    @property
    def words(self) -> str:
        said = {"free": _grouped(self.free), "total": _grouped(self.total or 0), "ours": self.ours}
        if self.total is None:
            return ngettext("%(ours)d instance of ours", "%(ours)d instances of ours", self.ours) % said
        if not self.total:
            return _("no machine there yet")
        return _("%(free)s of %(total)s GiB free") % said if self.in_gib else _("%(free)s of %(total)s GPUs free") % said

    @property
    def label(self) -> str:
        """The bar in words."""
        return _("%(name)s: %(ours)d ours, %(others)d used by others, %(free)d free of %(total)d") % {
            "name": self.name, "ours": self.ours, "others": self.others, "free": self.free, "total": self.total or 0}


def _grouped(count: int) -> str:
    return number_format(count, force_grouping=True)


def shares_of(places: Sequence[Cluster], mine: QuerySet[Endpoint]) -> list[Share]:
    """Five queries, however many places there are."""
    looked_at = [place for place in places if place.kind == ClusterKind.HOSTS or place.kind in KUBERNETES_KINDS]
    rooms: dict[int, list[tuple[Node, NodeRoom]]] = defaultdict(list)
    for node, room in hosts.rooms_of(Node.objects.filter(cluster__in=looked_at)) if looked_at else ():
        rooms[node.cluster_id].append((node, room))
    claimed = _claimed([place for place in places if place.kind == ClusterKind.HOSTS], mine)
    wished = _wished(places, mine)
    return [_of_hosts(place, rooms[place.pk], *claimed[place.pk]) if place.kind == ClusterKind.HOSTS
            else _of_cluster(place, [node for node, _room in rooms[place.pk]], wished[place.pk][1])
            if place.kind in KUBERNETES_KINDS
            else _share(place, _("instances start on demand"), None, ours=wished[place.pk][0]) for place in places]


def _claimed(places: Sequence[Cluster], mine: QuerySet[Endpoint]) -> dict[int, tuple[int, int]]:
    """GPUs on which our engines are, and the bytes of memory that they claim beside, by place."""
    found: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    rows = Claim.objects.filter(node__cluster__in=places, engine__endpoint_uid__in=mine.order_by().values("uid")).order_by()
    for place, device, claimed in rows.values_list("node__cluster", "accelerator").annotate(
            memory=Sum("memory_bytes")) if places else ():
        gpus, memory = found[place]
        found[place] = (gpus, memory + claimed) if device is None else (gpus + 1, memory)
    return found


def _wished(places: Sequence[Cluster], mine: QuerySet[Endpoint]) -> dict[int, tuple[int, int]]:
    """Replicas and their GPUs that we wish in each place."""
    found: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    away = [place for place in places if place.kind != ClusterKind.HOSTS]
    if not away:
        return found
    rows = mine.filter(cluster__in=away, wish=Wish.RUNNING).order_by().values_list("cluster").annotate(
        count=Sum("replicas"), gpus=Sum(F("replicas") * F("wanted__profile__gpus") * F("wanted__profile__nodes")))
    found.update((place, (count or 0, gpus or 0)) for place, count, gpus in rows)
    return found


def _of_hosts(place: Cluster, rooms: Sequence[tuple[Node, NodeRoom]], gpus: int, memory: int) -> Share:
    devices = [device for _node, room in rooms for device in room.devices]
    if devices:
        free = sum(device.free_bytes == device.memory_bytes for device in devices)
        return _share(place, devices[0].model, len(devices), ours=gpus, others=max(len(devices) - free - gpus, 0))
    total = sum(node.memory_bytes for node, _room in rooms)
    free = sum(max(room.memory_free, 0) for _node, room in rooms)
    others = max(total - free - memory, 0)
    return _share(place, _("no GPU"), total // GIB, ours=memory // GIB, others=others // GIB, in_gib=True)


def _of_cluster(place: Cluster, nodes: Sequence[Node], gpus: int) -> Share:
    """By what pods ask for; what is not ours there is somebody else's."""
    total, taken = sum(node.gpus for node in nodes), sum(node.gpus_requested for node in nodes)
    if total:
        device = next((each for node in nodes for each in node.accelerators.all()), None)
        ours = min(gpus, taken)
        return _share(place, device.model if device else "", total, ours=ours, others=taken - ours)
    memory, asked = sum(node.memory_bytes for node in nodes), sum(node.memory_requested_bytes for node in nodes)
    ours = min(sum(node.memory_requested_by_us for node in nodes), asked)
    return _share(place, _("no GPU"), memory // GIB, ours=ours // GIB, others=(asked - ours) // GIB, in_gib=True)


def _share(
    place: Cluster, machine: str, total: int | None, *, ours: int = 0, others: int = 0, in_gib: bool = False,
) -> Share:
    stale = place.seen_at is None or timezone.now() - place.seen_at > STALE_AFTER
    return Share(place.name, machine, place.seen_at, stale, total, ours, others, in_gib)
