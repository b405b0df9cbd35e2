"""How a wish came true, or how far it has come: phases with their times, and the same time to scale with its deadline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from clusters.models import Engine
from clusters.states import Phase
from endpoints.models import Endpoint, Event
from endpoints.states import NEEDS_PERSON, SERVING, TRANSITIONAL, Cause, Status, Wish

ASKED, PLACED, LOADING, READY = _("Asked"), _("Placed"), _("Loading the model"), _("In service")
TAKEN_UP, ENDING, ENDED = _("Taken up"), _("Taking the replicas away"), _("Stopped")
# What an endpoint waits for, as a phase of its own.
WAITS: dict[str, str | Promise] = {
    Cause.NO_ROOM: _("Waiting for room"), Cause.UNSCHEDULABLE: _("Waiting for room"), Cause.NO_DEVICE: _("Waiting for room"),
    Cause.IMAGE: _("Fetching the image"), Cause.VOLUME: _("Waiting for the volume"),
    Cause.NOT_LOADED: _("Fetching the weights"), Cause.LOADING: LOADING, Cause.PROBE: _("Waiting for its first answer"),
    Cause.ROUTE: _("Opening the way in"), Cause.QUOTA: _("Waiting for quota"),
}
MOST_PHASES = 8


@dataclass(frozen=True)
class Step:
    """One phase. `state` is done, now, next or broke; `at` is when it began, `took` how long it lasted."""

    label: str | Promise
    state: str
    at: datetime | None = None
    took: timedelta | None = None


@dataclass(frozen=True)
class Timeline:
    """The phases of the last wish. Shares of the bar are per cent of the time from the beginning to its end."""

    steps: tuple[Step, ...]
    began: datetime
    ended: datetime | None
    deadline: datetime | None
    passed: float = 0.0
    expected: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.ended is not None

    @property
    def took(self) -> timedelta | None:
        return self.ended - self.began if self.ended else None


def timeline(row: Endpoint, events: Sequence[Event], engines: Iterable[Engine], now: datetime) -> Timeline | None:
    """Of the wish as it stands; None where nothing is kept of it. `events` are its own, the oldest first. Pure."""
    asked = next((event for event in events if event.kind == "wish"), None)
    if asked is None or row.wish == Wish.DELETED:
        return None
    marks = [Step(ASKED, "done", asked.at), *_marks(row, events, asked.at), *_of_engines(row, engines, asked.at)]
    marks = _once(sorted(marks, key=lambda step: step.at or now))
    if row.status in NEEDS_PERSON:
        marks.append(Step(row.get_status_display(), "broke", max(row.status_since, marks[-1].at or now)))
    steps = _with_times(marks, row, now)
    ended = steps[-1].at if steps[-1].label in (READY, ENDED) and steps[-1].state == "done" else None
    return _drawn(Timeline(tuple([*steps, *_to_come(row, steps, ended)][:MOST_PHASES]), asked.at, ended,
                           None if ended else row.deadline_at), row, now)


def _marks(row: Endpoint, events: Sequence[Event], asked: datetime) -> list[Step]:
    found = []
    for event in events:
        if event.kind == "wish" or event.at < asked:
            continue
        label = _label(row, event)
        if label is not None:
            found.append(Step(label, "done", event.at))
    return found


def _label(row: Endpoint, event: Event) -> str | Promise | None:
    if row.wish == Wish.STOPPED:
        return {Status.STOPPING: ENDING, Status.STOPPED: ENDED}.get(Status(event.now)) if event.now in Status.values else None
    if event.now == Status.INSERVICE:  # of one that has been in service before this wish came undone, it says nothing
        return READY if row.status in (Status.INSERVICE, Status.DEGRADED) else None
    if event.cause in WAITS:
        return WAITS[event.cause]
    return TAKEN_UP if event.now in (Status.CREATING, Status.UPDATING) and event.kind == "status" else None


def _of_engines(row: Endpoint, engines: Iterable[Engine], asked: datetime) -> list[Step]:
    """Where agents report engines, their own times are nearer to what happened than ours."""
    mine = [one for one in engines if row.wish == Wish.RUNNING and row.wanted and one.revision == row.wanted.number
            and one.created_at >= asked]
    if not mine:
        return []
    found = [Step(PLACED, "done", min(one.created_at for one in mine))]
    loading = [one.phase_since for one in mine if one.phase == Phase.LOADING and one.phase_since]
    return [*found, *([Step(LOADING, "done", min(loading))] if loading else [])]


def _once(steps: Sequence[Step]) -> list[Step]:
    """Each phase where it began first; what it is in service after everything else stays last."""
    kept: list[Step] = []
    for step in steps:
        known = next((index for index, one in enumerate(kept) if one.label == step.label), None)
        if known is None:
            kept.append(step)
        elif step.label in (READY, ENDED):
            kept[known] = step
    return kept[-MOST_PHASES:]


def _with_times(steps: list[Step], row: Endpoint, now: datetime) -> list[Step]:
    """How long each phase lasted; the last one goes on, or is where it broke."""
    timed = [replace(step, took=after.at - step.at if after.at and step.at else None)
             for step, after in pairwise(steps)]
    last = steps[-1]
    if last.label in (READY, ENDED):
        return [*timed, last]
    moving = "broke" if row.status in NEEDS_PERSON else "now"
    return [*timed, replace(last, state=moving, took=now - last.at if last.at else None)]


def _to_come(row: Endpoint, steps: Sequence[Step], ended: datetime | None) -> list[Step]:
    if ended is not None:
        return []
    known = {step.label for step in steps}
    ahead: tuple[str | Promise, ...] = (ENDING, ENDED) if row.wish == Wish.STOPPED else (PLACED, LOADING, READY)
    if LOADING in known:
        ahead = (READY,)
    return [Step(label, "next") for label in ahead if label not in known]


def _drawn(line: Timeline, row: Endpoint, now: datetime) -> Timeline:
    """With the shares of its bar: to the deadline while it runs."""
    if line.ended is not None or line.deadline is None or line.deadline <= line.began:
        return line
    whole = (max(line.deadline, now) - line.began).total_seconds()
    start = row.wanted.spec.get("start_seconds", 0) if row.wanted and row.wish == Wish.RUNNING else 0
    passed = min(100.0, 100 * (now - line.began).total_seconds() / whole)
    return replace(line, passed=passed, expected=max(0.0, min(100 - passed, 100 * start / whole - passed)))


def is_moving(row: Endpoint) -> bool:
    """Whether the wish is not yet carried out, so that the phases are what people look for."""
    return row.status in TRANSITIONAL or row.observed_generation != row.generation or row.status not in SERVING | {
        Status.STOPPED}
