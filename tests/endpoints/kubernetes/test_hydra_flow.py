"""The Hydra guide from its first step to its last, on a simulated cluster: connect, the GPU check, fake GPUs, preheat,
deploy with parameters for CPUs, route, call (https://docs.daocloud.io, "Deploy the LLM service platform, WS mode").

What the guide does by hand is done here by the portal's own doors; where the guide has a trap (facts.md, section 8), the
test says which and what happens instead.
"""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from openai import OpenAI

from clusters import services as places
from clusters.models import Cluster, KubernetesAccess, Node
from clusters.states import ClusterKind, Reach
from endpoints import services
from endpoints.models import Backend, Endpoint
from endpoints.services.specs import namespace_of
from endpoints.states import Status
from models_catalog import services as catalogue
from models_catalog.choices import ArtifactKind
from models_catalog.models import CatalogModel, EngineRelease, ModelCopy, Profile
from models_catalog.states import CopyState
from portal.tenancy.errors import Invalid
from tests.cast import GIB, Cast
from tests.models_catalog.preheating.making import until as copy_until
from tests.simulators.kubernetes.server import Simulator, cpu_node
from tests.simulators.openai_backend import OpenAIBackend

from .cluster_play import stateful_set, until

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = "https://chat.example.org"
GATEWAY = "gateway.networking.k8s.io/v1"
DATASET = "dataset.baizeai.io/v1alpha1", "datasets"
MERGE = "application/merge-patch+json"
# What gpu-operator-fake writes on a node (facts.md 5.7).
FAKE_LABELS = {
    "run.ai/simulated-gpu-node-pool": "default", "run.ai/fake.gpu": "true", "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.count": "2", "nvidia.com/gpu.memory": "11441", "nvidia.com/gpu.product": "Tesla-K80",
}


@pytest.fixture(scope="module")
def engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as running:
        yield running


