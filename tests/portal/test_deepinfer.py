"""deepinfer's door: its literal calls, its words, and clear refusals where there is no GPU."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse

from clusters.models import Host
from clusters.states import HostState
from endpoints.deepinfer import WORDS, Wanted, parse_device
from endpoints.models import Endpoint, Revision
from endpoints.states import Status
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, Profile
from portal.tenancy.errors import Invalid
from portal.tenancy.roles import Scope
from tests.cast import Cast, make_cluster, make_host, make_profile
from tests.portal.apiclient import Api, by_key

HUB_ID = "Qwen/Qwen2.5-7B-Instruct"
SEED = Path(__file__).parents[2].parent / "shared" / "seeds" / "004_f0853e485baef49c.txt"


def shelve(device: str) -> Profile:
    profile = make_profile(f"qwen-{device}", gpus=1) if device == "cuda" else make_profile("qwen-cpu")
    artifact, _made = Artifact.objects.get_or_create(model=profile.model, kind=ArtifactKind.HUGGING_FACE, location=HUB_ID)
    Profile.objects.filter(pk=profile.pk).update(artifact=artifact)
    return profile


@pytest.fixture
def gpu(cast: Cast) -> Api:
    make_host(make_cluster("gpus"), gpus=2)
    shelve("cuda")
    return by_key(cast.bob, cast.alpha)


@pytest.fixture
def cpu(cast: Cast) -> Api:
    make_host(make_cluster("cpus"))
    shelve("cpu")
    return by_key(cast.bob, cast.alpha)


def deploy(api: Api, **fields: Any) -> HttpResponse:
    return api.post("/v1/deployments", {"model": HUB_ID, **fields})


def said(response: HttpResponse) -> str:
    body = json.loads(response.content)
    assert body["status"] == "error"
    assert set(body) == {"status", "message"}
    message: str = body["message"]
    return message


def resources() -> dict[str, Any]:
    spec: dict[str, Any] = Revision.objects.get().spec
    return spec


def test_health_asks_nobody(django_assert_num_queries: Any, db: None) -> None:
    with django_assert_num_queries(0):
        assert Api().get("/health").json() == {"status": "healthy"}


@pytest.mark.skipif(not SEED.is_file(), reason="the seed documents are not beside this checkout")
def test_the_literal_calls_of_the_document_are_accepted(gpu: Api) -> None:
    bodies = re.findall(r"/v1/deployments \\\n.*?-d '(\{.*?\})'", SEED.read_text(), re.DOTALL)
    assert len(bodies) == 2
    for body in bodies:
        response = gpu.call("POST", "/v1/deployments", raw=body.encode())
        assert response.status_code == 202, response.content
        assert set(response.json()) == {"status", "message", "model", "engine_id"}
        assert response.json()["status"] == "accepted"
    assert Endpoint.objects.count() == 1


def test_a_named_gpu_is_pinned_and_the_fields_become_arguments(gpu: Api) -> None:
    response = deploy(gpu, engine="vllm", device="cuda:1", tensor_parallel_size=1, gpu_memory_utilization=0.9,
                      max_model_len=4096, dtype="bfloat16", enforce_eager=True)
    assert response.status_code == 202, response.content
    spec = resources()
    assert spec["resources"]["devices"] == [1]
    assert spec["arguments"] == {
        "dtype": "bfloat16", "enforce-eager": True, "gpu-memory-utilization": 0.9, "max-model-len": 4096,
        "tensor-parallel-size": 1}
    assert Endpoint.objects.get().public_name == HUB_ID


def test_without_a_device_the_first_gpu_is_taken(gpu: Api) -> None:
    assert deploy(gpu).status_code == 202
    assert resources()["resources"]["devices"] == [0]


@pytest.mark.parametrize(("device", "words"), [
    (None, "cpu"), ("cuda:0", "cuda:0"), ("cuda", "cuda"), ("0,1", "cuda:0, cuda:1"),
])
def test_without_a_gpu_the_refusal_says_what_to_send(cpu: Api, device: str | None, words: str) -> None:
    response = deploy(cpu, **({"device": device} if device else {}))
    assert response.status_code == 422
    assert words in said(response)
    assert '"device": "cpu"' in said(response)
    assert Endpoint.objects.count() == 0


def test_on_a_cpu_the_gpu_share_is_left_out(cpu: Api) -> None:
    assert deploy(cpu, device="cpu", tensor_parallel_size=1, gpu_memory_utilization=0.9).status_code == 202
    assert resources()["arguments"] == {"tensor-parallel-size": 1}
    assert resources()["resources"]["devices"] == []
    two = deploy(cpu, device="cpu", tensor_parallel_size=2)
    assert two.status_code == 202  # deployed already, with its own settings


def test_two_way_parallel_on_a_cpu_is_refused(cpu: Api) -> None:
    assert said(deploy(cpu, device="cpu", tensor_parallel_size=2)).startswith("tensor_parallel_size")


def test_a_gpu_number_that_no_host_has_is_refused(gpu: Api) -> None:
    assert "cuda:2" in said(deploy(gpu, device="cuda:2"))


def test_a_model_for_another_number_of_gpus_is_refused_with_what_there_is(gpu: Api) -> None:
    assert "1 x cuda" in said(deploy(gpu, device="cuda:0,1", tensor_parallel_size=2))


def test_the_same_model_again_is_the_same_deployment(gpu: Api) -> None:
    first, again = deploy(gpu, device="cuda:0"), deploy(gpu, device="cuda:1")
    assert again.status_code == 202
    assert first.json()["engine_id"] == again.json()["engine_id"]
    assert Endpoint.objects.count() == 1


def test_stop_and_deploy_again_starts_it(gpu: Api) -> None:
    uid = deploy(gpu).json()["engine_id"]
    assert gpu.delete(f"/v1/deployments/{uid}").status_code == 202
    assert Endpoint.objects.get().wish == "stopped"
    assert gpu.delete(f"/v1/deployments/{uid}").status_code == 202
    assert deploy(gpu).json()["engine_id"] == uid
    assert Endpoint.objects.get().wish == "running"


def test_the_list_and_one_deployment_speak_deepinfers_words(gpu: Api) -> None:
    uid = deploy(gpu, device="cuda:0").json()["engine_id"]
    shown = gpu.get(f"/v1/deployments/{uid}").json()
    assert (shown["status"], shown["device"], shown["model"], shown["engine"]) == ("pending", "cuda:0", HUB_ID, "vllm")
    Endpoint.objects.update(status=Status.FAILED, message="out of memory")
    listed = gpu.get("/v1/deployments").json()["data"]
    assert [(row["status"], row["error_message"]) for row in listed] == [("failed", "out of memory")]


def test_every_status_has_one_of_deepinfers_words() -> None:
    assert set(WORDS) == set(Status.values)
    assert set(WORDS.values()) == {"pending", "starting", "running", "stopping", "stopped", "failed"}


@pytest.mark.parametrize(("fields", "words"), [
    ({"engine": "sglang"}, "engine"), ({"device": "tpu:0"}, "device"), ({"device": "cuda:a"}, "device"),
    ({"device": "cuda:0; rm -rf /"}, "device"), ({"backend": "docker"}, "backend"), ({"docker_image": "x"}, "docker_image"),
    ({"model_path": "/etc"}, "model_path"), ({"restart_policy": "never"}, "restart_policy"), ({"model": 7}, "model"),
    ({"gpu_memory_utilization": 1.5}, "gpu_memory_utilization"), ({"tensor_parallel_size": 0}, "tensor_parallel_size"),
    ({"tensor_parallel_size": "1"}, "tensor_parallel_size"), ({"extra": 1}, "extra"),
])
def test_what_cannot_be_kept_is_refused_by_name(gpu: Api, fields: dict[str, Any], words: str) -> None:
    response = gpu.post("/v1/deployments", {"model": HUB_ID, **fields})
    assert response.status_code == 422
    assert said(response).startswith(words)


def test_a_model_that_is_not_shelved_is_404(gpu: Api) -> None:
    response = gpu.post("/v1/deployments", {"model": "nobody/nothing"})
    assert (response.status_code, "nobody/nothing" in said(response)) == (404, True)


def test_a_lost_host_takes_nothing(cpu: Api) -> None:
    Host.objects.update(state=HostState.LOST)
    assert deploy(cpu, device="cpu").status_code == 503


def test_a_taken_short_name_gets_the_models_digest(cpu: Api, cast: Cast) -> None:
    first = deploy(cpu, device="cpu").json()["engine_id"]
    Endpoint.objects.filter(uid=first).update(public_name="other", public_key="other")
    assert deploy(cpu, device="cpu").json()["engine_id"] != first
    assert Endpoint.objects.first().name.startswith("qwen-qwen2-5-7b-instruct-")  # type: ignore[union-attr]


def test_a_reading_key_deploys_nothing_and_a_stranger_sees_nothing(gpu: Api, cast: Cast) -> None:
    uid = deploy(gpu).json()["engine_id"]
    reader = by_key(cast.bob, cast.alpha, Scope.READ)
    assert reader.get("/v1/deployments").status_code == 200
    assert said(deploy(reader))
    stranger = by_key(cast.charlie, cast.beta)
    assert stranger.get("/v1/deployments").json()["data"] == []
    assert stranger.delete(f"/v1/deployments/{uid}").status_code == 404
    assert Api().get("/v1/deployments").status_code == 401
    assert Api(cast.alice).get("/v1/deployments").status_code == 401


def test_unknown_paths_and_methods_have_deepinfers_shape(gpu: Api) -> None:
    assert said(gpu.call("PUT", "/v1/deployments"))
    assert said(gpu.get("/v1/deployments/nothing"))


@pytest.mark.parametrize(("text", "wanted"), [
    ("cpu", Wanted("cpu")), ("cuda", Wanted("cuda")), ("cuda:0", Wanted("cuda", (0,))), ("0,1", Wanted("cuda", (0, 1))),
    ("cuda:0,1", Wanted("cuda", (0, 1))), (None, Wanted("cuda", (0,))),
])
def test_device_words(text: str | None, wanted: Wanted) -> None:
    assert parse_device(text) == wanted


@pytest.mark.parametrize("text", ["", "CUDA:0", "cuda:", "cuda:0,", "cuda:-1", "cuda:0 ", "cuda:1000", "gpu", "cuda:٣"])
def test_other_device_words_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_device(text)
