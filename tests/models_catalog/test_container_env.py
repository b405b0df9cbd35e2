"""Arguments as variables of AWS's containers, and back through a start script like theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from models_catalog.arguments import check_arguments, to_argv
from models_catalog.choices import Device, EngineKind
from models_catalog.container_env import container_environment
from models_catalog.models import EngineRelease
from portal.tenancy.errors import Invalid

FOLDER = "/opt/ml/model"
# How the images of facts.md 2.6 make arguments of variables; the second form leaves words for booleans out, as newer ones do.
START = """
while IFS='=' read -r name text; do
    flag=--$(printf %s "${name#"$1"}" | tr A-Z_ a-z-)
    case "$2 $text" in
        new\\ true) printf '%s\\n' "$flag" ;;
        new\\ false) ;;
        *) printf '%s\\n' "$flag"; [ -z "$text" ] || printf '%s\\n' "$text" ;;
    esac
done < <(env | grep "^$1")
"""


def made(engine: str, arguments: dict[str, Any], *, gpus: int = 0, version: str = "") -> dict[str, str]:
    return container_environment(engine, arguments, model_path=FOLDER, served_name="qwen3", gpus=gpus, version=version)


VLLM: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"max-model-len": 8192}, {"SM_VLLM_MAX_MODEL_LEN": "8192"}),
    ({"enable-prefix-caching": True}, {"SM_VLLM_ENABLE_PREFIX_CACHING": ""}),
    ({"enable-prefix-caching": False}, {"SM_VLLM_NO_ENABLE_PREFIX_CACHING": ""}),
    ({"gpu-memory-utilization": 0.9}, {"SM_VLLM_GPU_MEMORY_UTILIZATION": "0.9"}),
    ({"dtype": "half"}, {"SM_VLLM_DTYPE": "half"}),
    ({"limit-mm-per-prompt": {"image": 2}}, {"SM_VLLM_LIMIT_MM_PER_PROMPT": '{"image":2}'}),
    ({"pooler-config": {"use_activation": True}}, {"SM_VLLM_POOLER_CONFIG": '{"use_activation":true}'}),
    ({"cudagraph-capture-sizes": [8]}, {"SM_VLLM_CUDAGRAPH_CAPTURE_SIZES": "8"}),
    ({"enable-auto-tool-choice": True, "tool-call-parser": "hermes"},
     {"SM_VLLM_ENABLE_AUTO_TOOL_CHOICE": "", "SM_VLLM_TOOL_CALL_PARSER": "hermes"}),
    ({"revision": "0" * 40}, {"SM_VLLM_REVISION": "0" * 40}),
]


@pytest.mark.parametrize(("arguments", "variables"), VLLM)
def test_vllm_takes_each_argument_as_a_variable(arguments: dict[str, Any], variables: dict[str, str]) -> None:
    found = made("vllm", arguments)
    assert found == {"SM_VLLM_MODEL": FOLDER, "SM_VLLM_SERVED_MODEL_NAME": "qwen3", **variables}
    assert list(found) == sorted(found)


SGLANG: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"context-length": 4096}, {"SM_SGLANG_CONTEXT_LENGTH": "4096"}),
    ({"disable-radix-cache": True}, {"SM_SGLANG_DISABLE_RADIX_CACHE": ""}),
    ({"chunked-prefill-size": -1}, {"SM_SGLANG_CHUNKED_PREFILL_SIZE": "-1"}),
    ({"mem-fraction-static": 0.85, "tool-call-parser": "qwen25"},
     {"SM_SGLANG_MEM_FRACTION_STATIC": "0.85", "SM_SGLANG_TOOL_CALL_PARSER": "qwen25"}),
]


@pytest.mark.parametrize(("arguments", "variables"), SGLANG)
def test_sglang_takes_each_argument_as_a_variable(arguments: dict[str, Any], variables: dict[str, str]) -> None:
    assert made("sglang", arguments) == {
        "SM_SGLANG_MODEL_PATH": FOLDER, "SM_SGLANG_SERVED_MODEL_NAME": "qwen3", **variables}


LMI_ALWAYS = {
    "HF_MODEL_ID": FOLDER, "TENSOR_PARALLEL_DEGREE": "max", "OPTION_SERVED_MODEL_NAME": "qwen3",
    "OPTION_ROLLING_BATCH": "disable", "OPTION_ASYNC_MODE": "true",
    "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service"}
LMI: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"max-model-len": 8192}, {"OPTION_MAX_MODEL_LEN": "8192"}),
    ({"enable-prefix-caching": True}, {"OPTION_ENABLE_PREFIX_CACHING": "true"}),
    ({"tensor-parallel-size": 4}, {"TENSOR_PARALLEL_DEGREE": "4"}),
    ({"pipeline-parallel-size": 1}, {}),
    ({"max-num-seqs": 64, "max-num-batched-tokens": 4096},
     {"OPTION_MAX_ROLLING_BATCH_SIZE": "64", "OPTION_MAX_ROLLING_BATCH_PREFILL_TOKENS": "4096"}),
    ({"quantization": "fp8", "cpu-offload-gb": 2.5}, {"OPTION_QUANTIZE": "fp8", "OPTION_CPU_OFFLOAD_GB_PER_GPU": "2.5"}),
    ({"dtype": "half"}, {"OPTION_DTYPE": "float16"}),
    ({"dtype": "float"}, {"OPTION_DTYPE": "float32"}),
    ({"dtype": "bfloat16"}, {"OPTION_DTYPE": "bfloat16"}),
    ({"override-generation-config": {"top_k": 5}}, {"OPTION_OVERRIDE_GENERATION_CONFIG": '{"top_k":5}'}),
    ({"reasoning-parser": "deepseek_r1"},
     {"OPTION_REASONING_PARSER": "deepseek_r1", "OPTION_ENABLE_REASONING": "true"}),
    ({"revision": "0" * 40}, {"OPTION_REVISION": "0" * 40}),
]


@pytest.mark.parametrize(("arguments", "variables"), LMI)
def test_lmi_takes_options_under_its_own_names(arguments: dict[str, Any], variables: dict[str, str]) -> None:
    assert made("lmi", arguments, version="15.0.0") == {**LMI_ALWAYS, **variables}
    assert made("lmi", arguments) == {**LMI_ALWAYS, **variables}, "an unknown version is taken for a new one"


def test_older_lmi_has_no_asynchronous_mode() -> None:
    found = made("lmi", {}, version="14.0.0")
    assert found["OPTION_ROLLING_BATCH"] == "vllm"
    assert not {"OPTION_ASYNC_MODE", "OPTION_ENTRYPOINT"} & set(found)


@pytest.mark.parametrize(("engine", "arguments", "name", "value"), [
    ("vllm", {}, "SM_VLLM_TENSOR_PARALLEL_SIZE", "4"),
    ("vllm", {"tensor-parallel-size": 2}, "SM_VLLM_TENSOR_PARALLEL_SIZE", "2"),
    ("vllm", {"pipeline-parallel-size": 4}, "SM_VLLM_TENSOR_PARALLEL_SIZE", None),
    ("vllm", {"data-parallel-size": 4}, "SM_VLLM_TENSOR_PARALLEL_SIZE", None),
    ("sglang", {}, "SM_SGLANG_TENSOR_PARALLEL_SIZE", "4"), ("lmi", {}, "TENSOR_PARALLEL_DEGREE", "4"),
])
def test_all_gpus_are_shared_unless_the_arguments_say_how(
    engine: str, arguments: dict[str, Any], name: str, value: str | None,
) -> None:
    assert made(engine, arguments, gpus=4).get(name) == value


@pytest.mark.parametrize(("engine", "arguments", "words"), [
    ("vllm", {"cudagraph-capture-sizes": [1, 8]}, "one value only"),
    ("sglang", {"cuda-graph-bs": [1, 8]}, "one value only"),
    ("sglang", {"disable-radix-cache": False}, "can't be switched off"),
    ("lmi", {"enable-prefix-caching": False}, "only switch"),
    ("lmi", {"enable-chunked-prefill": False}, "only switch"),
    ("lmi", {"pipeline-parallel-size": 2}, "stages"),
    ("vllm", {"override-generation-config": {"x" * 2000: 1}}, "1024"),
    ("vllm", {"dtype": "true"}, "would not take"), ("sglang", {"dtype": "False"}, "would not take"),
    ("vllm", {"dtype": "abc="}, "would not take"), ("vllm", {"dtype": "a\nSM_VLLM_HOST=0"}, "would not take"),
    ("vllm", {"dtype": "--trust-remote-code"}, "would not take"), ("lmi", {"dtype": "a\nb"}, "would not take"),
    ("vllm", {f"option-{n}": n for n in range(100)}, "at most 100"),
])
def test_what_a_container_has_no_way_to_say_is_refused(engine: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        made(engine, arguments)
    assert caught.value.field == "arguments"


def test_names_and_paths_are_held_to_the_same_rules() -> None:
    for path, name in (("x\ny", "qwen3"), ("--model", "qwen3"), ("org/name", "true"), ("org/name", "-x")):
        with pytest.raises(Invalid):
            container_environment("vllm", {}, model_path=path, served_name=name)


def test_no_secret_and_no_boolean_is_in_it() -> None:
    for engine in EngineKind.values:
        found = made(engine, {"enforce-eager": True, "seed": 7} if engine != "sglang" else {"random-seed": 7})
        assert not any("TOKEN" in name and "TOKENS" not in name for name in found)
        assert all(isinstance(value, str) for value in found.values()), "AWS takes text only"


CHECKED: list[tuple[str, str, dict[str, Any]]] = [
    ("vllm", "0.13.0", {"max_model_len": "8K", "enforce-eager": True, "enable-prefix-caching": False, "dtype": "half",
                        "gpu-memory-utilization": 0.85, "limit-mm-per-prompt": {"image": 2, "video": 1},
                        "enable-auto-tool-choice": True, "tool-call-parser": "hermes"}),
    ("vllm", "0.31.0", {"moe-backend": "auto", "spec-method": "ngram", "spec-tokens": 4, "async-scheduling": True}),
    ("sglang", "0.5.6", {"context-length": 8192, "disable-cuda-graph": True, "mem-fraction-static": 0.9,
                         "chunked-prefill-size": -1, "reasoning-parser": "qwen3"}),
]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("images", ["old", "new"])
@pytest.mark.parametrize(("engine", "version", "given"), CHECKED)
def test_a_start_script_makes_the_same_arguments_of_them(
    engine: str, version: str, given: dict[str, Any], images: str,
) -> None:
    release = EngineRelease(slug="x", kind=engine, version=version, device=Device.CUDA)
    arguments = check_arguments(release, given)
    assert len(arguments) == len(given)
    prefix = f"SM_{engine.upper()}_"
    found = subprocess.run(["bash", "-c", START, "start", prefix, images], capture_output=True, text=True, check=True,
                           env={"PATH": os.defpath, **made(engine, arguments)}, timeout=60)
    model = "model-path" if engine == "sglang" else "model"
    wanted = to_argv({**arguments, model: FOLDER, "served-model-name": "qwen3"})
    assert sorted(found.stdout.splitlines()) == sorted(wanted)
