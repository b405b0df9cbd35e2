"""The guide from end to end: `kubectl apply` of both samples, and the portal as their controller on a simulated cluster."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.vllmclusters import follow_cluster
from tests.cast import Cast
from tests.endpoints.test_vllmcluster_read import SAMPLES
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes import crds
from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]
PATIENCE = 60.0
CRD = Path(__file__).parents[2] / "deploy/crds/vllmclusters.yaml"
Kubectl = Callable[..., str]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A cluster that has all but the VLLMCluster, in which everything happens ten times as fast."""
    others = [name for name in crds.names() if not name.startswith("vllmclusters")]
    with Simulator(nodes=[gpu_node("gpu-a"), cpu_node("cpu-a")], crds=others, speed=10.0) as found:
        yield found


@pytest.fixture
def kubectl(sim: Simulator, tmp_path: Path) -> Kubectl:
    config = tmp_path / "kubeconfig"
    config.write_text(sim.kubeconfig())
    config.chmod(0o600)

    def run(*words: str | Path) -> str:
        command = ["kubectl", "--kubeconfig", str(config), "--cache-dir", str(tmp_path / "cache"), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def place(cast: Cast, sim: Simulator, kubectl: Kubectl) -> Cluster:
    """The CRD of `deploy/` is installed, and the portal follows the cluster's objects."""
    call_command("load_catalogue", verbosity=0)
    kubectl("apply", "--server-side", "-f", CRD)
    kubectl("wait", "--for=condition=Established", "crd/vllmclusters.training.distributed-inference.io", "--timeout=30s")
    kubectl("label", "node", "gpu-a", "accelerator=nvidia-tesla-v100")
    return make_kubernetes_place(sim, imports_to=cast.alpha, capabilities={"keda": {"found": True}})


def until(place: Cluster, holds: Callable[[], Any]) -> None:
    """Let the controller and the keeper come by until it holds."""
    begun = time.monotonic()
    while not holds():
        left = list(Endpoint.objects.values_list("name", "status", "cause", "message", "last_error"))
        assert time.monotonic() - begun < PATIENCE, left
        follow_cluster(place)
        for pk in Endpoint.objects.values_list("pk", flat=True):
            services.reconcile(pk)
        time.sleep(0.05)


def rows(text: str) -> dict[str, list[str]]:
    """A table of kubectl's by its first column."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:]}


def test_both_samples_of_the_guide_come_into_service_and_go(cast: Cast, place: Cluster, kubectl: Kubectl) -> None:
    for name in ("basic", "advanced"):
        kubectl("apply", "-f", SAMPLES / f"vllmcluster-{name}.yaml")
    until(place, lambda: all(cells[1] == "Ready" for cells in rows(kubectl("get", "vllmclusters")).values())
          and Endpoint.objects.filter(status="INSERVICE").count() == 2)

    table = kubectl("get", "vllmclusters")
    assert table.split()[:6] == ["NAME", "MODEL", "PHASE", "DESIRED", "READY", "AGE"]
    assert rows(table)["my-vllm-cluster"][:4] == ["microsoft/DialoGPT-medium", "Ready", "1", "1"]
    assert rows(table)["advanced-vllm-cluster"][1] == "Ready"
    described = kubectl("describe", "vllmcluster", "advanced-vllm-cluster")
    assert "vllm_request_queue_size" in described  # why the metric is another now, in the object's own conditions
    assert set(Endpoint.objects.values_list("name", "workspace__slug")) == {
        ("my-vllm-cluster", "alpha"), ("advanced-vllm-cluster", "alpha")}

    made = kubectl("get", "statefulset,service,scaledobject", "-l", "app=vllm-cluster", "-o", "name").split()
    assert {f"statefulset.apps/{name}" for name in ("my-vllm-cluster", "advanced-vllm-cluster")} <= set(made)
    assert {"service/my-vllm-cluster", "service/advanced-vllm-cluster"} <= set(made)
    assert "scaledobject.keda.sh/advanced-vllm-cluster-scaler" in made
    assert "scaledobject.keda.sh/my-vllm-cluster-scaler" not in made
    pods = kubectl("get", "pods", "-l", "app=vllm-cluster,cluster=my-vllm-cluster", "-o", "name").split()
    assert pods == ["pod/my-vllm-cluster-0"]

    for name in ("my-vllm-cluster", "advanced-vllm-cluster"):
        kubectl("delete", "vllmcluster", name)
    until(place, lambda: not Endpoint.objects.exists())
    left = kubectl("get", "statefulset,service,scaledobject,networkpolicy", "-l", "app=vllm-cluster", "-o", "name")
    assert left.strip() == ""


def test_the_guides_own_scaled_object_scales_the_object(cast: Cast, place: Cluster, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", SAMPLES / "vllmcluster-basic.yaml")
    until(place, lambda: Endpoint.objects.filter(status="INSERVICE").exists())
    kubectl("scale", "vllmcluster/my-vllm-cluster", "--replicas=2")  # by the same subresource as KEDA's
    until(place, lambda: rows(kubectl("get", "vllmclusters"))["my-vllm-cluster"][2:4] == ["2", "2"])
    pods = kubectl("get", "pods", "-l", "app=vllm-cluster,cluster=my-vllm-cluster", "-o", "name").split()
    assert sorted(pods) == ["pod/my-vllm-cluster-0", "pod/my-vllm-cluster-1"]
    kubectl("scale", "vllmcluster/my-vllm-cluster", "--replicas=0")
    until(place, lambda: not kubectl("get", "pods", "-l", "cluster=my-vllm-cluster", "-o", "name").strip())
    until(place, lambda: Endpoint.objects.get().status == "INSERVICE")
    assert "Scaled to zero" in Endpoint.objects.get().message
