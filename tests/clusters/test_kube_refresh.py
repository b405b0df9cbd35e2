"""The inventory of a Kubernetes place: rows that follow the cluster, and what a failed look must leave alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters import services
from clusters.drivers.kube import kube_for
from clusters.models import Accelerator, Cluster, KubernetesAccess, Node
from clusters.namespaces import ENDPOINT_UID, MANAGED_BY, MANAGER
from clusters.services.inventory_kube import look
from clusters.states import Reach
from clusters.units import GIB
from tests.clusters.scripted_api import silent_server
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.controllers import cpu_node, gpu_node
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(nodes=[gpu_node("gpu-a"), cpu_node("cpu-a")]) as simulator:
        yield simulator


@pytest.fixture
def place(sim: Simulator) -> Cluster:
    return make_kubernetes_place(sim)


def pod(name: str, node: str, gpus: int, labels: dict[str, str] | None = None) -> dict[str, Any]:
    amounts = {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": str(gpus)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
            "spec": {"nodeName": node, "containers": [
                {"name": "c", "image": "registry.example.com/c:1", "resources": {"requests": amounts, "limits": amounts}}]}}


def access_of(place: Cluster) -> KubernetesAccess:
    return KubernetesAccess.objects.get(cluster=place)


def test_nodes_and_their_devices_become_rows(place: Cluster) -> None:
    assert services.refresh_inventory(place)
    gpu, cpu = Node.objects.get(name="gpu-a"), Node.objects.get(name="cpu-a")
    assert (gpu.ready, gpu.schedulable, gpu.gpus, gpu.cpu_millis, gpu.memory_bytes) == (True, True, 8, 96_000, 1024 * GIB)
    assert set(gpu.accelerators.values_list("model", "memory_bytes")) == {("NVIDIA-H200", 143771 * 1024**2)}
    assert sorted(gpu.accelerators.values_list("index", flat=True)) == list(range(8))
    assert (cpu.gpus, cpu.accelerators.count()) == (0, 0)
    access = access_of(place)
    assert (access.reach, access.message, access.look_until) == (Reach.OK, "", None)
    assert access.inventory_at is not None


def test_what_pods_ask_for_is_summed_ours_apart(place: Cluster) -> None:
    kube = kube_for(place)
    kube.create(pod("foreign", "gpu-a", 2))
    kube.create(pod("ours", "gpu-a", 3, {MANAGED_BY: MANAGER, ENDPOINT_UID: "0199"}))
    services.refresh_inventory(place)
    row = Node.objects.get(name="gpu-a")
    assert (row.gpus_requested, row.gpus_requested_by_us) == (5, 3)
    assert (row.memory_requested_bytes, row.memory_requested_by_us, row.memory_used_by_others) == (8 * GIB, 4 * GIB, 4 * GIB)
    assert row.cpu_requested_millis == 4000


def test_a_node_that_left_goes_and_one_that_changed_follows(place: Cluster, sim: Simulator) -> None:
    services.refresh_inventory(place)
    kept = Node.objects.get(name="gpu-a").pk
    sim.cluster.delete("Node", "", "cpu-a")
    found = look(kube_for(place))
    assert [facts.name for facts in found] == ["gpu-a"]
    Node.objects.filter(pk=kept).update(gpus=1, message="old")
    Accelerator.objects.filter(node=kept, index__gte=6).delete()
    Accelerator.objects.filter(node=kept, index=0).update(model="other")
    Accelerator.objects.create(node_id=kept, index=9, model="gone", memory_bytes=1)
    services.refresh_inventory(place)
    row = Node.objects.get()
    assert (row.pk, row.gpus, row.message) == (kept, 8, "")
    assert [device.model for device in row.accelerators.order_by("index")] == ["NVIDIA-H200"] * 8


def test_a_second_look_at_the_same_cluster_takes_nine_queries(place: Cluster) -> None:
    services.refresh_inventory(place)
    with CaptureQueriesContext(connection) as captured:
        services.refresh_inventory(place)
    assert len([query for query in captured if "SAVEPOINT" not in query["sql"]]) == 9


def test_an_empty_cluster_takes_no_row_away(place: Cluster, sim: Simulator) -> None:
    services.refresh_inventory(place)
    for name in ("gpu-a", "cpu-a"):
        sim.cluster.delete("Node", "", name)
    assert look(kube_for(place)) == []
    services.refresh_inventory(place)
    assert Node.objects.count() == 2


def test_a_cluster_that_is_away_keeps_its_rows_and_says_since_when(place: Cluster, sim: Simulator) -> None:
    services.refresh_inventory(place)
    before = access_of(place).inventory_at
    sim.stop()
    try:
        services.refresh_inventory(place)
        access = access_of(place)
        assert (access.reach, access.inventory_at, access.look_until) == (Reach.UNREACHABLE, before, None)
        assert access.message
        since = access.reach_since
        services.refresh_inventory(place)
        assert access_of(place).reach_since == since
        assert Node.objects.count() == 2
    finally:
        sim.start()
    services.refresh_inventory(place)
    assert access_of(place).reach == Reach.OK


def test_one_worker_at_a_time_looks_at_a_cluster(place: Cluster) -> None:
    rows = KubernetesAccess.objects.filter(cluster=place)
    rows.update(look_until=timezone.now() + timedelta(seconds=30))
    assert services.refresh_inventory(place) is False
    rows.update(look_until=timezone.now() - timedelta(seconds=1))
    assert services.refresh_inventory(place) is True


def test_a_place_without_a_cluster_behind_it_is_left_alone() -> None:
    assert services.refresh_inventory(Cluster.objects.create(name="hosts", kind="hosts")) is False


@pytest.mark.django_db(transaction=True)
def test_a_cluster_that_hangs_holds_no_other_up(sim: Simulator) -> None:
    """Four threads, as a worker has; the road to one of six clusters takes connections and never answers."""
    done: dict[str, float] = {}

    def look_at(place: Cluster) -> None:
        began = time.monotonic()
        services.refresh_inventory(place)
        done[place.name] = time.monotonic() - began
        connections.close_all()

    with silent_server() as url:
        bad = make_kubernetes_place(sim, "bad", server=url)
        good = [make_kubernetes_place(sim, f"good-{number}") for number in range(5)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(look_at, [bad, *good]))
    assert access_of(bad).reach == Reach.UNREACHABLE
    assert {access_of(place).reach for place in good} == {Reach.OK}
    assert done["bad"] > 2.5
    assert list(done)[-1] == "bad"


def test_the_bell_is_rung_for_connected_places_only(
    sim: Simulator, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_kubernetes_place(sim, "connected")
    KubernetesAccess.objects.create(cluster=Cluster.objects.create(name="bare", kind="kubernetes"))
    monkeypatch.setattr("portal.tenancy.queue._send", lambda *_: None)
    with django_capture_on_commit_callbacks(execute=True) as bells:
        assert services.refresh_inventories() == 1
    assert len(bells) == 1
