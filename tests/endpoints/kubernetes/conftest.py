from __future__ import annotations

from collections.abc import Iterator

import pytest

from clusters.models import Cluster, KubernetesAccess
from tests.cast import Cast
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node

CAPABILITIES = {name: {"found": True} for name in ("keda", "gateway", "lws")}


@pytest.fixture(scope="session")
def quick_sim() -> Iterator[Simulator]:
    """A cluster in which everything happens ten times as fast; shared, so endpoints have names of their own."""
    with Simulator(nodes=[gpu_node("gpu-a"), gpu_node("gpu-b"), cpu_node("cpu-a")], speed=10.0) as sim:
        yield sim


@pytest.fixture
def quick(cast: Cast, quick_sim: Simulator) -> Iterator[Cluster]:
    """A place on it, with what a connection test would have found there."""
    place = make_kubernetes_place(quick_sim)
    KubernetesAccess.objects.filter(cluster=place).update(capabilities=CAPABILITIES)
    yield place
    for fault in list(quick_sim.app.faults):
        fault.remove()
