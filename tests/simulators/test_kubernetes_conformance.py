"""The simulated Kubernetes API answers as a real one did: every recorded case is replayed (shared/kubernetes)."""

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
"""Cases that the simulator does not answer as recorded, with the reason. It may only shrink: one that holds fails here."""

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded exchanges are not part of the project")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Simulator]:
    nodes = [gpu_node("gpu-a", zone="z1"), gpu_node("gpu-b", zone="z2"), cpu_node("cpu-a", zone="z1")]
    with Simulator(nodes, operators=(), speed=SPEED) as simulator:
        yield simulator


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        pytest.param(name, steps, id=f"{topic}-{name}", marks=[pytest.mark.xfail(strict=True, reason=UNCLAIMED[name])]
                     if name in UNCLAIMED else [])
        for topic, name, steps in CASES
    ],
)  # fmt: skip
def test_answers_as_recorded(cluster: Simulator, name: str, steps: list[Step]) -> None:
    player = Player(cluster, speed=SPEED)
    try:
        faults = player.play(steps)
    finally:
        player.close()
    assert not faults, "\n".join(faults)


def test_names_only_known_cases_as_unclaimed() -> None:
    assert set(UNCLAIMED) <= {name for _, name, _ in cases(CORPUS)}
