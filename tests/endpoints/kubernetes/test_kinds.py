"""Endpoints that use more of a cluster than its core: a Gateway, LeaderWorkerSet, KEDA."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from clusters.models import Cluster, KubernetesAccess
from endpoints import services
from endpoints.models import Backend, Endpoint
from endpoints.services.specs import namespace_of
from endpoints.states import Cause, Status
from endpoints.targets.base import engine_key
from tests.cast import GIB, Cast
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator, cpu_node

from .cluster_play import cluster_profile, gone, in_service, left_over, new_endpoint, pods, stateful_set, until

pytestmark = pytest.mark.django_db(transaction=True)
GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "main", "namespace": "default"},
    "spec": {"gatewayClassName": "played", "listeners": [
        {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]},
}
CLASS = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "played"},
         "spec": {"controllerName": "simulator.example.com/gateway"}}


def make_gateway(sim: Simulator) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listener = {**GATEWAY["spec"]["listeners"][0], "port": port}
    sim.client().apply("gatewayclasses", CLASS)
    sim.client().apply("gateways", {**GATEWAY, "spec": {**GATEWAY["spec"], "listeners": [listener]}})


@pytest.fixture
def gateway(quick: Cluster, quick_sim: Simulator) -> Iterator[Cluster]:
    """The same place with a Gateway that calls enter by."""
    make_gateway(quick_sim)
    KubernetesAccess.objects.filter(cluster=quick).update(gateway="default/main", cors_origins=["https://chat.example.org"])
    yield quick
    quick_sim.client().delete("gateway.networking.k8s.io/v1", "gateways", "default", "main")


def test_calls_enter_by_the_gateway_and_need_the_engines_key(cast: Cast, gateway: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, gateway, "routed"))
    backend = Backend.objects.get(endpoint=endpoint)
    assert urlsplit(backend.url).path == f"/{namespace_of(endpoint)}/{endpoint.external_name}"
    assert (backend.ca, len(backend.secret("token"))) == ("", 64)
    kept = quick_sim.client().get("v1", "secrets", namespace_of(endpoint), f"{endpoint.external_name}-secrets")
    assert [key.startswith("key-") for key in kept["data"]] == [True]
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)
    assert left_over(quick_sim, endpoint) == []


def test_a_gateway_that_is_not_there_is_the_cause(cast: Cast, gateway: Cluster) -> None:
    KubernetesAccess.objects.filter(cluster=gateway).update(gateway="default/other")
    row = until(new_endpoint(cast, gateway, "lost"), lambda row: row.cause == Cause.ROUTE)
    assert "default/other" in row.message
    assert not Backend.objects.filter(endpoint=row).exists()
    KubernetesAccess.objects.filter(cluster=gateway).update(gateway="default/main")
    assert in_service(row)


def test_a_place_that_gives_its_gateway_up_goes_on_by_the_api_server(
    cast: Cast, gateway: Cluster, quick_sim: Simulator,
) -> None:
    endpoint = in_service(new_endpoint(cast, gateway, "changes"))
    KubernetesAccess.objects.filter(cluster=gateway).update(gateway="")
    Endpoint.objects.filter(pk=endpoint.pk).update(next_look_at=endpoint.created_at)
    services.look_at_cluster(gateway.pk)
    assert "/proxy" in Backend.objects.get(endpoint=endpoint).url
    services.reconcile(endpoint.pk)
    assert not [each for each in left_over(quick_sim, endpoint) if each.startswith("httproutes")]


def grouped_profile() -> Any:
    return cluster_profile("large", gpus=4, nodes=2, gpu_memory_bytes=80 * GIB,
                           arguments={"tensor-parallel-size": 4, "pipeline-parallel-size": 2})


def test_a_replica_over_two_nodes_is_ready_when_all_its_pods_are(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = new_endpoint(cast, quick, "wide", profile=grouped_profile())
    worker = quick_sim.pods_fail(name=f"{endpoint.external_name}-0-1", as_="slow:5s")
    endpoint = until(endpoint, lambda row: len(pods(quick_sim, row)) == 2 and row.status == Status.CREATING)
    worker.remove()
    endpoint = in_service(endpoint)
    assert (endpoint.ready_replicas, len(pods(quick_sim, endpoint))) == (1, 2)
    group = quick_sim.client().get("leaderworkerset.x-k8s.io/v1", "leaderworkersets", namespace_of(endpoint),
                                   endpoint.external_name)
    assert group["spec"]["leaderWorkerTemplate"]["size"] == 2
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 2)
    assert endpoint.ready_replicas == 1
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)
    assert left_over(quick_sim, endpoint) == []


def test_a_replica_that_takes_another_number_of_nodes_is_made_anew(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "grows"))
    services.update(cast.actor("alice"), endpoint, profile=grouped_profile())
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 2)
    assert not [each for each in left_over(quick_sim, endpoint) if each.startswith("statefulsets")]
    assert len(pods(quick_sim, endpoint)) == 2
    services.roll_back(cast.actor("alice"), endpoint, 1)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 1)
    assert (stateful_set(quick_sim, endpoint)["spec"]["replicas"], len(pods(quick_sim, endpoint))) == (1, 1)


SCALED = {"min_replicas": 1, "max_replicas": 4, "triggers": [
    {"type": "cpu", "metadata": {"value": "60"}, "metric_type": "Utilization"}]}


def owners_of_replicas(live: dict[str, Any]) -> set[str]:
    """The managers of spec.replicas."""
    return {entry["manager"] for entry in live["metadata"]["managedFields"]
            if "f:replicas" in entry["fieldsV1"].get("f:spec", {})}


def scale_as_keda(sim: Simulator, endpoint: Endpoint, replicas: int) -> None:
    sim.client().call(
        "PATCH", f"/apis/apps/v1/namespaces/{namespace_of(endpoint)}/statefulsets/{endpoint.external_name}/scale",
        {"spec": {"replicas": replicas}}, content_type="application/merge-patch+json", fieldManager="keda")


def test_replicas_pass_to_the_autoscaler_and_back_without_a_gap(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    alice = cast.actor("alice")
    endpoint = in_service(new_endpoint(cast, quick, "scaled", replicas=3))
    services.set_autoscale(alice, endpoint, SCALED)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.autoscaled_replicas == 3)
    assert stateful_set(quick_sim, endpoint)["spec"]["replicas"] == 3
    scale_as_keda(quick_sim, endpoint, 2)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 2)
    services.update(alice, endpoint, arguments={"max-model-len": 128})
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 2)
    live = stateful_set(quick_sim, endpoint)
    assert (live["spec"]["replicas"], "inference-portal" in owners_of_replicas(live)) == (2, False)
    services.set_autoscale(alice, endpoint, {})
    services.scale(alice, Endpoint.objects.get(pk=endpoint.pk), 1)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 1)
    live = stateful_set(quick_sim, endpoint)
    assert (live["spec"]["replicas"], endpoint.autoscaled_replicas) == (1, None)
    assert not [each for each in left_over(quick_sim, endpoint) if each.startswith("scaledobjects")]


def test_an_endpoint_that_slept_is_in_service_with_nothing_ready(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "sleeps", autoscale=SCALED))
    assert "inference-portal" not in owners_of_replicas(stateful_set(quick_sim, endpoint))
    scale_as_keda(quick_sim, endpoint, 0)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 0)
    assert endpoint.autoscaled_replicas == 0


class Engine(BaseHTTPRequestHandler):
    """Answers with what it was asked, in three chunks of which the last two come only when the first has arrived."""

    protocol_version = "HTTP/1.1"
    arrived = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("access-control-allow-origin", "*")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for text in (f"{self.path} {self.headers['authorization']}", "two", "[DONE]"):
            data = f"data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            assert self.arrived.wait(10)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def answering_sim() -> Iterator[Simulator]:
    """A cluster whose ready pods are all backed by one engine that really answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Simulator(nodes=[cpu_node("cpu-a")], speed=10.0, engine_url=f"http://127.0.0.1:{server.server_port}") as sim:
        yield sim
    server.shutdown()
    server.server_close()


