"""VLLMCluster objects read: both samples of the guide, every trap in them, and what is refused with its path."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from clusters.units import GIB
from endpoints.autoscale import check_autoscale
from endpoints.states import Status
from endpoints.vllmclusters import ModelFacts, Seen, Wished, model_of, read, refused_status, status_of
from models_catalog.sizing import Shape
from portal.tenancy.errors import Invalid
from portal.tenancy.strict_yaml import load

SAMPLES = Path(__file__).parent / "samples"
NO_LAYERS = {"layers": 24, "hidden_size": 1024, "heads": 16, "kv_heads": 16, "head_dim": 64, "vocab_size": 50257, "moe": None,
             "kv_layout": {"type": "full", "layers": 24}, "kv_bytes_per_token": 98304, "kv_sliding_bytes_per_token": 0,
             "kv_window": None, "kv_state_bytes": 0, "kv_indexer_bytes_per_token": 0, "intermediate_size": 4096}
DIALO = ModelFacts(context_tokens=1024, weights_bytes=862_955_157, shape=Shape.of(NO_LAYERS))
LLAMA = ModelFacts(context_tokens=4096, weights_bytes=13_476_831_232, gated=True)


def sample(name: str, **changes: Any) -> dict[str, Any]:
    """A sample of the guide; `changes` are spec parts by path, such as model__modelPath."""
    manifest: dict[str, Any] = load((SAMPLES / f"vllmcluster-{name}.yaml").read_text())
    for path, value in changes.items():
        at: Any = manifest["spec"]
        *steps, last = path.split("__")
        for step in steps:
            at = at.setdefault(step, {})
        at[last] = value
    return manifest


def said(wished: Wished, *words: str) -> bool:
    """Whether one of the notes has all these words."""
    return any(all(word in note for word in words) for note in wished.notes)


def test_the_basic_sample_becomes_a_cpu_engine_that_can_start() -> None:
    wished = read(sample("basic"), DIALO)
    assert (wished.name, wished.location, wished.device, wished.replicas) == (
        "my-vllm-cluster", "microsoft/DialoGPT-medium", "cpu", 1)
    assert (wished.needs.cpu_millis, wished.needs.memory_bytes, wished.needs.gpus, wished.needs.nodes) == (2000, 8 * GIB, 0, 1)
    assert wished.arguments == {"max-model-len": 1024, "dtype": "bfloat16", "enforce-eager": True, "max-num-seqs": 4,
                                "shutdown-timeout": 30}
    assert wished.environment == {"VLLM_CPU_KVCACHE_SPACE": "1"}
    assert (wished.autoscale, wished.placement) == ({}, {})
    assert said(wished, "No GPU", "CUDA", "CPU release")  # trap 48
    assert said(wished, "2048", "1024")  # trap 51
    assert said(wished, "8.0 GiB", "4.0 GiB", "promised whole")  # trap 48


def test_the_advanced_sample_becomes_what_was_meant() -> None:
    wished = read(sample("advanced"), LLAMA)
    assert (wished.device, wished.replicas, wished.needs.gpus, wished.needs.nodes, wished.needs.memory_bytes) == (
        "cuda", 2, 2, 1, 32 * GIB)
    assert wished.arguments == {"gpu-memory-utilization": 0.9, "tensor-parallel-size": 2, "shutdown-timeout": 30}
    assert wished.placement == {
        "node_selector": {"accelerator": "nvidia-tesla-v100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}]}
    assert said(wished, "awq", "not quantised", "left out")  # trap 49
    assert said(wished, "nvidia-tesla-v100", "old GPU")  # trap 50
    assert said(wished, "nvidia.com/gpu=present", "Exists")  # trap 52
    assert said(wished, "2 GPUs for each replica", "10 GPUs at 5")  # trap 54
    assert said(wished, "gated", "token")
    scaling, notes = check_autoscale(wished.autoscale)
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (1, 5)
    assert scaling["triggers"][0]["metadata"] == {
        "serverAddress": "http://prometheus:9090", "signal": "waiting", "threshold": "10"}  # traps 40, 41
    assert "vllm_request_queue_size" in notes[0]


def test_the_samples_are_read_without_knowing_the_models_too() -> None:
    basic, advanced = read(sample("basic")), read(sample("advanced"))
    assert basic.arguments["max-model-len"] == 2048
    assert basic.environment == {"VLLM_CPU_KVCACHE_SPACE": "2"}
    assert advanced.arguments["quantization"] == "awq"
    assert said(advanced, "awq", "only works where")
    assert said(advanced, "7.5", "nvidia-tesla-v100")  # trap 50


@pytest.mark.parametrize(("facts", "method", "kept"), [
    (ModelFacts(quantisation="awq int4 group 128", weights_bytes=1), "awq", "awq"),
    (ModelFacts(quantisation="awq int4 group 128", weights_bytes=1), "awq_marlin", "awq_marlin"),
    (ModelFacts(quantisation="fp8", weights_bytes=1), "awq", None), (ModelFacts(weights_bytes=1), "gptq", None),
    (ModelFacts(weights_bytes=1), "fp8", "fp8"), (ModelFacts(), "gptq", "gptq"), (ModelFacts(weights_bytes=1), "", None),
])
def test_quantisation_must_fit_the_checkpoint_or_happen_while_it_loads(
    facts: ModelFacts, method: str, kept: str | None,
) -> None:
    wished = read(sample("advanced", model__quantizationMethod=method), facts)
    assert wished.arguments.get("quantization") == kept


@pytest.mark.parametrize(("gpus", "tensor", "pipeline", "nodes", "words"), [
    ("1", 1, 1, 1, ""), ("8", 8, 1, 1, ""), ("4", 2, 2, 1, ""), ("8", 8, 2, 2, "a group of 2 pods"), ("4", 2, 4, 2, "2 pods"),
    ("4", 2, 1, 1, "uses 2 of them"),
])
def test_parallel_sizes_decide_over_how_many_nodes_a_replica_goes(
    gpus: str, tensor: int, pipeline: int, nodes: int, words: str,
) -> None:
    wished = read(sample("advanced", resources__resources={"limits": {"nvidia.com/gpu": gpus, "memory": "32Gi"}},
                         vllm__tensorParallelSize=tensor, vllm__pipelineParallelSize=pipeline))
    assert wished.needs.nodes == nodes
    assert said(wished, words)


@pytest.mark.parametrize(("name", "changes", "field"), [
    ("basic", {"model__modelPath": None}, "spec.model.modelPath"), ("basic", {"model__modelPath": "/models/x"}, "modelPath"),
    ("basic", {"model__modelPath": "../x"}, "location"), ("basic", {"model__modelPath": 7}, "spec.model.modelPath"),
    ("basic", {"model__revision": "a b"}, "revision"), ("basic", {"model": []}, "spec.model"),
    ("basic", {"model__maxModelLength": "2k"}, "spec.model.maxModelLength"), ("basic", {"replicas": -1}, "spec.replicas"),
    ("basic", {"replicas": "2"}, "spec.replicas"), ("basic", {"vllm__tensorParallelSize": 2}, "limits"),
    ("basic", {"vllm__tensorParallelSize": 0}, "tensorParallelSize"), ("basic", {"vllm": 1}, "spec.vllm"),
    *[("basic", {"resources__resources__requests__memory": text}, "spec.resources.resources.requests.memory")
      for text in ("lots", "-1Gi", [], "4 GiB")],
    ("advanced", {"vllm__tensorParallelSize": 4}, "tensorParallelSize"),
    ("advanced", {"vllm__tensorParallelSize": 3}, "tensorParallelSize"),
    ("advanced", {"vllm__gpuMemoryUtilization": "90%"}, "spec.vllm.gpuMemoryUtilization"),
    ("advanced", {"vllm__gpuMemoryUtilization": "1.5"}, "spec.vllm.gpuMemoryUtilization"),
    ("advanced", {"vllm__gpuMemoryUtilization": 0.9}, "spec.vllm.gpuMemoryUtilization"),
    ("advanced", {"autoScaling__enabled": "yes"}, "spec.autoScaling.enabled"),
    ("advanced", {"resources__nodeSelector": {"node-role.kubernetes.io/control-plane": ""}}, "placement"),
    ("advanced", {"resources__tolerations": [{"operator": "Exists"}]}, "placement"),
])
def test_what_can_not_be_followed_is_refused_with_its_path(name: str, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as error:
        read(sample(name, **changes))
    assert field in error.value.field


@pytest.mark.parametrize("manifest", [
    {}, {"kind": "VLLMCluster"}, {"apiVersion": "training.distributed-inference.io/v1alpha1", "kind": "Pod"},
    {"apiVersion": "training.distributed-inference.io/v2", "kind": "VLLMCluster"},
])
def test_other_objects_are_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="no VLLMCluster"):
        model_of(manifest)


def test_what_nobody_knows_is_left_out_with_a_note() -> None:
    wished = read(sample("basic", image="nginx:latest", vllm__tensorParalelSize=2, vllm__servePort=8080,
                         vllm__gpuMemoryUtilization="0.5", tensorParallelSize=2))
    for words in (("spec.image", "left out"), ("tensorParalelSize", "Did you mean tensorParallelSize?"), ("8080", "8000"),
                  ("gpuMemoryUtilization", "without a GPU"), ("spec.tensorParallelSize",)):
        assert said(wished, *words), words


def test_a_claim_can_hold_the_weights() -> None:
    assert model_of(sample("basic", model__modelPath="pvc://models/qwen3")) == ("volume", "pvc://models/qwen3", "")


def test_no_replica_is_a_wish_too() -> None:
    assert read(sample("basic", replicas=0)).replicas == 0


def test_autoscaling_that_is_not_enabled_is_none() -> None:
    assert read(sample("advanced", autoScaling__enabled=False)).autoscale == {}
    wished = read(sample("advanced", replicas=7))
    assert said(wished, "replicas 7 lies outside of 1 to 5")  # trap 45: KEDA owns the number


def test_reading_changes_nothing() -> None:
    manifest = sample("advanced")
    before = copy.deepcopy(manifest)
    read(manifest, LLAMA)
    assert manifest == before


# The way back


def seen(status: str = Status.INSERVICE, **values: Any) -> Seen:
    base = {"cause": "", "message": "", "replicas": 2, "ready": 2, "generation": 3, "notes": ()}
    return Seen(status=status, **{**base, **values})


@pytest.mark.parametrize(("status", "ready", "phase", "holds"), [
    (Status.PENDING, 0, "Pending", "False"), (Status.CREATING, 0, "Progressing", "False"),
    (Status.INSERVICE, 2, "Ready", "True"), (Status.UPDATING, 1, "Progressing", "True"),
    (Status.DEGRADED, 1, "Degraded", "True"), (Status.FAILED, 0, "Failed", "False"),
    (Status.STALLED, 0, "Failed", "False"), (Status.DELETING, 0, "Terminating", "False"),
])
def test_the_status_says_what_was_seen(status: str, ready: int, phase: str, holds: str) -> None:
    made = status_of("my-llm", seen(status, ready=ready), {}, "2026-01-01T00:00:00Z")
    assert (made["phase"], made["readyReplicas"], made["replicas"], made["observedGeneration"]) == (phase, ready, 2, 3)
    assert made["selector"] == "app=vllm-cluster,cluster=my-llm"
    assert made["conditions"][0]["status"] == holds


def test_scaled_to_zero_is_ready() -> None:
    made = status_of("x", seen(replicas=0, ready=0), {}, "2026-01-01T00:00:00Z")
    assert made["conditions"][0]["status"] == "True"


def test_every_status_has_a_phase() -> None:
    for status in Status.values:
        assert status_of("x", seen(status), {}, "2026-01-01T00:00:00Z")["phase"]


def test_a_condition_keeps_its_time_while_it_stays_so_that_nothing_is_written() -> None:
    first = status_of("x", seen(notes=["a"]), {}, "2026-01-01T00:00:00Z")
    assert status_of("x", seen(notes=["a"]), first, "2026-01-02T00:00:00Z") == first
    later = status_of("x", seen(Status.FAILED, ready=0, cause="CrashLoop", message="It crashed\x1b[31m."), first,
                      "2026-01-02T00:00:00Z")
    by_type = {one["type"]: one for one in later["conditions"]}
    assert by_type["Ready"]["lastTransitionTime"] == "2026-01-02T00:00:00Z"
    assert (by_type["Ready"]["reason"], by_type["Ready"]["message"]) == ("CrashLoop", "It crashed.")
    assert by_type["Accepted"]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_notes_are_a_condition_and_refusals_say_why() -> None:
    made = status_of("x", seen(notes=["One.", "Two."]), {}, "2026-01-01T00:00:00Z")
    assert next(one for one in made["conditions"] if one["type"] == "Adjusted")["message"] == "One. Two."
    refused = refused_status("No such thing.", 4, {}, "2026-01-01T00:00:00Z")
    assert (refused["phase"], refused["observedGeneration"]) == ("Failed", 4)
    assert {one["message"] for one in refused["conditions"]} == {"No such thing."}
