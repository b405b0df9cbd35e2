"""Real clients work on the simulated Kubernetes API unchanged: kubectl, and the official client for Python."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node

Kubectl = Callable[..., str]
DEPLOYMENT = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "demo"},
    "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"test.kubelet/log": "hello from the pod"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulator]:
    with Simulator([gpu_node("gpu-a"), cpu_node("cpu-a")], speed=5.0) as simulator:
        yield simulator


@pytest.fixture
def kubectl(cluster: Simulator, tmp_path: Path) -> Kubectl:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(cluster.kubeconfig())

    def run(*words: str, stdin: str = "", fails: bool = False) -> str:
        command = [program, f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_kubectl_takes_a_deployment_through_its_life(kubectl: Kubectl) -> None:
    manifest = yaml.safe_dump(DEPLOYMENT)
    kubectl("create", "namespace", "demo")
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=manifest)
    assert "successfully rolled out" in kubectl("-n", "demo", "rollout", "status", "deployment/web", "--timeout=30s")
    assert "condition met" in kubectl(
        "-n", "demo", "wait", "--for=condition=Ready", "pod", "-l", "app=web", "--timeout=30s"
    )
    assert "2/2" in kubectl("-n", "demo", "get", "deployment", "web")
    described = kubectl("-n", "demo", "describe", "deployment", "web")
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in described
    assert "ScalingReplicaSet" in described
    assert "hello from the pod" in kubectl("-n", "demo", "logs", "deployment/web")
    assert kubectl("-n", "demo", "diff", "--server-side", "-f", "-", stdin=manifest) == ""
    kubectl("-n", "demo", "scale", "deployment", "web", "--replicas=1")
    assert "conflict with" in kubectl("apply", "--server-side", "-f", "-", stdin=manifest, fails=True)
    assert "deleted" in kubectl("-n", "demo", "delete", "deployment", "web")
    kubectl("delete", "namespace", "demo", "--timeout=30s")
    assert "NotFound" in kubectl("get", "namespace", "demo", fails=True)


def test_kubectl_knows_kinds_of_operators(kubectl: Kubectl) -> None:
    assert "vllm" in kubectl("api-resources", "--api-group=training.distributed-inference.io")
    assert "replicas" in kubectl("explain", "vllmcluster.spec")
    wrong = yaml.safe_dump({
        "apiVersion": "training.distributed-inference.io/v1alpha1", "kind": "VLLMCluster",
        "metadata": {"name": "a", "namespace": "default"}, "spec": {"model": {"modelPath": "org/m"}, "replica": 1},
    })  # fmt: skip
    assert 'unknown field "spec.replica"' in kubectl("create", "-f", "-", stdin=wrong, fails=True)


def test_kubectl_sees_why_a_pod_does_not_start(cluster: Simulator, kubectl: Kubectl) -> None:
    rule = cluster.pods_fail(namespace="default", name="broken", as_="ImagePullBackOff")
    kubectl("run", "broken", "--image=nowhere/none:1", "--restart=Never")
    kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff", "pod/broken",
            "--timeout=30s")  # fmt: skip
    assert "ImagePullBackOff" in kubectl("get", "pod", "broken")
    assert "Failed" in kubectl("describe", "pod", "broken")
    rule.remove()
    kubectl("delete", "pod", "broken", "--timeout=30s")


@pytest.fixture
def api(cluster: Simulator, tmp_path: Path) -> Iterator[client.ApiClient]:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(cluster.kubeconfig(client_certificate=True))
    found = config.new_client_from_config(str(kubeconfig))
    yield found
    found.close()


def test_python_client_writes_reads_and_watches(api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    version = core.list_namespaced_config_map("default").metadata.resource_version
    core.create_namespaced_config_map("default", {"metadata": {"name": "seen"}, "data": {"k": "v"}})
    core.patch_namespaced_config_map("seen", "default", {"data": {"k": "w"}})
    assert core.read_namespaced_config_map("seen", "default").data == {"k": "w"}
    core.delete_namespaced_config_map("seen", "default")
    with pytest.raises(ApiException) as refused:
        core.read_namespaced_config_map("seen", "default")
    assert refused.value.status == 404
    stream = watch.Watch().stream(
        core.list_namespaced_config_map, "default", resource_version=version, field_selector="metadata.name=seen",
        timeout_seconds=5,
    )  # fmt: skip
    assert [event["type"] for event in stream] == ["ADDED", "MODIFIED", "DELETED"]


def test_python_client_is_who_its_certificate_says(api: client.ApiClient) -> None:
    review = client.AuthenticationV1Api(api).create_self_subject_review({})
    assert review.status.user_info.username == "kubernetes-admin"


def test_runs_as_a_program_until_it_is_told_to_stop(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    command = [sys.executable, "-m", "tests.simulators.kubernetes", "--kubeconfig", str(kubeconfig), "--gpu-nodes", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith("ready: https://127.0.0.1:")
        api_client = config.new_client_from_config(str(kubeconfig))
        nodes = client.CoreV1Api(api_client).list_node(label_selector="nvidia.com/gpu.present=true").items
        api_client.close()
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0
    assert len(nodes) == 2
