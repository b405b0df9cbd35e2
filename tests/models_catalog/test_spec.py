"""The frozen copy of a profile that a revision keeps."""

from __future__ import annotations

import json

import pytest

from models_catalog.choices import Task
from models_catalog.services import revision_spec
from portal.tenancy.errors import Invalid
from tests.cast import GIB, make_model, make_profile

pytestmark = pytest.mark.django_db


def test_spec_is_plain_json_with_everything_that_a_place_needs() -> None:
    profile = make_profile(arguments={"max-model-len": 4096, "enforce-eager": True},
                           environment={"VLLM_CPU_KVCACHE_SPACE": 1}, places=["hosts"])
    spec = revision_spec(profile)
    assert json.loads(json.dumps(spec)) == spec == {
        "engine": "vllm", "release": "vllm-cpu-test", "device": "cpu", "task": "chat",
        "model": "tiny-chat", "profile": "tiny-chat-cpu",
        "artifact": {"kind": "path", "location": "/models/tiny-chat", "revision": ""},
        "arguments": {"enforce-eager": True, "max-model-len": 4096},
        "environment": {"VLLM_CPU_KVCACHE_SPACE": "1"},
        "resources": {"cpu_millis": 1000, "memory_bytes": 2 * GIB, "gpus": 0, "nodes": 1, "gpu_memory_bytes": 0,
                          "devices": []},
            "image": "", "placement": {}, "weights_bytes": 0,
        "start_seconds": 900, "places": ["hosts"],
    }


def test_changes_go_on_top_and_none_takes_out() -> None:
    profile = make_profile(arguments={"max-model-len": 4096, "enforce-eager": True})
    spec = revision_spec(profile, arguments={"max_model_len": "2K", "enforce_eager": None, "seed": 7},
                         environment={"OMP_NUM_THREADS": 4})
    assert spec["arguments"] == {"max-model-len": 2048, "seed": 7}
    assert spec["environment"] == {"OMP_NUM_THREADS": "4"}


@pytest.mark.parametrize("task", [Task.EMBEDDING, Task.RERANK])
def test_vector_models_get_the_pooling_runner_unless_told_otherwise(task: Task) -> None:
    profile = make_profile(model=make_model("vectors", task=task))
    assert revision_spec(profile)["arguments"] == {"runner": "pooling"}
    assert revision_spec(profile, arguments={"runner": "auto"})["arguments"] == {"runner": "auto"}


@pytest.mark.parametrize(("arguments", "words"), [
    ({"tensor-parallel-size": 4}, "need 4 GPUs"),
    ({"tensor-parallel-size": 2, "pipeline-parallel-size": 2}, "need 4 GPUs"),
    ({"max-model-len": 9000}, "at most 8192"),
    ({"trust-remote-code": True}, "not permitted"),
])
def test_what_the_engine_would_refuse_is_refused_at_once(arguments: dict[str, object], words: str) -> None:
    profile = make_profile("big-cuda", model=make_model("big", context_tokens=8192), gpus=2, gpu_memory_bytes=GIB)
    with pytest.raises(Invalid, match=words) as caught:
        revision_spec(profile, arguments=arguments)
    assert caught.value.field == "arguments"


def test_a_longer_context_is_allowed_where_the_environment_says_so() -> None:
    profile = make_profile(model=make_model("tiny", context_tokens=100))
    spec = revision_spec(profile, arguments={"max-model-len": 200}, environment={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"})
    assert spec["arguments"]["max-model-len"] == 200


def test_tensor_parallel_must_divide_the_heads() -> None:
    profile = make_profile("odd-cuda", model=make_model("odd", shape={"heads": 14}), gpus=4, gpu_memory_bytes=GIB)
    with pytest.raises(Invalid, match="14 attention heads"):
        revision_spec(profile, arguments={"tensor-parallel-size": 4})


@pytest.mark.parametrize("devices", [[0], [0, 0], [0, -1], [0, 128], [0, "1"], [0, True], [0, 1, 2]])
def test_wrong_gpu_numbers_are_refused(devices: list[int]) -> None:
    profile = make_profile("two-cuda", gpus=2, gpu_memory_bytes=GIB)
    assert revision_spec(profile, devices=[1, 3])["resources"]["devices"] == [1, 3]
    with pytest.raises(Invalid) as caught:
        revision_spec(profile, devices=devices)
    assert caught.value.field == "devices"


def test_a_cpu_profile_takes_no_gpu_number() -> None:
    with pytest.raises(Invalid, match="takes 0 GPUs"):
        revision_spec(make_profile(), devices=[0])