@contextmanager
def called(backend: Backend) -> Iterator[http.client.HTTPResponse]:
    """The answer as it begins to come, asked for as the portal's gateway would."""
    parts, Engine.arrived = urlsplit(backend.url), threading.Event()
    context = ssl.create_default_context(cadata=backend.ca) if backend.ca else None
    connection = (http.client.HTTPSConnection(parts.netloc, timeout=10, context=context) if context
                  else http.client.HTTPConnection(parts.netloc, timeout=10))
    connection.request("POST", f"{parts.path}/v1/chat/completions", b"{}", {
        "authorization": f"Bearer {backend.secret('token')}", "origin": "https://evil.example.org"})
    try:
        yield connection.getresponse()
    finally:
        Engine.arrived.set()
        connection.close()


@pytest.mark.parametrize("by_gateway", [False, True], ids=["by the API server's proxy", "by the Gateway"])
def test_a_stream_comes_through_chunk_by_chunk(cast: Cast, answering_sim: Simulator, by_gateway: bool) -> None:
    place = make_kubernetes_place(answering_sim, capabilities={"gateway": {"found": True}})
    if by_gateway:
        make_gateway(answering_sim)
        KubernetesAccess.objects.filter(cluster=place).update(gateway="default/main")
    endpoint = in_service(new_endpoint(cast, place, f"streams-{by_gateway:d}"))
    backend = Backend.objects.get(endpoint=endpoint)
    key = f"Bearer {engine_key(endpoint.uid)}" if by_gateway else "None"
    with called(backend) as answer:
        assert answer.readline().decode() == f"data: /v1/chat/completions {key}\n", "the API's token never reaches engines"
        assert answer.headers["access-control-allow-origin"] == (None if by_gateway else "*")
        Engine.arrived.set()
        assert answer.read().endswith(b"data: [DONE]\n\n")