@pytest.fixture(scope="module")
def hydra(engine: OpenAIBackend) -> Iterator[Simulator]:
    """The guide's work cluster: two nodes without GPUs, its StorageClass for NFS, and the Gateway of its gateway.yaml."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Simulator([cpu_node("worker-1"), cpu_node("worker-2")], engine_url=engine.url, speed=10.0) as sim:
        client = sim.client()
        client.create("storageclasses", {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                                         "metadata": {"name": "nfs-csi"}, "provisioner": "nfs.csi.k8s.io"})
        client.create("gatewayclasses", {"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": "istio"},
                                         "spec": {"controllerName": "simulator.example.com/gateway"}})
        client.create("gateways", {
            "apiVersion": GATEWAY, "kind": "Gateway", "metadata": {"name": "gateway", "namespace": "default"},
            "spec": {"gatewayClassName": "istio", "listeners": [
                {"name": "default", "port": port, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]}})
        yield sim


def connected(cast: Cast, sim: Simulator) -> Cluster:
    """By the kubeconfig that an administrator pastes; the test of the connection finds what is there."""
    operator = cast.actor("operator")
    place = places.create_place(operator, name="hydra", kind=ClusterKind.KUBERNETES, kubernetes={
        "kubeconfig": sim.kubeconfig(), "gateway": "default/gateway", "cors_origins": [ORIGIN]})
    found = places.check_place(operator, place)
    assert found.reach == Reach.OK, found.message
    assert {"dataset", "gateway", "keda"} <= {name for name, part in found.capabilities.items() if part["found"]}
    places.refresh_place(operator, place)
    return place


def red(planned: services.plan.Planned) -> dict[str, str]:
    """What stops it: the sentence with its lines."""
    return {check.name: " ".join([check.sentence, *check.lines]) for check in planned.plan.checks if check.ok is False}


def planned(cast: Cast, place: Cluster, profile: Profile) -> services.plan.Planned:
    return services.plan_creation(cast.actor("alice"), cast.alpha, name="qwen", cluster=place, profile=profile)


def install_fake_gpus(sim: Simulator) -> None:
    client = sim.client()
    amounts = {"nvidia.com/gpu": "2"}
    client.call("PATCH", "/api/v1/nodes/worker-1", {"metadata": {"labels": FAKE_LABELS}}, content_type=MERGE)
    client.call("PATCH", "/api/v1/nodes/worker-1/status", {"status": {"capacity": amounts, "allocatable": amounts}},
                content_type=MERGE)


def cpu_profile(cast: Cast) -> Profile:
    """The guide's parameters for a machine without GPUs. Its weights lie on a server of files, as the guide's do."""
    operator, model = cast.actor("operator"), CatalogModel.objects.get(slug="qwen3-0-6b")
    artifact = catalogue.create_artifact(operator, model, kind=ArtifactKind.HTTP,
                                         location="https://models.example.com/model/qwen3-06b/")
    release = EngineRelease.objects.get(slug="vllm-cpu-0.32.0")
    values: dict[str, Any] = {"name": "Hydra on CPUs", "memory_bytes": 7 * GIB, "cpu_millis": 4000, "start_seconds": 900}
    with pytest.raises(Invalid) as refused:  # trap 33: the option is gone, and the engine would end with code 2
        catalogue.create_profile(operator, model, artifact, release, slug="hydra-cpu", **values,
                                 arguments={"dtype": "half", "device": "cpu", "max-model-len": 8192})
    assert "choose a profile with a CPU release" in refused.value.message
    return catalogue.create_profile(operator, model, artifact, release, slug="hydra-cpu", **values,
                                    arguments={"dtype": "half", "max-model-len": 8192})


def preheated(cast: Cast, place: Cluster, profile: Profile, sim: Simulator) -> ModelCopy:
    copy = catalogue.preheat(cast.actor("operator"), profile.artifact, place, storage_class="nfs-csi")
    copy = copy_until(copy, CopyState.READY)
    found = sim.client().get(*DATASET, "public", "qwen3-0-6b")
    spec = found["spec"]
    assert found["metadata"]["labels"]["hydra.io/model-id"] == "qwen3-0-6b"
    assert (spec["share"], spec["dataSyncRound"]) == (True, 1)
    assert spec["source"]["uri"] == "https://models.example.com/model/qwen3-06b/"
    assert "repoType" not in spec["source"]["options"]  # trap 27
    claim = sim.client().get("v1", "persistentvolumeclaims", "public", "qwen3-0-6b")["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("nfs-csi", "3Gi")  # trap 30: not 100Ti
    return copy


def test_the_hydra_guide_from_the_cluster_to_the_first_answer(
    cast: Cast, hydra: Simulator, engine: OpenAIBackend,
) -> None:
    call_command("load_catalogue", verbosity=0)
    place = connected(cast, hydra)

    on_gpus = Profile.objects.get(slug="qwen3-0-6b-1x24gb")
    refused = red(planned(cast, place, on_gpus))
    assert "GPU: 1 wanted, 0 free" in refused["room"]

    install_fake_gpus(hydra)
    places.refresh_place(cast.actor("operator"), place)
    places.check_place(cast.actor("operator"), place)
    assert Node.objects.get(cluster=place, name="worker-1").simulated
    assert KubernetesAccess.objects.get(cluster=place).has("fake_gpu")
    # Trap 34: the guide's check passes now, and a CUDA engine would crash. Ours still refuses, and says what to choose.
    assert "simulated" in " ".join(red(planned(cast, place, on_gpus)).values())

    profile = cpu_profile(cast)
    assert "preheat" in " ".join(red(planned(cast, place, profile)).values())
    copy = preheated(cast, place, profile, hydra)
    assert red(planned(cast, place, profile)) == {}

    endpoint = services.create(cast.actor("alice"), cast.alpha, name="qwen", public_name="qwen3-0.6b", cluster=place,
                               profile=profile)
    reference = copy_until(ModelCopy.objects.get(shared=copy), CopyState.READY)  # trap 31: in the endpoint's own namespace
    endpoint = until(endpoint, Status.INSERVICE)
    assert_runs_as_the_guide_says(hydra, endpoint, reference)
    assert_answers(endpoint)
    assert engine.requests[-1].path == "/v1/chat/completions"


def assert_runs_as_the_guide_says(sim: Simulator, endpoint: Endpoint, reference: ModelCopy) -> None:
    pod = stateful_set(sim, endpoint)["spec"]["template"]["spec"]
    container = pod["containers"][0]
    line = " ".join(container["args"])
    assert container["args"][0] == "/model"
    assert "--dtype half" in line or "--dtype=half" in line
    assert "max-model-len" in line
    assert "--device" not in line
    assert container["resources"]["limits"]["memory"] == str(7 * GIB)
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    claims = [each["persistentVolumeClaim"] for each in pod["volumes"] if "persistentVolumeClaim" in each]
    assert claims == [{"claimName": reference.claim, "readOnly": True}]
    route = sim.client().get(GATEWAY, "httproutes", namespace_of(endpoint), endpoint.external_name)
    assert route["spec"]["parentRefs"][0]["name"] == "gateway"


def assert_answers(endpoint: Endpoint) -> None:
    """A stream through the Gateway, and the CORS headers of the guide with the one that it forgets (trap 25)."""
    backend = Backend.objects.get(endpoint=endpoint)
    client = OpenAI(base_url=f"{backend.url}/v1", api_key=backend.secret("token"), max_retries=0)
    with client:
        answer = client.chat.completions.create(
            model="qwen3-0.6b", messages=[{"role": "user", "content": "Who are you?"}], stream=True)
        chunks = [chunk for chunk in answer if chunk.choices]
    assert len(chunks) > 3
    headers = headers_for(backend, {"Origin": ORIGIN})
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "Authorization" in headers["access-control-allow-headers"]
    assert headers["access-control-allow-methods"] == "*"
    assert "access-control-allow-origin" not in headers_for(backend, {})


def headers_for(backend: Backend, headers: dict[str, str]) -> dict[str, str]:
    body = {"model": "qwen3-0.6b", "messages": [{"role": "user", "content": "Who are you?"}]}
    request = urllib.request.Request(f"{backend.url}/v1/chat/completions", json.dumps(body).encode(), {
        **headers, "Authorization": f"Bearer {backend.secret('token')}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}
