"""Kubernetes places over the simulator: `kube_sim` for a whole session, a place with its access row for one test.

With KUBE_CONFORMANCE_KUBECONFIG (`make test-kube`) `kube_sim` is the real cluster of that file, and only tests that use
it run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters.drivers import kube
from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from tests.real_cluster import VARIABLE, RealCluster
from tests.simulators.kubernetes.controllers import cpu_node, gpu_node
from tests.simulators.kubernetes.server import Simulator


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_simulator: can't run against a real cluster, whose pods nobody plays")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if VARIABLE not in os.environ:
        return
    used = {item: set(getattr(item, "fixturenames", ())) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not used[item] & {"kube_sim", "quick_sim"}])
    items[:] = [item for item in items if used[item] & {"kube_sim", "quick_sim"}]
    for item in items:
        if "quick_sim" in used[item] or item.get_closest_marker("needs_simulator"):
            item.add_marker(pytest.mark.skip(reason="needs the simulated cluster"))


@pytest.fixture(scope="session")
def kube_sim() -> Iterator[Simulator | RealCluster]:
    """Two nodes with 8 GPUs and one without; shared, so each test uses namespaces of its own."""
    if VARIABLE in os.environ:
        with RealCluster(Path(os.environ[VARIABLE])) as cluster:
            yield cluster
        return
    with Simulator(nodes=[gpu_node("gpu-a"), gpu_node("gpu-b"), cpu_node("cpu-a")]) as sim:
        yield sim


def make_kubernetes_place(sim: Simulator | RealCluster, name: str = "kube", **values: Any) -> Cluster:
    """A place that reaches `sim` with the administrator's token; `values` are of its access row."""
    cluster = Cluster.objects.create(name=name, kind=ClusterKind.KUBERNETES)
    access = KubernetesAccess(cluster=cluster, **{"server": sim.url, "ca": sim.ca_pem, **values})
    access.put_secret("token", sim.admin_token)
    access.save()
    kube.forget(cluster)  # pk numbers come again after a roll-back
    return cluster
