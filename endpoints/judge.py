"""What the evidence means: a pure function from (row, observation) to a verdict. Its whole logic is a table test."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from .states import MOVES, Cause, Status, Wish
from .targets.base import Follow, Lack, Observation, ReplicaSeen


@dataclass(frozen=True)
class RowView:
    """The part of an endpoint's row that the judgement needs. `wanted_failed` marks an update that was given up.

    `contested`: somebody outside changes again and again what the portal put back. `ready`: the replicas that were ready.
    """

    wish: str
    status: str
    replicas: int
    wanted: int
    serving: int | None = None
    wanted_failed: bool = False
    failure: str = ""
    settled: bool = False
    late: bool = False
    contested: bool = False
    ready: int = 0


@dataclass(frozen=True)
class Verdict:
    """What to write. `serving` is the number of the revision in service; `failed` gives the wanted revision up, and `open`
    says that the wish is not carried out yet, although nothing moves."""

    status: str
    cause: Cause = Cause.NONE
    message: str = ""
    ready: int = 0
    serving: int | None = None
    failed: bool = False
    open: bool = False


def judge(row: RowView, seen: Observation) -> Verdict:
    """The status that the evidence supports. Never blames a failed look: there is no observation then.

    Where the place's autoscaler owns the number of replicas, its number counts.
    """
    if seen.wanted_replicas is not None:
        row = replace(row, replicas=seen.wanted_replicas)
    if seen.keeps_time:
        row = replace(row, late=False)
    if row.wish == Wish.DELETED:
        return _going(row, seen, Status.DELETING, Status.DELETED)
    if row.wish == Wish.STOPPED:
        return _going(row, seen, Status.STOPPING, Status.STOPPED)
    return _running(row, seen)


def _going(row: RowView, seen: Observation, on_the_way: Status, done: Status) -> Verdict:
    left = len(seen.replicas)
    if not left and not seen.problem:
        return Verdict(done)
    if row.late and seen.problem:
        return Verdict(Status.STALLED, seen.problem, seen.message)
    if row.late:
        return Verdict(Status.STALLED, Cause.DEADLINE, _("%(count)d replicas have not stopped in time.") % {"count": left})
    ready = sum(replica.ready for replica in seen.replicas)
    return Verdict(on_the_way, seen.problem, seen.message, ready=ready, serving=row.serving if ready else None)


def _running(row: RowView, seen: Observation) -> Verdict:
    if row.wanted_failed and row.serving is not None and row.serving != row.wanted:
        return _after_failed_update(row, seen)
    new = seen.of(row.wanted)
    ready_new = sum(replica.ready for replica in new)
    old = [replica for replica in seen.replicas if replica.revision != row.wanted]
    ready_old = sum(replica.ready for replica in old)
    broken = next((replica for replica in new if replica.broken), None)
    if not row.replicas and not seen.replicas:
        if seen.undone and not row.settled:
            return _undone(row, seen, 0, row.serving)
        return Verdict(Status.INSERVICE, message=_asleep(seen), serving=row.wanted)
    if ready_new >= row.replicas and len(new) == row.replicas and not old and seen.follow != Follow.STEP:
        return _complete(row, seen, ready_new)
    if broken is not None:
        return _broken(row, broken, ready_new, ready_old)
    if row.late and ready_new < row.replicas and row.serving not in (None, row.wanted):
        return _missed(row, seen, ready_new, ready_old)
    return _on_the_way(row, seen, ready_new, ready_old)


def _asleep(seen: Observation) -> str:
    """Only where calls find something that takes them do they wake it."""
    if seen.entrance is not None:
        return _("Scaled to zero: the next call starts a replica.")
    return _("Scaled to zero: the autoscaler starts a replica once its trigger asks for one. Until then calls are refused.")


def _complete(row: RowView, seen: Observation, ready: int) -> Verdict:
    """Every replica is there."""
    if seen.undone and not row.settled:
        return _undone(row, seen, ready, row.wanted)
    if seen.lack == Lack.COMING:
        return _on_the_way(row, seen, ready, 0)
    if seen.lack == Lack.LASTING:
        return Verdict(Status.DEGRADED, seen.problem, seen.message, ready=ready, serving=row.wanted)
    return _in_service(row, ready)


def _undone(row: RowView, seen: Observation, ready: int, serving: int | None) -> Verdict:
    """What was wished beside the replicas, such as another autoscaling, is still refused."""
    way = Status.CREATING if row.serving is None else Status.UPDATING
    stuck = row.late or row.status == Status.DEGRADED
    return Verdict(Status.DEGRADED if stuck else way, seen.problem, seen.message, ready=ready, serving=serving, open=True)


def _in_service(row: RowView, ready: int) -> Verdict:
    if not row.contested:
        return Verdict(Status.INSERVICE, ready=ready, serving=row.wanted)
    return Verdict(Status.INSERVICE, Cause.CONTESTED, _("It serves, but somebody outside changes again and again what the "
                                                        "portal puts back. Decide which is right."),
                   ready=ready, serving=row.wanted)


def _broken(row: RowView, broken: ReplicaSeen, ready_new: int, ready_old: int) -> Verdict:
    why = broken.message or _("Replica %(index)d crashes again and again.") % {"index": broken.index}
    if row.serving is not None and row.serving != row.wanted:
        return Verdict(Status.DEGRADED if ready_old else Status.UPDATING, Cause.UPDATE_FAILED, why,
                       ready=ready_old + ready_new, serving=row.serving, failed=True)
    if ready_new:
        return Verdict(Status.DEGRADED, broken.cause, _count_and(row, ready_new, why), ready=ready_new, serving=row.wanted)
    return Verdict(Status.FAILED, broken.cause or Cause.CRASH_LOOP, why)


def _missed(row: RowView, seen: Observation, ready_new: int, ready_old: int) -> Verdict:
    """An update that is not through in time is given up: the revision before it goes on serving, or comes back."""
    ready = ready_old + ready_new
    _cause, waits = _what_waits(row, replace(seen, replicas=seen.of(row.wanted)), ready)
    return Verdict(Status.DEGRADED if ready_old else Status.UPDATING, Cause.UPDATE_FAILED,
                   _("It was not ready in time: %(why)s") % {"why": waits}, ready=ready, serving=row.serving, failed=True)


def _after_failed_update(row: RowView, seen: Observation) -> Verdict:
    kept = seen.of(row.serving or 0)
    ready = sum(replica.ready for replica in kept)
    message = _("Revision %(new)d failed: %(why)s Revision %(old)d goes on serving.") % {
        "new": row.wanted, "why": row.failure, "old": row.serving}
    if not ready and any(replica.broken for replica in kept):
        return Verdict(Status.FAILED, Cause.UPDATE_FAILED, message)
    return Verdict(Status.DEGRADED, Cause.UPDATE_FAILED, message, ready=ready, serving=row.serving)


def _on_the_way(row: RowView, seen: Observation, ready_new: int, ready_old: int) -> Verdict:
    ready = ready_new + ready_old
    serving = row.serving if row.serving is not None else (row.wanted if ready_new else None)
    cause, message = _what_waits(row, seen, ready)
    if _scales(row, seen, cause, ready):
        return Verdict(Status.INSERVICE, Cause.NONE, _count(row, ready), ready=ready, serving=serving)
    if row.late and not ready:
        return Verdict(Status.STALLED, cause if cause != Cause.LOADING else Cause.DEADLINE, message, serving=None)
    if row.late or (row.settled and ready):
        return Verdict(Status.DEGRADED, cause or Cause.REPLICAS_MISSING, message, ready=ready, serving=serving)
    if row.status in (Status.STALLED, Status.FAILED) and row.settled:
        return Verdict(row.status, cause, message, ready=ready, serving=serving)
    if not seen.replicas and row.status == Status.PENDING:
        return Verdict(Status.PENDING, cause, message)
    way = Status.UPDATING if row.serving is not None and (ready or row.status == Status.UPDATING) else Status.CREATING
    return Verdict(way, cause, message, ready=ready, serving=serving)


def _scales(row: RowView, seen: Observation, cause: Cause, ready: int) -> bool:
    """Whether only the autoscaler is at work: what it adds or takes away is no lack, what is lost is one."""
    all_left = 0 < ready >= min(row.ready, row.replicas)
    return (seen.wanted_replicas is not None and all_left and row.settled and row.status == Status.INSERVICE
            and cause in _PASSING)


_PASSING = frozenset({Cause.NONE, Cause.LOADING, Cause.REPLICAS_MISSING})


def _what_waits(row: RowView, seen: Observation, ready: int) -> tuple[Cause, str]:
    if seen.problem:
        return seen.problem, seen.message
    waiting = [replica for replica in seen.replicas if not replica.ready]
    named = next((replica for replica in waiting if replica.cause), None) or next(iter(waiting), None)
    if named is None:
        return Cause.NONE, _count(row, ready)
    # Our own phases shout; a cluster's reasons, such as ContainerCreating, are names.
    phase = named.message or (named.phase.lower() if named.phase.isupper() else named.phase)
    where = f" ({named.where})" if named.where else ""
    return named.cause or Cause.LOADING, _count_and(row, ready, f"{phase}{where}")


def _count(row: RowView, ready: int) -> str:
    return _("%(ready)d of %(wanted)d replicas ready.") % {"ready": ready, "wanted": row.replicas}


def _count_and(row: RowView, ready: int, rest: str) -> str:
    return f"{_count(row, ready)} {rest}"


def step_towards(was: str, goal: str) -> str:
    """The first hop of the shortest allowed way from one status to another; `was` itself where there is none."""
    if goal in MOVES[was] or goal == was:
        return goal
    first_hops = deque((hop, hop) for hop in sorted(MOVES[was]))
    visited = set(MOVES[was])
    while first_hops:
        first, at = first_hops.popleft()
        if goal in MOVES[at]:
            return first
        for hop in sorted(MOVES[at] - visited):
            visited.add(hop)
            first_hops.append((first, hop))
    return was


