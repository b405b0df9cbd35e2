"""Engine arguments and environment: the corpus of reliability rows T21, T22 and T23."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models_catalog.arguments import check_arguments, check_environment, to_argv
from models_catalog.choices import Device, EngineKind
from models_catalog.engine_args.table import load_table, make_table
from models_catalog.models import EngineRelease
from models_catalog.permitted import PERMITTED
from portal.tenancy.errors import Invalid

RELEASE = EngineRelease(slug="vllm-0.32.0", kind=EngineKind.VLLM, version="0.32.0", device=Device.CUDA)

DENIED = [
    "trust-remote-code", "trust_remote_code", "--trust-remote-code", "no-trust-remote-code", "host", "port", "uds",
    "api-key", "api_key", "served-model-name", "served_model_name", "model", "chat-template", "chat_template", "config",
    "middleware", "hf-overrides", "tool-parser-plugin", "reasoning-parser-plugin", "ssl-keyfile", "ssl-certfile",
    "ssl-ca-certs", "ssl-cert-reqs", "ssl-ciphers", "enable-ssl-refresh", "allowed-origins", "allowed-methods",
    "allowed-headers", "allow-credentials", "allowed-local-media-path", "allowed-media-domains", "download-dir",
    "additional-config", "tokenizer", "tokenizer-revision", "revision", "code-revision", "hf-token", "hf-config-path",
    "logits-processors", "io-processor-plugin", "worker-cls", "worker-extension-cls", "scheduler-cls", "model-class-overrides",
    "model-loader-extra-config", "ignore-patterns", "kv-transfer-config", "kv-events-config", "ec-transfer-config",
    "compilation-config", "speculative-config", "spec-model", "lora-modules", "default-mm-loras", "generation-config",
    "media-io-kwargs", "mm-processor-kwargs", "otlp-traces-endpoint", "log-config-file", "logging-config", "root-path",
    "profiler-config", "weight-transfer-config", "master-addr", "master-port", "data-parallel-address", "node-rank",
    "nnodes", "headless", "grpc", "tool-server", "mm-encoder-fp8-scale-path", "mm-encoder-fp8-scale-save-path",
    "disable-log-stats", "enable-log-requests", "pt-load-map-location", "trust-request-chat-template",
    "ray-workers-use-nsight", "device-ids", "enable-prompt-embeds", "skip-tokenizer-init", "uvicorn-log-level",
]

STRANGE_NAMES: list[Any] = [
    # values written into the name
    "--host=0.0.0.0", "trust-remote-code=true", "max-model-len=4096", "--max-model-len 4096", "max-model-len\n--host",
    "max-model-len\t1", " max-model-len", "max-model-len ", "max-model-len\x00", "\x00",
    # abbreviations, which an argument parser would complete
    "trust-rem", "--trust", "max-model", "max-m", "served", "gpu-memory-util", "ho", "enable-auto-tool",
    # look-alike characters
    "trust‐remote‐code", "max‑model‑len", "max–model–len", "max—model—len", "max−model−len", "mаx-model-len",
    "ｍａｘ-model-len", "max-model-len\u200b", "\u202emax-model-len", "‑‑host",
    # aliases and negations have one spelling
    "-tp", "tp", "-q", "-pp", "device-memory-utilization", "no-enforce-eager", "--no-enable-prefix-caching",
    # shapes that are no names
    "", "-", "--", "---max-model-len", "-max-model-len", "MAX-MODEL-LEN", "Max-Model-Len", "max.model.len", "a" * 500,
    "device", "swap-space", "enable-reasoning", "guided-decoding-backend", "; rm -rf /", "$(id)", "../max-model-len",
    1, None, True, ("max-model-len",),
]

WRONG_VALUES: list[tuple[str, Any]] = [
    ("max-model-len", "4096; id"), ("max-model-len", True), ("max-model-len", 0), ("max-model-len", -1),
    ("max-model-len", 1.5), ("max-model-len", None), ("max-model-len", [4096]), ("max-model-len", {"a": 1}),
    ("max-model-len", "٤٠٩٦"), ("max-model-len", "1e9"), ("max-model-len", 10**12), ("max-model-len", "--host"),
    ("tensor-parallel-size", "2"), ("tensor-parallel-size", 2.0), ("tensor-parallel-size", 0), ("tensor-parallel-size", 65),
    ("gpu-memory-utilization", 0), ("gpu-memory-utilization", 1.01), ("gpu-memory-utilization", "0.9"),
    ("gpu-memory-utilization", float("nan")), ("gpu-memory-utilization", float("inf")), ("gpu-memory-utilization", True),
    ("enforce-eager", "true"), ("enforce-eager", 1), ("enforce-eager", None), ("enforce-eager", ""),
    ("dtype", "int3"), ("dtype", "half; touch /tmp/x"), ("dtype", "$(id)"), ("dtype", "`id`"), ("dtype", "half\n--host"),
    ("dtype", "half && id"), ("dtype", "half|id"), ("dtype", ""), ("dtype", 16), ("dtype", ["half"]), ("dtype", "HALF"),
    ("dtype", "../../etc/passwd"), ("dtype", "-h"), ("quantization", "evil.module.Class"), ("quantization", "gguf"),
    ("load-format", "pt"), ("load-format", "dummy"), ("load-format", "tensorizer"), ("load-format", "runai_streamer"),
    ("load-format", "evil"), ("tool-call-parser", "/etc/passwd"), ("tool-call-parser", "my.plugin"),
    ("reasoning-parser", "$(id)"), ("distributed-executor-backend", "evil.module.Executor"),
    ("distributed-executor-backend", "external_launcher"), ("attention-backend", "CUSTOM"), ("attention-backend", "a.b.C"),
    ("spec-method", "custom_class"), ("spec-method", "draft_model"), ("runner", "draft"), ("optimization-level", "4"),
    ("kv-cache-dtype", "fp9"), ("tokenizer-mode", "custom"), ("config-format", "evil"), ("model-impl", "evil"),
    ("limit-mm-per-prompt", {}), ("limit-mm-per-prompt", "image=1"), ("limit-mm-per-prompt", {"x": 1}),
    ("limit-mm-per-prompt", {"image": -1}), ("limit-mm-per-prompt", {"image": {"count": 1}}),
    ("limit-mm-per-prompt", {"image": None}), ("override-generation-config", {"chat_template": "x"}),
    ("override-generation-config", {"temperature": [1]}), ("override-generation-config", {"temperature": "$(id)"}),
    ("pooler-config", {"logit_bias": "/x"}), ("pooler-config", {"pooling_type": 1}), ("pooler-config", {1: "MEAN"}),
    ("pooler-config", {"pooling_type": "x.y"}), ("pooler-config", {"use_activation": "yes"}),
    ("structured-outputs-config", {"reasoning_parser_plugin": "/x.py"}),
    ("cudagraph-capture-sizes", []), ("cudagraph-capture-sizes", 8), ("cudagraph-capture-sizes", [0]),
    ("cudagraph-capture-sizes", ["1"]), ("cudagraph-capture-sizes", [1] * 300), ("seed", -1), ("seed", 2**32),
]

RIGHT: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {}, []),
    ({"max_model_len": 4096}, {"max-model-len": 4096}, ["--max-model-len", "4096"]),
    ({"--max-model-len": "8k"}, {"max-model-len": 8000}, ["--max-model-len", "8000"]),
    ({"max-model-len": "8K"}, {"max-model-len": 8192}, ["--max-model-len", "8192"]),
    ({"enforce-eager": True}, {"enforce-eager": True}, ["--enforce-eager"]),
    ({"enable_prefix_caching": False}, {"enable-prefix-caching": False}, ["--no-enable-prefix-caching"]),
    ({"gpu-memory-utilization": 1}, {"gpu-memory-utilization": 1}, ["--gpu-memory-utilization", "1"]),
    ({"cpu-offload-gb": 2.5}, {"cpu-offload-gb": 2.5}, ["--cpu-offload-gb", "2.5"]),
    ({"seed": 1, "dtype": "half"}, {"dtype": "half", "seed": 1}, ["--dtype", "half", "--seed", "1"]),
    ({"limit-mm-per-prompt": {"image": 2}}, {"limit-mm-per-prompt": {"image": 2}},
     ["--limit-mm-per-prompt", '{"image":2}']),
    ({"cudagraph-capture-sizes": [1, 8]}, {"cudagraph-capture-sizes": [1, 8]},
     ["--cudagraph-capture-sizes", "1", "8"]),
    ({"pooler-config": {"pooling_type": "MEAN", "use_activation": True}},
     {"pooler-config": {"pooling_type": "MEAN", "use_activation": True}},
     ["--pooler-config", '{"pooling_type":"MEAN","use_activation":true}']),
    ({"enable-auto-tool-choice": True, "tool-call-parser": "hermes", "reasoning-parser": "qwen3"},
     {"enable-auto-tool-choice": True, "reasoning-parser": "qwen3", "tool-call-parser": "hermes"},
     ["--enable-auto-tool-choice", "--reasoning-parser", "qwen3", "--tool-call-parser", "hermes"]),
]


def test_the_corpus_is_large_enough() -> None:
    assert len(DENIED) + len(STRANGE_NAMES) + len(WRONG_VALUES) + len(RIGHT) >= 150


@pytest.mark.parametrize("name", DENIED)
@pytest.mark.parametrize("value", [False, "x"])
def test_what_names_code_files_addresses_or_secrets_is_not_permitted(name: str, value: Any) -> None:
    with pytest.raises(Invalid, match="is not permitted") as caught:
        check_arguments(RELEASE, {name: value})
    assert (caught.value.field, caught.value.status) == ("arguments", 422)


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_name_is_compared_whole(name: Any) -> None:
    with pytest.raises(Invalid) as caught:
        check_arguments(RELEASE, {name: True})
    assert caught.value.field == "arguments"
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES)
def test_a_value_has_the_right_type_and_lies_in_its_range(name: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        check_arguments(RELEASE, {name: value})
    assert name in caught.value.message


@pytest.mark.parametrize(("given", "checked", "argv"), RIGHT)
def test_permitted_arguments_become_one_vector(given: dict[str, Any], checked: dict[str, Any], argv: list[str]) -> None:
    assert check_arguments(RELEASE, given) == checked
    assert to_argv(checked) == argv
    assert check_arguments(RELEASE, checked) == checked, "checking again changes nothing"


def test_an_argument_in_two_spellings_is_refused() -> None:
    with pytest.raises(Invalid, match="given twice"):
        check_arguments(RELEASE, {"max-model-len": 1, "max_model_len": 2})


@pytest.mark.parametrize(("typed", "meant"), [
    ("max-model-length", "max-model-len"), ("enforce-eagre", "enforce-eager"), ("tensor-parallel", "tensor-parallel-size"),
    ("gpu-memory-utilisation", "gpu-memory-utilization"), ("-tp", "tensor-parallel-size"),
    ("no-enforce-eager", "enforce-eager"),
])
def test_a_wrong_name_is_answered_with_the_nearest_right_one(typed: str, meant: str) -> None:
    with pytest.raises(Invalid, match=f"“{meant}”"):
        check_arguments(RELEASE, {typed: 1})


def test_arguments_are_an_object_of_bounded_size() -> None:
    for wrong in (["--host"], "--host 0.0.0.0", 7):
        with pytest.raises(Invalid):
            check_arguments(RELEASE, wrong)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="at most 64"):
        check_arguments(RELEASE, {f"x{n}": 1 for n in range(65)})


def test_a_release_without_a_table_takes_no_arguments() -> None:
    unknown = EngineRelease(slug="sglang-9.9.9", kind=EngineKind.SGLANG, version="9.9.9", device=Device.CUDA)
    assert check_arguments(unknown, {}) == {}
    with pytest.raises(Invalid, match="has no list of arguments"):
        check_arguments(unknown, {"dtype": "half"})
    sneaky = EngineRelease(slug="x", kind="vllm", version="/../../engine_args/vllm-0.32.0", device=Device.CUDA)
    assert load_table(sneaky.kind, sneaky.version) is None


def test_no_argument_reaches_a_shell(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for name in ("dtype", "quantization", "tool-call-parser", "attention-backend"):
        for text in (f"half; touch {marker}", f"$(touch {marker})", f"`touch {marker}`", f"x\ntouch {marker}"):
            with pytest.raises(Invalid):
                check_arguments(RELEASE, {name: text})
    argv = to_argv(check_arguments(RELEASE, RIGHT[-1][0]))
    program = "import json,sys; print(json.dumps(sys.argv[1:]))"
    seen = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=True)
    assert json.loads(seen.stdout) == argv
    assert not marker.exists()


@pytest.mark.parametrize("name", [
    "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "BASH_ENV", "ENV", "PATH", "HOME",
    "HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY",
    "VLLM_PLUGINS", "VLLM_API_KEY", "VLLM_HOST_IP", "VLLM_PORT", "VLLM_CACHE_ROOT", "VLLM_SERVER_DEV_MODE",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_ALLOW_INSECURE_SERIALIZATION", "VLLM_USE_MODELSCOPE", "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "KUBERNETES_SERVICE_HOST",
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PORTAL_SECRET_KEY", "omp_num_threads", "OMP_NUM_THREADS ", "OMP_NUM_THREADS=1",
    "A=B", "OMP_NUM_THREADS\x00", "", "ＯＭＰ_NUM_THREADS", 1, None,
])
def test_environment_variables_outside_the_list_are_not_permitted(name: Any) -> None:
    with pytest.raises(Invalid, match="not permitted") as caught:
        check_environment({name: "1"})
    assert caught.value.field == "environment"


@pytest.mark.parametrize(("name", "value"), [
    ("OMP_NUM_THREADS", "0"), ("OMP_NUM_THREADS", "1; id"), ("OMP_NUM_THREADS", "1\n"), ("OMP_NUM_THREADS", None),
    ("OMP_NUM_THREADS", True), ("OMP_NUM_THREADS", [1]), ("OMP_NUM_THREADS", "٤"), ("VLLM_LOGGING_LEVEL", "info"),
    ("VLLM_CPU_OMP_THREADS_BIND", "$(id)"), ("VLLM_CPU_KVCACHE_SPACE", "-1"), ("VLLM_CPU_KVCACHE_SPACE", 1.5),
    ("HF_HUB_OFFLINE", "2"), ("TOKENIZERS_PARALLELISM", "1"), ("VLLM_PP_LAYER_PARTITION", "16,"),
])
def test_environment_values_fit_their_pattern(name: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        check_environment({name: value})
    assert caught.value.field == "environment"


def test_permitted_environment_is_sorted_text() -> None:
    given = {"VLLM_CPU_OMP_THREADS_BIND": "0-15|16-31", "OMP_NUM_THREADS": 4, "HF_HUB_OFFLINE": "1"}
    checked = check_environment(given)
    assert list(checked.items()) == [("HF_HUB_OFFLINE", "1"), ("OMP_NUM_THREADS", "4"),
                                     ("VLLM_CPU_OMP_THREADS_BIND", "0-15|16-31")]
    with pytest.raises(Invalid):
        check_environment(["A"])  # type: ignore[arg-type]


def test_every_permitted_option_is_in_the_engine_and_has_help() -> None:
    table = load_table("vllm", "0.32.0")
    assert table is not None
    assert set(table.options) == set(PERMITTED)
    assert all(option.help for option in table.options.values())
    assert not set(table.options) & table.refused
    assert {"trust-remote-code", "api-key", "host", "chat-template"} <= table.refused


def test_text_options_are_closed_lists() -> None:
    table = load_table("vllm", "0.32.0")
    assert table is not None
    assert [o.name for o in table.options.values() if o.type == "string" and not o.choices] == []


def test_numbers_have_a_range_and_objects_have_members() -> None:
    table = load_table("vllm", "0.32.0")
    assert table is not None
    for option in table.options.values():
        assert option.type not in {"integer", "tokens", "number"} or None not in option.range, option.name
        assert option.type != "object" or option.keys, option.name


def test_a_new_option_of_the_engine_is_refused_until_somebody_permits_it() -> None:
    rows = [{"name": "dtype", "type": "string", "choices": ["half"]}, {"name": "run-this", "type": "string"}]
    table = make_table("vllm", "9.9.9", rows)
    assert [option["name"] for option in table["options"]] == ["dtype"]
    assert table["refused"] == ["run-this"]
