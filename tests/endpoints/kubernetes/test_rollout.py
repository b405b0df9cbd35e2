"""The rollout as arithmetic: a table of single steps, and whole updates against a model of the StatefulSet controller."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from endpoints.states import Cause
from endpoints.targets.base import ReplicaSeen, Spec
from endpoints.targets.kubernetes.rollout import SURGE_PATIENCE, Live, Roll, rollout_step

from .making import SCALED, revision, spec

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = NOW - 2 * SURGE_PATIENCE


def pods(text: str) -> list[ReplicaSeen]:
    """`1+ 2- 2! 2? -`: by index, the revision and whether it is ready, loading, broken or without a node; - is missing."""
    found = []
    for index, word in enumerate(text.split()):
        if word == "-":
            continue
        number, state = int(word[0]), word[1]
        found.append(ReplicaSeen(
            key=f"chat-{index}", index=index, revision=number, ready=state == "+", phase="", broken=state == "!",
            cause={"!": Cause.CRASH_LOOP, "?": Cause.UNSCHEDULABLE, "~": Cause.PROBE}.get(state, Cause.NONE),
            since=LONG_AGO if state == "?" else NOW))
    return found


def wish(replicas: int, number: int, *, scaled: bool = False) -> Spec:
    return spec(revision(number=number), replicas=replicas, autoscale=SCALED if scaled else None)


TABLE = [
    # what is wished, what the workload says (revision, replicas, partition), its pods, what is sent
    ("nothing is there yet", wish(2, 1), None, "", Roll(2, 0)),
    ("it runs as wished", wish(2, 1), (1, 2, 0), "1+ 1+", Roll(2, 0)),
    ("one of ours is down", wish(2, 1), (1, 2, 0), "1+ 1-", Roll(2, 0)),
    ("scaled up", wish(3, 1), (1, 2, 0), "1+ 1+", Roll(3, 0)),
    ("scaled down", wish(1, 1), (1, 3, 0), "1+ 1+ 1+", Roll(1, 0)),
    ("an update begins: one more comes first", wish(2, 2), (1, 2, 0), "1+ 1+", Roll(3, 2, surges=True)),
    ("it loads", wish(2, 2), (2, 3, 2), "1+ 1+ 2-", Roll(3, 2, surges=True)),
    ("it is ready: the next one goes", wish(2, 2), (2, 3, 2), "1+ 1+ 2+", Roll(3, 1, surges=True)),
    ("that one is being replaced", wish(2, 2), (2, 3, 1), "1+ - 2+", Roll(3, 1, surges=True)),
    ("it loads", wish(2, 2), (2, 3, 1), "1+ 2- 2+", Roll(3, 1, surges=True)),
    ("it is ready: the last old one goes", wish(2, 2), (2, 3, 1), "1+ 2+ 2+", Roll(3, 0, surges=True)),
    ("all are new: the one too many goes", wish(2, 2), (2, 3, 0), "2+ 2+ 2+", Roll(2, 0)),
    ("the last one still loads: the one too many stays", wish(2, 2), (2, 3, 0), "2- 2+ 2+", Roll(3, 0, surges=True)),
    ("it stays for nobody when it is not ready itself", wish(2, 2), (2, 3, 0), "2- 2+ 2-", Roll(2, 0)),
    ("no room for one more: an old one gives its own", wish(2, 2), (2, 3, 2), "1+ 1+ 2?", Roll(2, 1)),
    ("without one more it goes on", wish(2, 2), (2, 2, 1), "1+ 2-", Roll(2, 1)),
    ("and on", wish(2, 2), (2, 2, 1), "1+ 2+", Roll(2, 0)),
    ("a new one that fails stops it", wish(2, 2), (2, 3, 1), "1+ 2! 2+", Roll(3, 1, surges=True)),
    ("a new one that falls ill lets no old one come back", wish(2, 2), (2, 3, 1), "1+ 2+ 2-", Roll(3, 1, surges=True)),
    ("back to the old one, of which all still serve", wish(2, 1), (2, 3, 2), "1+ 1+ 2!", Roll(2, 0, ("chat-2",))),
    ("back in the middle: the new one serves until the other is back", wish(2, 1), (2, 3, 1), "1+ 2! 2+",
     Roll(3, 3, ("chat-1",), surges=True)),
    ("back, and the broken one is in the way", wish(2, 1), (1, 3, 1), "1+ 2! 1+", Roll(3, 0, ("chat-1",), surges=True)),
    ("back, with enough to replace a new one", wish(2, 1), (1, 3, 2), "1+ 2+ 1+", Roll(3, 1, surges=True)),
    ("one old one loads: it is waited for", wish(2, 2), (2, 3, 2), "1- 1+ 2+", Roll(3, 2, surges=True)),
    ("one old one is broken: it is not waited for", wish(2, 2), (2, 3, 2), "1! 1+ 2+", Roll(3, 1, surges=True)),
    ("nothing old serves: no need to wait", wish(3, 2), (1, 3, 0), "1! 1! 1-", Roll(3, 0, ("chat-0", "chat-1", "chat-2"))),
    ("an old one that missed a health check still counts", wish(1, 2), (2, 2, 1), "1~ 2-", Roll(2, 1, surges=True)),
    ("the autoscaler owns the number: no one more", wish(1, 2, scaled=True), (1, 4, 0), "1+ 1+ 1+ 1+", Roll(None, 3)),
    ("nor is its number ever sent", wish(1, 1, scaled=True), (1, 4, 0), "1+ 1+ 1+ 1+", Roll(None, 0)),
    ("it goes on from the top", wish(1, 2, scaled=True), (2, 4, 3), "1+ 1+ 1+ 2+", Roll(None, 2)),
    ("it scaled up meanwhile", wish(1, 2, scaled=True), (2, 5, 2), "1+ 1+ 2+ 2+ 2-", Roll(None, 2)),
    ("scaled down in the middle", wish(1, 2), (2, 4, 3), "1+ 1+ 1+ 2+", Roll(2, 1, surges=True)),
    ("scaled up in the middle", wish(4, 2), (2, 3, 2), "1+ 1+ 2+", Roll(4, 2)),
]


@pytest.mark.parametrize(("wanted", "live", "seen", "sent"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_next_step_follows_from_what_is_there(
    wanted: Spec, live: tuple[int, int, int] | None, seen: str, sent: Roll,
) -> None:
    assert rollout_step(wanted, Live(*live) if live else None, pods(seen), NOW) == sent


def test_a_cluster_has_some_time_to_make_room() -> None:
    first = replace(pods("1+ 2?")[1], since=NOW - SURGE_PATIENCE + timedelta(seconds=1))
    assert rollout_step(wish(1, 2), Live(2, 2, 1), [*pods("1+"), first], NOW).surges


@dataclass
class Model:
    """What Kubernetes does (pkg/controller/statefulset, Parallel): pods at or above the partition get the newest revision.

    `broken` are revisions whose pods never get ready; `room` is how many pods the nodes hold.
    """

    live: Live
    current: int
    pods: dict[int, ReplicaSeen] = field(default_factory=dict)
    broken: frozenset[int] = frozenset()
    room: int = 99
    served: list[int] = field(default_factory=list)

    def send(self, roll: Roll, number: int, *, dies: bool = False) -> None:
        self.live = Live(number, self.live.replicas if roll.replicas is None else roll.replicas, roll.partition)
        for key in () if dies else roll.drop:
            self.pods.pop(int(key.rpartition("-")[2]), None)

    def tick(self) -> None:
        """Everything that happens until nothing more would, except that pods at most begin or get ready once."""
        for index in [index for index in self.pods if index >= self.live.replicas]:
            del self.pods[index]
        for index in range(self.live.replicas):
            if index not in self.pods:
                self._create(index)
            elif not self.pods[index].ready and self.pods[index].revision not in self.broken:
                self.pods[index] = self._placed(self.pods[index])
        self._replace_one()
        self.served.append(sum(pod.ready for pod in self.pods.values()))
        if all(pod.revision == self.live.revision for pod in self.pods.values()) and not self.live.partition:
            self.current = self.live.revision

    def _create(self, index: int) -> None:
        number = self.live.revision if index >= self.live.partition else self.current
        self.pods[index] = ReplicaSeen(key=f"chat-{index}", index=index, revision=number, ready=False, phase="Pending",
                                       since=NOW, broken=number in self.broken, cause=Cause.LOADING)

    def _placed(self, pod: ReplicaSeen) -> ReplicaSeen:
        running = sum(each.ready for each in self.pods.values())
        if running < self.room:
            return replace(pod, ready=True, cause=Cause.NONE)
        return replace(pod, cause=Cause.UNSCHEDULABLE, since=LONG_AGO)

    def _replace_one(self) -> None:
        """From the top, one at a time: the next one only when those above are well."""
        for index in range(self.live.replicas - 1, self.live.partition - 1, -1):
            if self.pods[index].revision != self.live.revision:
                del self.pods[index]
                return
            if not self.pods[index].ready:
                return


def running(replicas: int, **values: object) -> Model:
    model = Model(Live(1, replicas, 0), current=1, **values)  # type: ignore[arg-type]
    for _ in range(2):
        model.tick()
    model.served.clear()
    return model


def steps(model: Model, wanted: Spec, count: int = 40, *, dies_at: int = -1) -> None:
    for number in range(count):
        roll = rollout_step(wanted, model.live, sorted(model.pods.values(), key=lambda pod: pod.index), NOW)
        model.send(roll, wanted.wanted.number, dies=number == dies_at)
        model.tick()


def is_settled(model: Model, replicas: int, number: int) -> bool:
    return (model.live == Live(number, replicas, 0) and len(model.pods) == replicas
            and all(pod.ready and pod.revision == number for pod in model.pods.values()))


@pytest.mark.parametrize("replicas", [1, 2, 5])
@pytest.mark.parametrize("dies_at", [-1, *range(12)])
def test_an_update_never_serves_with_less_and_ends_wherever_a_worker_dies(replicas: int, dies_at: int) -> None:
    model = running(replicas)
    steps(model, wish(replicas, 2), dies_at=dies_at)
    assert is_settled(model, replicas, 2)
    assert min(model.served) >= replicas


@pytest.mark.parametrize("replicas", [2, 5])
def test_without_room_for_one_more_it_still_ends_and_misses_one_at_a_time(replicas: int) -> None:
    model = running(replicas, room=replicas)
    steps(model, wish(replicas, 2))
    assert is_settled(model, replicas, 2)
    assert min(model.served) == replicas - 1


def test_the_autoscalers_replicas_are_replaced_one_at_a_time() -> None:
    model = running(4)
    steps(model, wish(1, 2, scaled=True))
    assert is_settled(model, 4, 2)
    assert min(model.served) == 3


@pytest.mark.parametrize("after", range(12))
@pytest.mark.parametrize("dies_at", [-1, 0, 1, 3])
def test_rolling_back_from_any_point_ends_with_the_old_one_everywhere(after: int, dies_at: int) -> None:
    model = running(3)
    steps(model, wish(3, 2), after)
    steps(model, wish(3, 1), dies_at=dies_at)
    assert is_settled(model, 3, 1)
    assert min(model.served) >= 3


@pytest.mark.parametrize("after", [1, 4, 12])
def test_a_revision_that_never_gets_ready_costs_nothing_and_goes_away_again(after: int) -> None:
    model = running(3, broken=frozenset({2}))
    steps(model, wish(3, 2), after)
    assert any(pod.revision == 2 for pod in model.pods.values())
    steps(model, wish(3, 1))
    assert is_settled(model, 3, 1)
    assert min(model.served) == 3


def test_a_first_revision_that_never_gets_ready_makes_way_at_once() -> None:
    model = Model(Live(1, 3, 0), current=1, broken=frozenset({1}))
    model.tick()
    steps(model, wish(3, 2), 3)
    assert is_settled(model, 3, 2)
