"""From evidence to clues: one flat list of what each piece says, without what is over by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from clusters.agent import causes

from .evidence import Condition, Evidence, Happening, Replica
from .scheduling import Part, blocked_by, refined


class Source(StrEnum):
    """Where a clue comes from."""

    PLACE = "place"
    CONDITION = "condition"
    EVENT = "event"
    SCHEDULER = "scheduler"
    WAITING = "waiting"
    ENDED = "ended"
    LOG = "log"
    REPLICA = "replica"


@dataclass(frozen=True)
class Clue:
    """One thing that was said: `word` is its stable word (a reason, a rule of the logs), `text` the sentence."""

    source: Source
    kind: str
    subject: str
    word: str
    text: str = ""
    at: datetime | None = None
    count: int = 1
    figures: Mapping[str, object] = field(default_factory=dict)


class Stage(IntEnum):
    """How far a replica came; what speaks of an earlier stage is over."""

    UNPLACED = 0
    PLACED = 1
    RAN = 2
    READY = 3


_STAGE_OF_EVENT = {
    "FailedScheduling": Stage.UNPLACED, "NotTriggerScaleUp": Stage.UNPLACED, "Failed": Stage.PLACED,
    "ErrImagePull": Stage.PLACED, "ImagePullBackOff": Stage.PLACED, "FailedMount": Stage.PLACED,
    "FailedAttachVolume": Stage.PLACED, "FailedCreatePodSandBox": Stage.PLACED, "Pulling": Stage.PLACED,
    "InspectFailed": Stage.PLACED, "Unhealthy": Stage.RAN, "Killing": Stage.RAN, "BackOff": Stage.RAN,
}
# A pod that takes the name of one that was thrown out may be thrown out again.
_OUTLIVE_THEIR_POD = frozenset({"Evicted", "Preempted", "TaintManagerEviction"})


def stage_of(replica: Replica) -> Stage:
    if replica.ready:
        return Stage.READY
    if replica.ran:
        return Stage.RAN
    return Stage.PLACED if replica.node else Stage.UNPLACED


def clues_of(seen: Evidence) -> list[Clue]:
    """Every clue that still counts."""
    found = [Clue(Source.PLACE, "", "", trouble.cause, trouble.message, trouble.since) for trouble in seen.troubles]
    for replica in seen.replicas:
        if not replica.ready and not replica.going:
            found += _of_replica(replica, seen)
    found += _of_kept_log(seen)
    for condition in seen.conditions:
        found.append(_of_condition(condition))
    pods = {f"Pod/{replica.name}": replica for replica in seen.replicas}
    complete = seen.wanted > 0 and len(seen.replicas) >= seen.wanted
    for event in seen.events:
        if event.warning and not _is_over(event, pods, complete=complete):
            found += _of_event(event, seen)
    return found


def _of_replica(replica: Replica, seen: Evidence) -> Iterator[Clue]:
    figures = {"replica": replica.name, "node": replica.node, "restarts": replica.restarts, "code": replica.exit_code,
               "simulated": replica.simulated}

    def clue(
        source: Source, word: str, text: str = "", at: datetime | None = replica.since, more: Mapping[str, object] = {},
    ) -> Clue:
        return Clue(source, "Pod", replica.name, word, text, at, figures={**figures, **more})

    if replica.unplaced:
        for part in _blocked_by(replica.unplaced, seen):
            yield clue(Source.SCHEDULER, part.what, replica.unplaced, more=part.figures)
    if replica.waiting:
        yield clue(Source.WAITING, replica.waiting, replica.message)
    if replica.exit_code is not None or replica.ended:
        yield clue(Source.ENDED, _how_ended(replica), replica.ended_because, replica.ended_at or replica.since)
    for log in (replica.previous_log, replica.log):
        if match := causes.find(log):
            name = "no_device_simulated" if match.rule.name == "no_device" and replica.simulated else match.rule.name
            yield clue(Source.LOG, name, match.line, replica.ended_at or replica.since, match.figures)
    yield clue(Source.REPLICA, replica.phase, causes.progress(replica.log))


def _of_kept_log(seen: Evidence) -> Iterator[Clue]:
    """What a replica that is gone wrote, where none that is there has written anything."""
    written = any(replica.log or replica.previous_log for replica in seen.replicas if not replica.ready)
    match = None if written or seen.wanted <= seen.ready else causes.find(seen.kept_log)
    if match:
        yield Clue(Source.LOG, "Pod", "", match.rule.name, match.line, seen.kept_at, figures={"node": "–", **match.figures})


def _how_ended(replica: Replica) -> str:
    """A reason that says more than "Error", else the exit code."""
    plain = replica.ended in ("", "Error", "Completed", "ContainerStatusUnknown", "StartError")
    return f"exit:{replica.exit_code}" if plain and replica.exit_code is not None else replica.ended


def _of_condition(condition: Condition) -> Clue:
    kind, _slash, name = condition.object.partition("/")
    word = f"{condition.type}={condition.status}" + (f"/{condition.reason}" if condition.reason else "")
    return Clue(Source.CONDITION, kind, name, word, condition.message, condition.since,
                figures={"object": name, "reason": condition.reason})


def _is_over(event: Happening, pods: Mapping[str, Replica], *, complete: bool) -> bool:
    """Whether what the event complains of has gone by: its pod came further or was made anew, or every pod is there."""
    if event.reason == "FailedCreate":
        return complete
    pod = pods.get(event.object)
    if pod is None:
        return event.object.startswith("Pod/") and bool(pods)
    if pod.made_at and event.last and event.last < pod.made_at and event.reason not in _OUTLIVE_THEIR_POD:
        return True
    stage = stage_of(pod)
    return stage == Stage.READY or stage > _STAGE_OF_EVENT.get(event.reason, Stage.RAN)


def _blocked_by(message: str, seen: Evidence) -> list[Part]:
    return [refined(part, seen.machines, seen.asked.gpus) for part in blocked_by(message)]


def _of_event(event: Happening, seen: Evidence) -> Iterator[Clue]:
    kind, _slash, name = event.object.partition("/")
    if event.reason == "FailedScheduling":
        for part in _blocked_by(event.message, seen):
            yield Clue(Source.SCHEDULER, kind, name, part.what, event.message, event.last, event.count,
                       {"replica": name, **part.figures})
        return
    yield Clue(Source.EVENT, kind, name, event.reason, event.message, event.last, event.count,
               {"replica": name, "object": name, "count": event.count})
