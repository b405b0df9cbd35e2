"""Kubernetes places over the simulator: `kube_sim` for a whole session, a place with its access row for one test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clusters.drivers import kube
from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from tests.simulators.kubernetes.controllers import cpu_node, gpu_node
from tests.simulators.kubernetes.server import Simulator


@pytest.fixture(scope="session")
def kube_sim() -> Iterator[Simulator]:
    """Two nodes with 8 GPUs and one without; shared, so each test uses namespaces of its own."""
    with Simulator(nodes=[gpu_node("gpu-a"), gpu_node("gpu-b"), cpu_node("cpu-a")]) as sim:
        yield sim


def make_kubernetes_place(sim: Simulator, name: str = "kube", **values: Any) -> Cluster:
    """A place that reaches `sim` with the administrator's token; `values` are of its access row."""
    cluster = Cluster.objects.create(name=name, kind=ClusterKind.KUBERNETES)
    access = KubernetesAccess(cluster=cluster, **{"server": sim.url, "ca": sim.ca_pem, **values})
    access.put_secret("token", sim.admin_token)
    access.save()
    kube.forget(cluster)  # pk numbers come again after a roll-back
    return cluster
