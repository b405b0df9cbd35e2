"""The played cluster behind the simulated API: workloads, failures, operators, proxies. All through its real HTTPS."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import ssl
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

from tests.simulators.kubernetes.client import Client, Refused
from tests.simulators.kubernetes.controllers.lookups import amount, amount_text, selects
from tests.simulators.kubernetes.controllers.operators.routing import Asked, find
from tests.simulators.kubernetes.controllers.placement import refusal_message, tolerated
from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node
from tests.simulators.openai_backend import OpenAIBackend

APPS, KEDA, LWS, DATA = "apps/v1", "keda.sh/v1alpha1", "leaderworkerset.x-k8s.io/v1", "dataset.baizeai.io/v1alpha1"
GATEWAY, HYPERPOD = "gateway.networking.k8s.io/v1", "inference.sagemaker.aws.amazon.com/v1"
CHAT = {"model": "llama", "messages": []}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def sim(engine: OpenAIBackend) -> Iterator[Simulator]:
    nodes = [gpu_node("gpu-a"), gpu_node("gpu-b"), gpu_node("gpu-c"), cpu_node("cpu-a")]
    with Simulator(nodes, engine_url=engine.url, speed=20.0) as simulator:
        yield simulator


@pytest.fixture
def client(sim: Simulator) -> Client:
    return sim.client()


@pytest.fixture
def namespace(client: Client) -> Iterator[str]:
    name = f"played-{next(numbers)}"
    client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    until(lambda: client.get("v1", "serviceaccounts", name, "default"))
    yield name
    client.delete("v1", "namespaces", name=name)


def until(look: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `look` finds, once that is something; a 404 or a missing field is nothing yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = look()
        except (Refused, KeyError, IndexError) as error:
            found, told = None, error
        else:
            told = None
        if found:
            return found
        assert time.monotonic() < end, f"waited in vain: {told or found!r}"
        time.sleep(0.02)


def template(app: str, gpus: int = 0, **annotations: str) -> dict[str, Any]:
    limits = {"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}} if gpus else {}
    spec = {"containers": [{"name": "c", "image": "vllm/vllm-openai:v0.9.0", **limits}], "terminationGracePeriodSeconds": 0}
    return {"metadata": {"labels": {"app": app}, "annotations": annotations}, "spec": spec}


def stateful_set(namespace: str, replicas: int = 1, gpus: int = 0, **annotations: str) -> dict[str, Any]:
    spec = {
        "serviceName": "a", "replicas": replicas, "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {"app": "a"}}, "template": template("a", gpus, **annotations),
    }  # fmt: skip
    return {"apiVersion": APPS, "kind": "StatefulSet", "metadata": {"name": "a", "namespace": namespace}, "spec": spec}


def service(namespace: str, name: str = "a") -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 8000}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def container(client: Client, namespace: str, pod: str = "a-0") -> dict[str, Any]:
    found: dict[str, Any] = client.get("v1", "pods", namespace, pod)["status"]["containerStatuses"][0]
    return found


def ready(client: Client, namespace: str, count: int) -> bool:
    return bool(client.get(APPS, "statefulsets", namespace, "a")["status"].get("readyReplicas", 0) == count)


@pytest.mark.parametrize(("text", "value"), [
    ("500m", Fraction(1, 2)), ("1Ki", Fraction(1024)), ("2G", Fraction(2 * 10**9)), ("1e3", Fraction(1000)), (8, Fraction(8)),
])  # fmt: skip
def test_reads_quantities(text: str | int, value: Fraction) -> None:
    assert amount(text) == value


def test_writes_quantities_like_the_limit_they_belong_to() -> None:
    assert (amount_text(Fraction(2**31), "4Gi"), amount_text(Fraction(1, 2)), amount_text(Fraction(3))) == ("2Gi", "500m", "3")


@pytest.mark.parametrize(("expression", "fits"), [
    ({"operator": "In", "values": ["b"]}, True), ({"operator": "NotIn", "values": ["b"]}, False),
    ({"operator": "Exists"}, True), ({"operator": "DoesNotExist"}, False),
])  # fmt: skip
def test_selects_by_expressions(expression: dict[str, Any], fits: bool) -> None:
    assert selects({"matchExpressions": [{"key": "a", **expression}]}, {"a": "b"}) is fits


@pytest.mark.parametrize(("toleration", "fits"), [
    ({"operator": "Exists"}, True), ({"key": "k", "operator": "Exists"}, True), ({"key": "k", "value": "v"}, True),
    ({"key": "k", "value": "other"}, False), ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
])  # fmt: skip
def test_tolerates_taints(toleration: dict[str, Any], fits: bool) -> None:
    assert tolerated(toleration, {"key": "k", "value": "v", "effect": "NoSchedule"}) is fits


def test_words_a_refusal_as_the_scheduler_does() -> None:
    assert refusal_message({"Insufficient nvidia.com/gpu": 1, "Too many pods": 2}, 1, 3) == (
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 Too many pods. no new claims to deallocate, preemption: "
        "0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    )


@pytest.mark.parametrize(("host", "path", "wanted"), [
    ("llama.example.com", "/v1/models", "exact-host"), ("llama.example.com", "/v1/chat/x", "longest"),
    ("other.example.com", "/v1/models", "wildcard"), ("elsewhere.org", "/v1", None), ("llama.example.com", "/v12", None),
])  # fmt: skip
def test_the_most_exact_route_takes_a_request(host: str, path: str, wanted: str | None) -> None:
    def route(name: str, hosts: list[str], prefix: str) -> dict[str, Any]:
        match = {"path": {"type": "PathPrefix", "value": prefix}}
        metadata = {"name": name, "namespace": "n", "creationTimestamp": "2026-01-01T00:00:00Z"}
        return {"metadata": metadata, "spec": {"hostnames": hosts, "rules": [{"matches": [match]}]}}

    routes = [route("wildcard", ["*.example.com"], "/v1"), route("exact-host", ["llama.example.com"], "/v1"),
              route("longest", ["llama.example.com"], "/v1/chat")]  # fmt: skip
    found = find(routes, Asked(host, "GET", path, "", {}))
    assert (found.route["metadata"]["name"] if found else None) == wanted


def test_a_crash_goes_on_and_ends_with_its_rule(sim: Simulator, client: Client, namespace: str) -> None:
    client.create("statefulsets", stateful_set(namespace))
    until(lambda: ready(client, namespace, 1))
    rule = sim.pods_fail(namespace, "a-*", "crash:137", log="loading", previous_log="CUDA out of memory")
    until(lambda: container(client, namespace)["restartCount"] >= 2)
    assert container(client, namespace)["lastState"]["terminated"]["reason"] == "OOMKilled"
    log = client.path("v1", "pods", namespace, "a-0") + "/log"
    assert client.call("GET", log, previous="true") == "CUDA out of memory\n"
    reasons = {event["reason"] for event in client.list("v1", "events", namespace, fieldSelector="involvedObject.name=a-0")}
    assert "BackOff" in reasons
    rule.remove()
    until(lambda: ready(client, namespace, 1))


@pytest.mark.parametrize(("as_", "reason"), [
    ("ImagePullBackOff", "ImagePullBackOff"), ("CreateContainerConfigError", "CreateContainerConfigError"),
    ("pending", "ContainerCreating"),
])  # fmt: skip
def test_a_rule_keeps_a_pod_waiting(sim: Simulator, client: Client, namespace: str, as_: str, reason: str) -> None:
    rule = sim.pods_fail(namespace, as_=as_)
    client.create("statefulsets", stateful_set(namespace))
    until(lambda: container(client, namespace)["state"]["waiting"]["reason"] == reason)
    rule.remove()
    until(lambda: ready(client, namespace, 1))


@pytest.mark.parametrize("as_", ["unschedulable", "pvc"])
def test_a_rule_keeps_a_pod_from_every_node(sim: Simulator, client: Client, namespace: str, as_: str) -> None:
    rule = sim.pods_fail(namespace, as_=as_)
    client.create("statefulsets", stateful_set(namespace))
    until(lambda: client.get("v1", "pods", namespace, "a-0")["status"]["conditions"][0]["reason"] == "Unschedulable")
    rule.remove()
    until(lambda: ready(client, namespace, 1))


def test_a_lost_node_keeps_its_pods_until_it_is_back() -> None:
    with Simulator([gpu_node("gpu-a")], crds=None, speed=200.0) as fast:
        client, wanted = fast.client(), stateful_set("default")
        wanted["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 30
        until(lambda: client.get("v1", "serviceaccounts", "default", "default"))
        client.create("statefulsets", wanted)
        until(lambda: ready(client, "default", 1))
        before = client.get("v1", "pods", "default", "a-0")["metadata"]["uid"]
        client.patch("v1", "nodes", "", "gpu-a", {"metadata": {"annotations": {"test.kubelet/down": "true"}}})
        until(lambda: client.get("v1", "pods", "default", "a-0")["metadata"]["deletionTimestamp"])
        time.sleep(0.5)
        assert client.get("v1", "pods", "default", "a-0")["metadata"]["uid"] == before, "nobody confirms that it stopped"
        client.patch("v1", "nodes", "", "gpu-a", {"metadata": {"annotations": {"test.kubelet/down": None}}})
        until(lambda: ready(client, "default", 1) and client.get("v1", "pods", "default", "a-0")["metadata"]["uid"] != before)


def test_a_log_is_followed_until_the_pod_ends(sim: Simulator, client: Client, namespace: str) -> None:
    client.create("statefulsets", stateful_set(namespace))
    until(lambda: ready(client, namespace, 1))
    with stream(sim, client.path("v1", "pods", namespace, "a-0") + "/log?follow=true") as answer:
        sim.call(sim.controllers.logs.write, namespace, "a-0", "Loading weights\nApplication startup complete.")
        assert answer.readline() + answer.readline() == b"Loading weights\nApplication startup complete.\n"
        client.delete(APPS, "statefulsets", namespace, "a")
        assert answer.read() == b""


class stream:  # noqa: N801 - reads as a word where it is used
    """An answer that is still open."""

    def __init__(self, sim: Simulator, path: str) -> None:
        host, _, port = sim.url.removeprefix("https://").partition(":")
        context = ssl.create_default_context(cadata=sim.ca_pem)
        self._connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {sim.admin_token}"})

    def __enter__(self) -> http.client.HTTPResponse:
        return self._connection.getresponse()

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def test_a_service_is_proxied_to_the_engine_of_a_ready_pod(client: Client, engine: OpenAIBackend, namespace: str) -> None:
    client.create("services", service(namespace))
    path = f"/api/v1/namespaces/{namespace}/services/http:a:8000/proxy/v1/chat/completions"
    with pytest.raises(Refused, match="no endpoints available"):
        client.call("POST", path, CHAT)
    client.create("statefulsets", stateful_set(namespace))
    until(lambda: ready(client, namespace, 1))
    assert client.call("POST", path, {**CHAT, "stream": True}).endswith("data: [DONE]\n\n")
    assert engine.requests[-1].path == "/v1/chat/completions"
    assert engine.requests[-1].header("authorization") is None, "the API server keeps its caller's token"


def test_a_gateway_listens_and_passes_requests_on_by_its_routes(client: Client, engine: OpenAIBackend, namespace: str) -> None:
    client.create("services", service(namespace))
    client.create("statefulsets", stateful_set(namespace))
    until(lambda: ready(client, namespace, 1))
    spec: dict[str, Any] = {"controllerName": "simulator.example.com/gateway"}
    class_ = {"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": namespace}, "spec": spec}
    client.create("gatewayclasses", class_)
    spec = {"gatewayClassName": namespace, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    metadata = {"name": "gw", "namespace": namespace}
    client.create("gateways", {"apiVersion": GATEWAY, "kind": "Gateway", "metadata": metadata, "spec": spec})
    header = {"set": [{"name": "Authorization", "value": "Bearer of-the-engine"}]}
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}], "backendRefs": [{"name": "a", "port": 8000}],
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": header}]}  # fmt: skip
    spec = {"parentRefs": [{"name": "gw"}], "hostnames": ["llama.example.com"], "rules": [rule]}
    route = {"apiVersion": GATEWAY, "kind": "HTTPRoute", "metadata": {**metadata, "name": "r"}, "spec": spec}
    client.create("httproutes", route)
    parent = until(lambda: client.get(GATEWAY, "httproutes", namespace, "r")["status"]["parents"][0])
    assert {each["type"]: each["status"] for each in parent["conditions"]} == {"Accepted": "True", "ResolvedRefs": "True"}
    address = until(lambda: client.get(GATEWAY, "gateways", namespace, "gw")["metadata"]["annotations"]["simulator/address"])
    until(lambda: client.get(GATEWAY, "gateways", namespace, "gw")["status"]["listeners"][0]["attachedRoutes"] == 1)

    def ask(path: str, host: str) -> int:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
        connection.request("POST", path, json.dumps(CHAT), {"Host": host})
        status = connection.getresponse().status
        connection.close()
        return status

    asked = [("/v1/chat", "llama.example.com"), ("/v1/chat", "other.org"), ("/x", "llama.example.com")]
    assert [ask(*each) for each in asked] == [200, 404, 404]
    assert engine.requests[-1].header("authorization") == "Bearer of-the-engine"


def test_keda_scales_by_the_metric_down_to_nothing(sim: Simulator, client: Client, namespace: str) -> None:
    client.create("statefulsets", stateful_set(namespace))
    trigger = {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus", "query": "q", "threshold": "5"}}
    target = {"kind": "StatefulSet", "name": "a"}
    spec = {"scaleTargetRef": target, "maxReplicaCount": 3, "cooldownPeriod": 10, "triggers": [trigger]}
    metadata = {"name": "so", "namespace": namespace}
    client.create("scaledobjects", {"apiVersion": KEDA, "kind": "ScaledObject", "metadata": metadata, "spec": spec})
    until(lambda: client.get("autoscaling/v2", "horizontalpodautoscalers", namespace, "keda-hpa-so"))
    set_metric = sim.controllers.operators["keda"].set_metric
    for value, count in ((12, 3), (0, 0), (1, 1), (99, 3)):
        sim.call(set_metric, namespace, "so", value)
        until(lambda count=count: client.get(APPS, "statefulsets", namespace, "a")["spec"]["replicas"] == count)
    until(lambda: ready(client, namespace, 3))
    conditions = client.get(KEDA, "scaledobjects", namespace, "so")["status"]["conditions"]
    assert [each["type"] for each in conditions if each["status"] == "True"] == ["Ready", "Active"]


def test_a_group_of_pods_is_made_and_made_again_whole(client: Client, namespace: str) -> None:
    spec = {"replicas": 2, "leaderWorkerTemplate": {"size": 2, "workerTemplate": template("big", gpus=4)}}
    metadata = {"name": "big", "namespace": namespace}
    client.create("leaderworkersets", {"apiVersion": LWS, "kind": "LeaderWorkerSet", "metadata": metadata, "spec": spec})

    def groups() -> bool:
        return bool(client.get(LWS, "leaderworkersets", namespace, "big")["status"]["readyReplicas"] == 2)

    until(groups)
    worker = client.get("v1", "pods", namespace, "big-1-1")
    environment = {each["name"]: each["value"] for each in worker["spec"]["containers"][0]["env"]}
    assert environment == {"LWS_LEADER_ADDRESS": f"big-1.big.{namespace}", "LWS_GROUP_SIZE": "2", "LWS_WORKER_INDEX": "1"}
    leader = client.get("v1", "pods", namespace, "big-1")["metadata"]["uid"]
    client.delete("v1", "pods", namespace, "big-1-1")
    until(lambda: client.get("v1", "pods", namespace, "big-1")["metadata"]["uid"] != leader)
    until(groups)


@pytest.mark.parametrize(("fails", "phase"), [(False, "READY"), (True, "FAILED")])
def test_a_dataset_is_loaded_by_its_job(sim: Simulator, client: Client, namespace: str, fails: bool, phase: str) -> None:
    rule = sim.pods_fail(namespace, "dataset-*", "fail:1") if fails else None
    spec = {
        "source": {"type": "HUGGING_FACE", "uri": "huggingface://meta-llama/Llama-3-8B"},
        "volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "50Gi"}}}},
    }
    metadata = {"name": "llama", "namespace": namespace}
    client.create("datasets", {"apiVersion": DATA, "kind": "Dataset", "metadata": metadata, "spec": spec})
    status = until(lambda: (found := client.get(DATA, "datasets", namespace, "llama")["status"])["phase"] == phase and found)
    assert (status["pvcName"], status["syncRoundStatuses"][0]["succeed"]) == ("llama", not fails)
    if rule:
        rule.remove()


def test_an_endpoint_of_hyperpod_is_deployed_and_deleted(client: Client, namespace: str) -> None:
    worker = {
        "image": "vllm:1", "modelInvocationPort": {"containerPort": 8000, "name": "http"},
        "modelVolumeMount": {"name": "w", "mountPath": "/opt/ml/model"}, "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }  # fmt: skip
    source = {"modelSourceType": "s3", "modelLocation": "m", "s3Storage": {"bucketName": "my-bucket", "region": "us-west-2"}}
    spec = {"modelName": "llama", "endpointName": "llama", "replicas": 1, "modelSourceConfig": source, "worker": worker}
    metadata = {"name": "llama", "namespace": namespace}
    config = {"apiVersion": HYPERPOD, "kind": "InferenceEndpointConfig", "metadata": metadata, "spec": spec}
    client.create("inferenceendpointconfigs", config)

    def status() -> dict[str, Any]:
        found: dict[str, Any] = client.get(HYPERPOD, "inferenceendpointconfigs", namespace, "llama")["status"]
        return found

    until(lambda: status()["state"] == "DeploymentComplete")
    assert status()["endpoints"]["sagemaker"]["state"] == "CreationCompleted"
    client.delete(HYPERPOD, "inferenceendpointconfigs", namespace, "llama")
    until(lambda: not client.list(HYPERPOD, "inferenceendpointconfigs", namespace))
    assert client.list(APPS, "deployments", namespace) == []


def test_hundreds_of_endpoints_become_ready_and_then_cost_nothing() -> None:
    with Simulator([gpu_node(f"gpu-{number}") for number in range(38)], crds=None, speed=20.0) as many:
        client, count = many.client(), 300
        for number in range(count):
            wanted = stateful_set("default", gpus=1)
            wanted["metadata"]["name"] = f"e{number}"
            many.call(many.controllers.hands.create, "StatefulSet", wanted)
        until(lambda: len(client.list("v1", "pods", "default", fieldSelector="status.phase=Running")) == count, 90)
        time.sleep(0.5)
        before = os.times()
        time.sleep(2)
        after = os.times()
    assert after.user + after.system - before.user - before.system < 0.5
