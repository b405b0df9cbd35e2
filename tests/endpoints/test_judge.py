"""Evidence in, verdict out: the lifecycle as a table."""

from __future__ import annotations

import pytest

from endpoints.judge import RowView, judge
from endpoints.states import Cause, Status, Wish
from endpoints.targets.base import Follow, Lack, Observation, ReplicaSeen


def replica(index: int = 0, revision: int = 1, phase: str = "READY", **values: object) -> ReplicaSeen:
    return ReplicaSeen(key=f"{index}-{revision}", index=index, revision=revision, ready=phase == "READY", phase=phase,
                       **values)  # type: ignore[arg-type]


def crashed(index: int = 0, revision: int = 1) -> ReplicaSeen:
    return replica(index, revision, "CRASHLOOP", broken=True, cause=Cause.CRASH_LOOP, message="bad argument")


def row(**values: object) -> RowView:
    return RowView(**{"wish": Wish.RUNNING, "status": Status.CREATING, "replicas": 1, "wanted": 1, **values})  # type: ignore[arg-type]


NO_ROOM = Observation(problem=Cause.NO_ROOM, message="No room: host-1: needs 1 free GPU")
SETTLED_1 = {"status": Status.INSERVICE, "serving": 1, "settled": True}
TO_2 = {"status": Status.UPDATING, "serving": 1, "wanted": 2}

