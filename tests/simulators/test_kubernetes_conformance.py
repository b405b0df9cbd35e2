"""The simulated Kubernetes API answers as a real one did: every recorded case is replayed (shared/kubernetes).

CONFORMANCE_TOPICS=apply,crud replays these topics only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.conformance.play import Player, Step, cases
from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node

CORPUS = Path(__file__).parents[3] / "shared" / "kubernetes" / "exchanges"
SPEED = 10.0
TOPICS = [each for each in os.environ.get("CONFORMANCE_TOPICS", "").split(",") if each]
CASES = [(topic, name, steps) for topic, name, steps in cases(CORPUS) if not TOPICS or topic in TOPICS]
UNCLAIMED: dict[str, str] = {}
"""Cases that are not answered as recorded, each with its reason. It may only shrink: one that holds after all fails."""
RACES: dict[tuple[str, int], str] = {
    ("node-not-ready", 11): "read right after a delete: the StatefulSet's controller has counted again or has not yet",
}
"""Single steps whose body depends on who was faster, in a real cluster as well: only their HTTP status is compared."""

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded exchanges are not part of the project")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulator]:
    """What the corpus asks for: two nodes with GPUs, one without, all CRDs, and no operator at work."""
    nodes = [gpu_node("gpu-a", zone="z1"), gpu_node("gpu-b", zone="z2"), cpu_node("cpu-a", zone="z1")]
    with Simulator(nodes, operators=(), speed=SPEED) as simulator:
        yield simulator


def marked(topic: str, name: str, steps: list[Step]) -> object:
    marks = [pytest.mark.xfail(strict=True, reason=UNCLAIMED[name])] if name in UNCLAIMED else []
    return pytest.param(steps, id=f"{topic}-{name}", marks=marks)


@pytest.mark.parametrize("steps", [marked(*case) for case in CASES])
def test_answers_as_recorded(cluster: Simulator, steps: list[Step]) -> None:
    player = Player(cluster, speed=SPEED, races=RACES)
    try:
        faults = player.play(steps)
    finally:
        player.close()
    assert not faults, "\n".join(faults)


def test_leaves_no_unknown_case_unclaimed() -> None:
    steps = {(name, step["step"]) for _, name, steps in cases(CORPUS) for step in steps}
    assert set(UNCLAIMED) <= {name for name, _ in steps}
    assert set(RACES) <= steps
