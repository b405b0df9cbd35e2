from __future__ import annotations

from collections.abc import Iterator

import pytest

from clusters.models import Cluster
from tests.cast import Cast
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.kubernetes.server import Simulator

from .hyperpod_play import TYPE, make_place


@pytest.fixture(scope="session")
def pod_sim() -> Iterator[Simulator]:
    """The EKS side of a HyperPod cluster in which everything happens ten times as fast; shared: use names of your own."""
    nodes = [hyperpod_node(f"i-0a1b2c3d4e5f6789{number}", instance_type=TYPE) for number in range(9)]
    with Simulator(nodes=nodes, speed=10.0) as sim:
        yield sim


@pytest.fixture
def place(cast: Cast, pod_sim: Simulator) -> Iterator[Cluster]:
    """A place on it, with what looks at AWS and a connection test would have found there."""
    yield make_place(pod_sim)
    for fault in list(pod_sim.app.faults):
        fault.remove()
