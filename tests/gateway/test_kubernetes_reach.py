"""Calls to endpoints on Kubernetes, from the openai client to the engine: by the cluster's Gateway and by its API server."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusters.services import check_access
from endpoints import services
from endpoints.models import Backend, Endpoint
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile
from portal.tenancy.actor import Actor
from tests.cast import GIB, make_model, make_profile
from tests.clusters.agent_rig import until
from tests.gateway.server import Tenant
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator, cpu_node
from tests.simulators.openai_backend import OpenAIBackend

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def backend() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as running:
        yield running


@pytest.fixture(scope="module")
def sim(backend: OpenAIBackend) -> Iterator[Simulator]:
    """A cluster whose pods answer by `backend`, with a Gateway that really listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Simulator([cpu_node("cpu-a")], engine_url=backend.url) as running:
        client = running.client()
        group = "gateway.networking.k8s.io/v1"
        client.create("gatewayclasses", {
            "apiVersion": group, "kind": "GatewayClass", "metadata": {"name": "played"},
            "spec": {"controllerName": "simulator.example.com/gateway"}})
        client.create("gateways", {
            "apiVersion": group, "kind": "Gateway", "metadata": {"name": "front", "namespace": "default"},
            "spec": {"gatewayClassName": "played", "listeners": [
                {"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]}})
        yield running


def deployed(tenant: Tenant, sim: Simulator, name: str, **access: Any) -> Endpoint:
    place = make_kubernetes_place(sim, name, **access)
    check_access(place)
    model = CatalogModel.objects.filter(slug="reach").first() or make_model("reach", weights_bytes=GIB)
    profile = Profile.objects.filter(slug="reach-cpu").first() or make_profile("reach-cpu", model, memory_bytes=7 * GIB)
    Artifact.objects.filter(model=model).update(kind=ArtifactKind.HUGGING_FACE, location="org/reach")
    EngineRelease.objects.update(image="vllm/vllm-openai-cpu@sha256:" + "0" * 64)
    endpoint = services.create(Actor(user=tenant.owner), tenant.workspace, name=name, cluster=place,
                               profile=Profile.objects.get(pk=profile.pk))

    def serves() -> bool:
        services.reconcile(endpoint.pk)
        return bool(Backend.objects.filter(endpoint=endpoint).exists())

    until(serves, what=lambda: Endpoint.objects.get(pk=endpoint.pk).message)
    return Endpoint.objects.get(pk=endpoint.pk)


def call(tenant: Tenant, name: str) -> None:
    """A plain answer and a stream, through the portal's gateway."""
    client = tenant.wait_for(name)
    assert client.chat.completions.create(model=name, messages=HELLO).choices[0].message.content
    chunks = [chunk for chunk in client.chat.completions.create(model=name, messages=HELLO, stream=True) if chunk.choices]
    assert len(chunks) > 3


def test_the_api_servers_proxy_carries_answers_and_streams(
    make: Callable[[], Tenant], sim: Simulator, backend: OpenAIBackend,
) -> None:
    tenant = make()
    endpoint = deployed(tenant, sim, "by-proxy")
    url = Backend.objects.get(endpoint=endpoint).url
    assert url.startswith(sim.url)
    assert url.endswith("/proxy")
    call(tenant, "by-proxy")
    assert all("authorization" not in [name for name, _value in seen.headers] for seen in backend.requests[-2:]), \
        "the cluster's token stays with the API server"


def test_the_gateway_carries_answers_and_streams(
    make: Callable[[], Tenant], sim: Simulator, backend: OpenAIBackend,
) -> None:
    tenant = make()
    endpoint = deployed(tenant, sim, "by-gateway", gateway="default/front", cors_origins=["https://app.example.org"])
    assert Backend.objects.get(endpoint=endpoint).url.startswith("http://127.0.0.1:")
    call(tenant, "by-gateway")
    assert backend.requests[-1].path == "/v1/chat/completions", "the route's prefix is taken away"


def test_without_ready_pods_callers_are_told_to_wait(make: Callable[[], Tenant], sim: Simulator) -> None:
    tenant = make()
    endpoint = deployed(tenant, sim, "goes-away")
    failing = sim.pods_fail(name="goes-away-*", as_="notready")

    def is_gone() -> bool:
        services.reconcile(endpoint.pk)
        return not Backend.objects.filter(endpoint=endpoint).exists()

    until(is_gone)
    failing.remove()
