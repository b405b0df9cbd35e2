"""SageMaker endpoints as a place. The files beside this one do the work; here AWS's errors become ours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils.functional import cached_property

from clusters.drivers.aws import aws_for
from clusters.models import AwsPlace, Cluster
from endpoints.explaining import Evidence
from endpoints.targets.base import LOG_LINES, Check, Collected, FieldChange, Follow, ModelFacts, Observation, Plan, Spec
from endpoints.targets.measuring import Measured

from .bodies import Bodies, bodies_of
from .calls import Calls
from .checks import checks
from .drifting import find_drift
from .errors import told
from .evidence import evidence, read_log
from .leftovers import Collector
from .look import observe, observe_named, remember
from .measures import measure
from .memory import Memory, memory_of
from .place import PlaceView, row_of, view_of
from .planned import plan, shown
from .removing import remove
from .replicas import observation_of
from .steps import Steps


class SageMakerTarget:
    """The target of an account and region. Implements Target, Scales, Collects and FindsDrift of endpoints.targets.base."""

    max_replicas = 64

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        # What a step of this very object has just looked at, so that the look after it need not ask again.
        self._just_seen: dict[UUID, Observation] = {}
        self._names: dict[UUID, str] = {}
        self._unfinished: set[UUID] = set()

    @cached_property
    def _row(self) -> AwsPlace:
        return row_of(self.cluster)

    @cached_property
    def _place(self) -> PlaceView:
        return view_of(self._row)

    @cached_property
    def _calls(self) -> Calls:
        return Calls(aws_for(self._row.account, self._row.region))

    @cached_property
    def _memory(self) -> Memory:
        return memory_of(self._row.account.uid, self._row.region)

    def _made(self, spec: Spec) -> Bodies:
        return bodies_of(spec, self._place)

    def render(self, spec: Spec) -> list[dict[str, Any]]:
        """For people: no secret's value is in it."""
        with told():
            return shown(spec, self._made(spec))

    def plan(self, spec: Spec) -> Plan:
        with told():
            return plan(self._calls, spec, self._made(spec))

    def checks(self, spec: Spec, model: ModelFacts) -> tuple[Check, ...]:
        with told():
            return checks(self._calls, self._place, spec, model)

    def apply(self, spec: Spec) -> None:
        self._just_seen.pop(spec.uid, None)
        self._names[spec.uid] = spec.external_name
        seen = self._memory.take_look(spec.external_name)
        if seen is not None and seen.uid == spec.uid and seen.live.is_moving:
            self._just_seen[spec.uid] = observation_of(seen, self._place)  # Nothing but looking is of use, and that is done.
            return
        self._unfinished.add(spec.uid)
        with told():
            steps = Steps(self._calls, self._memory, spec, self._made(spec))
            live = steps.apply()
            if live is not None and not steps.changed:
                seen = remember(self._calls, self._memory, live)
                if seen is not None:
                    self._just_seen[spec.uid] = observation_of(seen, self._place)
        self._unfinished.discard(spec.uid)

    def observe(self, uids: Collection[UUID] | None = None) -> dict[UUID, Observation]:
        with told():
            seen = self._observe(uids)
        # A step that failed has left something to do, however well the endpoint looks.
        return {uid: replace(each, follow=Follow.STEP) if uid in self._unfinished else each for uid, each in seen.items()}

    def _observe(self, uids: Collection[UUID] | None) -> dict[UUID, Observation]:
        if uids is not None and len(uids) == 1:
            uid = next(iter(uids))
            if uid in self._just_seen:
                return {uid: self._just_seen.pop(uid)}
            if uid in self._names:
                return observe_named(self._calls, self._memory, self._place, uid, self._names[uid])
        return observe(self._calls, self._memory, self._place, uids)

    def remove(self, spec: Spec) -> None:
        self._just_seen.pop(spec.uid, None)
        self._names[spec.uid] = spec.external_name
        with told():
            remove(self._calls, self._memory, spec)

    def collect(
        self, known: Callable[[], Collection[UUID]], knew: Callable[[UUID], bool], grace: timedelta,
    ) -> Collected:
        with told():
            return Collector(self._calls, grace).collect(known, knew)

    def find_drift(self, specs: Iterable[Spec]) -> dict[UUID, tuple[FieldChange, ...]]:
        with told():
            return find_drift(self._calls, self._memory, self._place, specs)

    def put_back(self, spec: Spec, changes: Iterable[FieldChange]) -> None:
        """A step finds by itself what differs."""
        self.apply(spec)

    def logs(self, spec: Spec, *, replica: int = 0, previous: bool = False, lines: int = LOG_LINES) -> str:
        with told():
            return read_log(self._calls, spec, replica=replica, previous=previous, lines=lines)

    def evidence(self, spec: Spec, *, deep: bool = True) -> Evidence:
        with told():
            return evidence(self._calls, self._memory, self._place, spec, deep=deep)

    def measure(self, spec: Spec) -> Measured:
        with told():
            return measure(self._calls.aws, spec)
