"""One look at all endpoints of a cluster: a list a kind, then arithmetic. No call for a single endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from django.utils.translation import gettext as _

from clusters.drivers.kinds import HTTP_ROUTE, LEADER_WORKER_SET, POD, STATEFUL_SET
from clusters.drivers.kube import Kube
from clusters.namespaces import ENDPOINT_UID
from endpoints.states import Cause
from endpoints.targets.base import Follow, Observation, ReplicaSeen, engine_key
from portal.tenancy.text import clean

from .entrance import Doors, doors_of, entrance
from .names import AUTOSCALED, SURGE, WAKES
from .place import PlaceView
from .replicas import replicas_of
from .seen import Pod, Route, Workload
from .stage import numbers_of

# With more, one list of all is cheaper than a long selector, which is part of the address of the call.
MOST_NAMED = 50
T = TypeVar("T", Workload, Route, Pod)
SOURCE = "kubernetes"


@dataclass
class Found:
    """What the lists hold of one endpoint."""

    workloads: list[Workload] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)


def observe(kube: Kube, place: PlaceView, uids: Collection[UUID] | None) -> dict[UUID, Observation]:
    """Raises KubeError: then nothing is known of any of them."""
    doors, found = doors_of(kube, place), _listed(kube, place, _selector(uids))
    return {uid: _observation(uid, place, doors, each) for uid, each in found.items()}


def _selector(uids: Collection[UUID] | None) -> str:
    if uids is None or len(uids) > MOST_NAMED:
        return ENDPOINT_UID
    return f"{ENDPOINT_UID} in ({','.join(sorted(map(str, uids)))})"


def _listed(kube: Kube, place: PlaceView, labels: str) -> Mapping[UUID, Found]:
    """Pods come last: what a workload has made since then is seen, and nothing is seen that it has not made yet."""
    found: dict[UUID, Found] = defaultdict(Found)
    for kind in (STATEFUL_SET, *([LEADER_WORKER_SET] if place.has("lws") else [])):
        for uid, workload in _by_uid(kube.list(kind, Workload, labels=labels).items):
            found[uid].workloads.append(workload)
    if place.gateway:
        for uid, route in _by_uid(kube.list(HTTP_ROUTE, Route, labels=labels).items):
            found[uid].routes.append(route)
    for uid, pod in _by_uid(kube.list(POD, Pod, labels=labels).items):
        found[uid].pods.append(pod)
    return found


def _by_uid(items: Iterable[T]) -> Iterator[tuple[UUID, T]]:
    for each in items:
        try:
            yield UUID(each.metadata.label(ENDPOINT_UID)), each
        except ValueError:
            continue  # Somebody else's label; no row of ours has it.


def _observation(uid: UUID, place: PlaceView, doors: Doors, found: Found) -> Observation:
    workload = next((each for each in found.workloads if each.metadata.deletion_timestamp is None), None)
    if workload is None:
        return Observation(tuple(replicas_of(found.pods, 1)), source=SOURCE)
    replicas = replicas_of(found.pods, workload.size)
    closed = _why_closed(place, doors, found.routes)
    if closed:
        replicas = [_unreachable(each, closed) for each in replicas]
    wakes = workload.metadata.annotation(WAKES)
    opens = not closed and (wakes or any(each.ready for each in replicas))
    door = entrance(place, doors, workload, wakes, engine_key(uid)) if opens else None
    return Observation(
        tuple(replicas), source=SOURCE, entrance=door,
        follow=_follow(workload, replicas), problem=Cause.ROUTE if closed else Cause.NONE, message=closed,
        wanted_replicas=workload.replicas if workload.metadata.annotation(AUTOSCALED) else None)


def _why_closed(place: PlaceView, doors: Doors, routes: Sequence[Route]) -> str:
    if not place.gateway:
        return ""
    if doors.problem:
        return doors.problem
    why = routes[0].why_not if routes else _("its route is not there")
    return clean(_("The Gateway %(name)s does not route calls here yet: %(why)s") % {
        "name": place.gateway, "why": why}, 500) if why else ""


def _unreachable(seen: ReplicaSeen, why: str) -> ReplicaSeen:
    return replace(seen, ready=False, phase="No route", cause=Cause.ROUTE, message=why) if seen.ready else seen


def _follow(workload: Workload, replicas: Sequence[ReplicaSeen]) -> Follow:
    """Once everything that was sent is in place, the cluster itself keeps it so."""
    live = numbers_of(workload)
    assert live is not None, "there is a workload"
    mixed = any(each.revision != live.revision for each in replicas)
    return Follow.STEP if mixed or live.partition or workload.metadata.annotation(SURGE) else Follow.WRITE
