"""For the Kubernetes benches: the simulator as a process of its own, on another core than the bench, and its objects."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
SIMULATOR = [sys.executable, "-m", "tests.simulators.kubernetes"]
NAMESPACES = 20


@contextmanager
def simulator(folder: Path, pods: int) -> Iterator[Path]:
    """Starts the simulator with nodes for so many pods; gives the kubeconfig that reaches it."""
    kubeconfig = folder / "kubeconfig"
    words = ["--kubeconfig", str(kubeconfig), "--gpu-nodes", "0", "--cpu-nodes", str(1 + pods // 100)]
    process = subprocess.Popen([*SIMULATOR, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("the simulator did not start")
        share_cores(process.pid)
        use_account(kubeconfig)
        yield kubeconfig
    finally:
        process.terminate()
        process.wait(10)


def share_cores(other: int) -> None:
    """This process on the first core, the other one on the second, as in performance.md."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:1])
        for task in Path(f"/proc/{other}/task").iterdir():  # a process is pinned thread by thread
            os.sched_setaffinity(int(task.name), cores[1:2])


def transport(kubeconfig: Path) -> Any:
    """Our road to that cluster, by the address, CA and token of the kubeconfig."""
    from clusters.drivers.kube import DirectTransport

    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return DirectTransport(cluster["server"], ca=ca, token=user.get("token", ""))


def use_account(kubeconfig: Path) -> None:
    """Put the token of a ServiceAccount into the kubeconfig: one of the size that clusters give out."""
    from clusters.drivers.kube_transport import Budget, Request

    road = transport(kubeconfig)

    def post(path: str, body: dict[str, Any]) -> Any:
        sent = {"content-type": "application/json", "accept": "application/json"}
        answer = road.send(Request("POST", path, {}, sent, json.dumps(body).encode()), Budget())
        assert answer.status == 201, answer.body
        return json.loads(answer.body)

    rbac = "rbac.authorization.k8s.io"
    post("/api/v1/namespaces/default/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount",
                                                        "metadata": {"name": "bench"}})
    post(f"/apis/{rbac}/v1/clusterrolebindings", {
        "apiVersion": f"{rbac}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "bench", "namespace": "default"}]})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    found = post("/api/v1/namespaces/default/serviceaccounts/bench/token", asked)
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"] = {"token": found["status"]["token"]}
    kubeconfig.write_text(yaml.safe_dump(config))


def namespace_of(number: int) -> str:
    return f"ip-bench-{number % NAMESPACES:02}"


def endpoint(number: int) -> dict[str, Any]:
    """An InferenceEndpointConfig as the documents deploy it; about 3 kB with what the API server adds."""
    variables = [{"name": f"OPTION_{index}", "value": f"value-{index}-" + "x" * 24} for index in range(12)]
    return {
        "apiVersion": "inference.sagemaker.aws.amazon.com/v1", "kind": "InferenceEndpointConfig",
        "metadata": {"name": f"bench-{number:05}", "namespace": namespace_of(number), "labels": {
            "app.kubernetes.io/managed-by": "inference-portal", "inference-portal/endpoint": f"{number:032x}"}},
        "spec": {
            "modelName": f"bench-{number}", "instanceType": "ml.g5.8xlarge", "replicas": 1,
            "modelSourceConfig": {"modelSourceType": "s3", "modelLocation": f"models/{number}",
                                  "s3Storage": {"bucketName": "bench", "region": "us-east-1"}},
            "worker": {
                "image": "registry.example.com/vllm@sha256:" + "0" * 64,
                "modelInvocationPort": {"containerPort": 8000, "name": "http"},
                "modelVolumeMount": {"name": "weights", "mountPath": "/opt/ml/model"},
                "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "64Mi"}},
                "environmentVariables": variables,
            },
        },
    }


def fill(kubeconfig: Path, number: int) -> None:
    """So many endpoints in twenty namespaces, and the status that the played operator gives each."""
    from clusters.drivers.kinds import INFERENCE_ENDPOINT_CONFIG
    from clusters.drivers.kube import Kube

    kube = Kube(lambda: transport(kubeconfig))
    for name in sorted({namespace_of(index) for index in range(number)}):
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for index in range(number):
        kube.create(endpoint(index))
    end = time.monotonic() + 120
    while any("DeploymentComplete" not in str(item.get("status")) for item in kube.list(INFERENCE_ENDPOINT_CONFIG, dict).items):
        if time.monotonic() > end:
            raise SystemExit("the simulator's operator did not finish")
        time.sleep(0.5)
    time.sleep(1)