CASES = [
    # name, row, observation, status, cause, ready, serving
    ("a new endpoint with nothing placed waits", row(status=Status.PENDING), Observation(), "PENDING", "", 0, None),
    ("no room is said while it waits", row(status=Status.PENDING), NO_ROOM, "PENDING", "NoRoom", 0, None),
    ("no room past the deadline stalls", row(status=Status.PENDING, late=True), NO_ROOM, "STALLED", "NoRoom", 0, None),
    ("a starting engine creates", row(), Observation((replica(phase="LOADING"),)), "CREATING", "Loading", 0, None),
    ("one of two ready still creates", row(replicas=2), Observation((replica(), replica(1, phase="LOADING"))),
     "CREATING", "Loading", 1, 1),
    ("all ready is in service", row(), Observation((replica(),)), "INSERVICE", "", 1, 1),
    ("all ready is not enough while the place still works on the rest", row(),
     Observation((replica(),), lack=Lack.COMING, problem=Cause.LOADING), "CREATING", "Loading", 1, 1),
    ("what only a person can see to degrades what serves", row(**SETTLED_1),
     Observation((replica(),), lack=Lack.LASTING, problem=Cause.ERROR), "DEGRADED", "Error", 1, 1),
    ("still loading past the deadline stalls", row(late=True), Observation((replica(phase="LOADING"),)),
     "STALLED", "DeadlineExceeded", 0, None),
    ("half ready past the deadline degrades", row(replicas=2, late=True),
     Observation((replica(), replica(1, phase="LOADING"))), "DEGRADED", "Loading", 1, 1),
    ("a first start that crashes again and again fails", row(), Observation((crashed(),)), "FAILED", "CrashLoop", 0, None),
    ("one crashing of two degrades", row(replicas=2), Observation((replica(), crashed(1))), "DEGRADED", "CrashLoop", 1, 1),
    ("in service stays in service", row(**SETTLED_1), Observation((replica(),)), "INSERVICE", "", 1, 1),
    ("losing one of two degrades", row(**SETTLED_1, replicas=2), Observation((replica(), replica(1, phase="BACKOFF"))),
     "DEGRADED", "Loading", 1, 1),
    ("losing the only replica creates it again", row(**SETTLED_1), Observation((replica(phase="BACKOFF"),)),
     "CREATING", "Loading", 0, 1),
    ("an engine that crashes for good fails what was in service", row(**SETTLED_1), Observation((crashed(),)),
     "FAILED", "CrashLoop", 0, None),
    ("scaling up updates", row(status=Status.INSERVICE, serving=1, replicas=2), Observation((replica(),)),
     "UPDATING", "", 1, 1),
    ("scaling down updates until the extra one is gone", row(status=Status.UPDATING, serving=1),
     Observation((replica(), replica(1))), "UPDATING", "", 2, 1),
    ("an update starts beside the old replica", row(**TO_2), Observation((replica(),)), "UPDATING", "", 1, 1),
    ("an update serves from the old one while the new one loads", row(**TO_2),
     Observation((replica(), replica(revision=2, phase="LOADING"))), "UPDATING", "Loading", 1, 1),
    ("an update is not done before the old one is gone", row(**TO_2), Observation((replica(), replica(revision=2))),
     "UPDATING", "", 2, 1),
    ("an update is done", row(**TO_2), Observation((replica(revision=2),)), "INSERVICE", "", 1, 2),
    ("a failed update keeps the old revision", row(**TO_2), Observation((replica(), crashed(revision=2))),
     "DEGRADED", "UpdateFailed", 1, 1),
    ("after a failed update the old one serves on", row(**TO_2, wanted_failed=True, failure="bad argument."),
     Observation((replica(),)), "DEGRADED", "UpdateFailed", 1, 1),
    ("an update without room says so and serves on", row(**TO_2), Observation((replica(),), problem=Cause.NO_ROOM),
     "UPDATING", "NoRoom", 1, 1),
    ("an update past its deadline is given up", row(**TO_2, late=True),
     Observation((replica(), replica(revision=2, phase="LOADING"))), "DEGRADED", "UpdateFailed", 1, 1),
    ("an update of a place that keeps time itself is not given up by our clock", row(**TO_2, late=True),
     Observation((replica(), replica(revision=2, phase="LOADING")), keeps_time=True), "UPDATING", "Loading", 1, 1),
    ("an update that is through but for the old one's end is not given up", row(**TO_2, late=True),
     Observation((replica(phase="STOPPING"), replica(revision=2))), "DEGRADED", "Loading", 1, 1),
    ("between two steps of the place nothing is in service yet", row(**TO_2, replicas=2),
     Observation((replica(1, 2), replica(2, 2)), follow=Follow.STEP), "UPDATING", "", 2, 1),
    ("the autoscaler's number counts", row(**SETTLED_1, replicas=1),
     Observation((replica(), replica(1)), wanted_replicas=2), "INSERVICE", "", 2, 1),
    ("a wish beside the replicas that was refused for now is still open", row(serving=1, status=Status.INSERVICE),
     Observation((replica(),), problem=Cause.CONFLICT, undone=True), "UPDATING", "FieldConflict", 1, 1),
    ("and is degraded in the end", row(serving=1, status=Status.UPDATING, late=True),
     Observation((replica(),), problem=Cause.CONFLICT, undone=True), "DEGRADED", "FieldConflict", 1, 1),
    ("until it is carried out", row(serving=1, status=Status.DEGRADED),
     Observation((replica(),), problem=Cause.CONFLICT, undone=True), "DEGRADED", "FieldConflict", 1, 1),
    ("a settled row that met something in passing goes on", row(**SETTLED_1),
     Observation((replica(),), problem=Cause.CONFLICT, undone=True), "INSERVICE", "", 1, 1),
    ("an update that was refused while there is no replica is not through", row(**TO_2),
     Observation((), wanted_replicas=0, problem=Cause.CONFLICT, undone=True), "UPDATING", "FieldConflict", 0, 1),
    ("what the autoscaler adds is no lack", row(**SETTLED_1, ready=1),
     Observation((replica(), replica(1, phase="LOADING")), wanted_replicas=2), "INSERVICE", "", 1, 1),
    ("nor is what it takes away", row(**SETTLED_1, ready=2),
     Observation((replica(), replica(1)), wanted_replicas=1), "INSERVICE", "", 2, 1),
    ("one after the other", row(**SETTLED_1, ready=3), Observation((replica(), replica(1)), wanted_replicas=1), "INSERVICE", "",
     2, 1),
    ("what it can not add is one", row(**SETTLED_1, ready=1),
     Observation((replica(), replica(1, phase="PENDING", cause=Cause.UNSCHEDULABLE)), wanted_replicas=2), "DEGRADED",
     "Unschedulable", 1, 1),
    ("and so is what is lost", row(**SETTLED_1, ready=2),
     Observation((replica(), replica(1, phase="LOADING")), wanted_replicas=2), "DEGRADED", "Loading", 1, 1),
    ("scaled to zero is in service", row(**SETTLED_1), Observation((), wanted_replicas=0), "INSERVICE", "", 0, 1),
    ("deleting waits for what the place still has", row(wish=Wish.DELETED, status=Status.DELETING),
     Observation(problem=Cause.LOADING, message="Service x"), "DELETING", "Loading", 0, None),
    ("a deletion that the place holds up stalls", row(wish=Wish.DELETED, status=Status.DELETING, late=True),
     Observation(problem=Cause.FORBIDDEN, message="cannot delete"), "STALLED", "Forbidden", 0, None),
    ("stopping waits for the last replica", row(wish=Wish.STOPPED, status=Status.STOPPING, serving=1),
     Observation((replica(phase="STOPPING"),)), "STOPPING", "", 0, None),
    ("stopped when nothing is left", row(wish=Wish.STOPPED, status=Status.STOPPING), Observation(), "STOPPED", "", 0, None),
    ("a stop that hangs stalls", row(wish=Wish.STOPPED, status=Status.STOPPING, late=True),
     Observation((replica(phase="STOPPING"),)), "STALLED", "DeadlineExceeded", 0, None),
    ("deleting waits for the last replica", row(wish=Wish.DELETED, status=Status.DELETING),
     Observation((replica(phase="STOPPING"),)), "DELETING", "", 0, None),
    ("deleted when nothing is left", row(wish=Wish.DELETED, status=Status.DELETING), Observation(), "DELETED", "", 0, None),
    ("a stalled start stays stalled while nothing changes", row(status=Status.STALLED, settled=True), NO_ROOM,
     "STALLED", "NoRoom", 0, None),
    ("a stalled start that comes up after all is in service", row(status=Status.STALLED, settled=True),
     Observation((replica(),)), "INSERVICE", "", 1, 1),
    ("a new wish wakes a failed one", row(status=Status.FAILED), Observation((replica(phase="STARTING"),)),
     "CREATING", "Loading", 0, None),
]


@pytest.mark.parametrize(("view", "seen", "status", "cause", "ready", "serving"),
                         [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_verdict(
    view: RowView, seen: Observation, status: str, cause: str, ready: int, serving: int | None,
) -> None:
    verdict = judge(view, seen)
    assert (verdict.status, verdict.cause, verdict.ready, verdict.serving) == (status, cause, ready, serving)


def test_only_an_update_that_crashes_or_is_late_gives_its_revision_up() -> None:
    given_up = [case[0] for case in CASES if judge(case[1], case[2]).failed]
    assert given_up == ["a failed update keeps the old revision", "an update past its deadline is given up"]
