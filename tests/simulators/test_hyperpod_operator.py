"""The played HyperPod operator: what it refuses, what it makes, and how its status moves (facts.md 1.2 to 1.12)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.kubernetes.client import Client, Refused
from tests.simulators.kubernetes.server import Simulator

VERSION, PLURAL, SYSTEM = "inference.sagemaker.aws.amazon.com/v1", "inferenceendpointconfigs", "hyperpod-inference-system"
Object = dict[str, Any]
T = TypeVar("T")
ROUTED = {"intelligentRoutingSpec": {"enabled": True}}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(nodes=[hyperpod_node("i-0a1b2c3d4e5f67890", instance_type="ml.p5.48xlarge")], speed=10.0) as made:
        yield made


@pytest.fixture
def client(sim: Simulator) -> Client:
    return sim.client()


@pytest.fixture
def operator(sim: Simulator) -> Iterator[Any]:
    found = sim.controllers.operators["hyperpod"]
    yield found
    found.undeletable, found.registers = "", True
    found.failing.clear()
    sim.call(found.wake)


def until(ask: Callable[[], T]) -> T:
    end = time.monotonic() + 20
    while not (found := ask()):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def body(name: str, **spec: Any) -> Object:
    worker = {"image": "vllm:1", "modelInvocationPort": {"containerPort": 8000}, "modelVolumeMount": {"name": "w"},
              "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}}
    source = {"modelSourceType": "s3", "s3Storage": {"bucketName": "my-bucket", "region": "us-west-2"}}
    return {"apiVersion": VERSION, "kind": "InferenceEndpointConfig", "metadata": {"name": name, "namespace": "default"},
            "spec": {"modelName": "m", "modelSourceConfig": source, "worker": worker, **spec}}


def status(client: Client, name: str) -> Object:
    found: Object = client.get(VERSION, PLURAL, "default", name).get("status") or {}
    return found


def complete(client: Client, name: str) -> Object:
    return until(lambda: (seen := status(client, name)).get("state") == "DeploymentComplete" and seen)


@pytest.mark.parametrize(("spec", "word"), [
    ({"instanceType": "ml.p5.48xlarge", "instanceTypes": ["ml.g5.12xlarge"]}, "mutually exclusive"),
    ({"kvCacheSpec": {"enableL1Cache": True}, "worker": {**body("x")["spec"]["worker"], "image": "sglang:1"}}, "vLLM only"),
])
def test_its_webhook_denies_what_it_can_not_run(client: Client, spec: Object, word: str) -> None:
    with pytest.raises(Refused, match=word) as refused:
        client.create(PLURAL, body("denied", **spec))
    assert refused.value.status == 403
    assert "admission webhook" in str(refused.value)


def test_routing_can_not_be_added_or_taken_away(client: Client) -> None:
    client.create(PLURAL, body("plain"))
    with pytest.raises(Refused, match="not supported for existing deployments"):
        client.patch(VERSION, PLURAL, "default", "plain", {"spec": ROUTED})
    client.create(PLURAL, body("routed", **ROUTED))
    with pytest.raises(Refused, match="can't be modified"):
        client.patch(VERSION, PLURAL, "default", "routed", {"spec": {"intelligentRoutingSpec": {"enabled": False}}})


def test_a_name_that_its_own_names_do_not_fit_ends_in_a_failed_deployment(client: Client) -> None:
    client.create(PLURAL, body("a" * 51))
    seen = until(lambda: (seen := status(client, "a" * 51)).get("state") == "DeploymentFailed" and seen)
    assert "no more than 63 characters" in seen["conditions"][0]["message"]
    assert client.list("apps/v1", "deployments", "default", fieldSelector=f"metadata.name={'a' * 51}") == []


def test_routing_brings_a_router_an_ingress_with_an_address_and_a_certificate(client: Client) -> None:
    client.create(PLURAL, body("balanced", **ROUTED))
    seen = complete(client, "balanced")
    assert client.get("apps/v1", "deployments", SYSTEM, "balanced-default-router")
    ingress = until(lambda: (found := client.get("networking.k8s.io/v1", "ingresses", SYSTEM, "alb-balanced-default"))[
        "status"]["loadBalancer"].get("ingress") and found)
    assert ingress["status"]["loadBalancer"]["ingress"][0]["hostname"] == seen["tlsCertificate"]["certificateDomainNames"][0]
    assert seen["tlsCertificate"]["tlsCertificateS3Keys"][0].endswith(".pem")
    client.delete(VERSION, PLURAL, "default", "balanced")
    until(lambda: "alb-balanced-default" not in {
        each["metadata"]["name"] for each in client.list("networking.k8s.io/v1", "ingresses", SYSTEM)})


def test_its_autoscaler_writes_the_objects_replicas(sim: Simulator, client: Client) -> None:
    trigger = {"prometheusTrigger": {"query": "up", "targetValue": 10}}
    client.create(PLURAL, body("scaled", autoScalingSpec={"maxReplicaCount": 3, **trigger}))
    complete(client, "scaled")
    sim.call(sim.controllers.operators["keda"].set_metric, "default", "keda-scaled", 25)
    until(lambda: client.get(VERSION, PLURAL, "default", "scaled")["spec"]["replicas"] == 3)
    until(lambda: status(client, "scaled").get("replicas") == 3)
    client.patch(VERSION, PLURAL, "default", "scaled", {"spec": {"autoScalingSpec": None}})
    until(lambda: not client.list("keda.sh/v1alpha1", "scaledobjects", "default"))


def test_a_registration_takes_its_time_and_a_deletion_can_fail(sim: Simulator, client: Client, operator: Any) -> None:
    operator.registers = False
    client.create(PLURAL, body("slow", endpointName="slow"))
    assert complete(client, "slow")["endpoints"]["sagemaker"] == {"state": "CreationInProgress"}
    operator.registers, operator.undeletable = True, "the load balancer is in use"
    sim.call(operator.wake)
    until(lambda: status(client, "slow")["endpoints"]["sagemaker"]["state"] == "CreationCompleted")
    client.delete(VERSION, PLURAL, "default", "slow")
    until(lambda: status(client, "slow").get("state") == "DeletionFailed")
    operator.undeletable = ""
    sim.call(operator.wake)
    until(lambda: "slow" not in {each["metadata"]["name"] for each in client.list(VERSION, PLURAL, "default")})


def test_its_pods_run_where_the_object_says_with_a_sidecar_beside_the_engine(client: Client) -> None:
    client.create(PLURAL, body("placed", instanceType="ml.g5.12xlarge"))
    pod = until(lambda: client.list("v1", "pods", "default", labelSelector="app=placed"))[0]
    assert [each["name"] for each in pod["spec"]["containers"]] == ["sidecar-reverse-proxy", "placed"]
    until(lambda: any(each.get("reason") == "Unschedulable" for each in client.get(
        "v1", "pods", "default", pod["metadata"]["name"])["status"].get("conditions", [])))
