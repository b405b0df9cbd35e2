"""How a StatefulSet gets from one revision to another while the old one serves. Pure: each step follows from what is there.

Where replicas are ours, one more comes first (the partition lets only that one be new); then the partition goes down by
one whenever everything above it is new and ready; then the one too many goes. A worker may die between any two steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from endpoints.states import Cause
from endpoints.targets.base import ReplicaSeen, Spec

from .replicas import TERMINATING

# So long a cluster may take to make room for the replica that comes first, before one of the old ones gives its own.
SURGE_PATIENCE = timedelta(seconds=60)
NO_ROOM = frozenset({Cause.UNSCHEDULABLE, Cause.VOLUME, Cause.QUOTA})


@dataclass(frozen=True)
class Live:
    """What the workload says now: the revision of its template, how many replicas, from which on they are new."""

    revision: int
    replicas: int
    partition: int


@dataclass(frozen=True)
class Roll:
    """What to send: replicas (None where the autoscaler owns them), partition, and pods to delete after that."""

    replicas: int | None
    partition: int
    drop: tuple[str, ...] = ()
    surges: bool = False


def rollout_step(spec: Spec, live: Live | None, pods: Sequence[ReplicaSeen], now: datetime) -> Roll:
    """The next step. Nothing old that is ready goes before something new is, as long as there is room for one more."""
    ours = spec.autoscale is None
    goal = spec.replicas if ours or live is None else live.replicas
    old = [pod for pod in pods if pod.revision != spec.wanted.number]
    done = {pod.index for pod in pods if pod.ready and pod.revision == spec.wanted.number}
    if live is None or not any(map(_serves, old)) or set(range(goal)) <= done:
        stays = ours and live is not None and _is_needed(goal, live, done)
        return Roll(goal + stays if ours else None, 0, _useless(old, 0), surges=stays)
    top = _replicas(spec, live, pods, now) if ours else live.replicas
    goes_back = any(pod.revision == spec.wanted.number and pod.index < live.partition for pod in pods)
    first = _first_done(done, top)
    coming = goes_back or _some_come(goal, pods, old, now)
    waits = coming and _is_missed(first - 1, old, len(done), goal - (top <= goal))
    partition = first if waits else max(first - 1, 0)
    if live.revision == spec.wanted.number:
        partition = min(partition, live.partition)
    # On the way back, pods below the partition come again with the revision that is wanted.
    return Roll(top if ours else None, partition, _useless(old, 0 if goes_back else partition), surges=top > goal)


def _is_needed(goal: int, live: Live, done: set[int]) -> bool:
    """Whether the one too many answers calls in place of one that does not yet."""
    return live.replicas > goal and goal in done and not set(range(goal)) <= done


def _serves(pod: ReplicaSeen) -> bool:
    """Also one that only missed its last health check: it may answer the next one."""
    return pod.ready or (pod.cause == Cause.PROBE and not pod.broken)


def _some_come(goal: int, pods: Sequence[ReplicaSeen], old: Sequence[ReplicaSeen], now: datetime) -> bool:
    """Whether some that do not serve now soon will, as far as one can see."""
    mends = any(not _serves(pod) and not pod.broken and not finds_no_room(pod, now) for pod in old)
    return mends or bool(set(range(goal)) - {pod.index for pod in pods})


def _is_missed(index: int, old: Sequence[ReplicaSeen], done: int, least: int) -> bool:
    """Whether the replica that would go next serves, and without it there were too few."""
    serving = {pod.index for pod in old if _serves(pod)}
    return index in serving and done + len(serving) - 1 < least


def _replicas(spec: Spec, live: Live, pods: Sequence[ReplicaSeen], now: datetime) -> int:
    goal = spec.replicas
    if live.revision != spec.wanted.number:
        return goal + 1
    if live.replicas <= goal:
        return goal
    first = next((pod for pod in pods if pod.index == goal), None)
    return goal if first is not None and finds_no_room(first, now) else goal + 1


def finds_no_room(pod: ReplicaSeen, now: datetime) -> bool:
    """Whether it has waited for its node for longer than an update should."""
    return pod.cause in NO_ROOM and pod.since is not None and now - pod.since > SURGE_PATIENCE


def _first_done(done: set[int], top: int) -> int:
    """Where the unbroken run of new and ready replicas below `top` begins."""
    first = top
    while first - 1 in done:
        first -= 1
    return first


def _useless(old: Sequence[ReplicaSeen], partition: int) -> tuple[str, ...]:
    """Old pods that serve nobody and would be in the way of new ones: a StatefulSet waits for them to get well."""
    return tuple(pod.key for pod in old if not _serves(pod) and pod.phase != TERMINATING and pod.index >= partition)
