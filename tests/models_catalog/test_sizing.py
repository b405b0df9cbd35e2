"""Memory arithmetic against published and measured figures."""

from __future__ import annotations

import pytest

from models_catalog.seed.files import read_models
from models_catalog.sizing import (
    GIB,
    Shape,
    cpu_cache_gib,
    cpu_memory,
    fit,
    gpu_overhead,
    latent_token_bytes,
    smallest_tensor_parallel,
    token_bytes,
)

SEED = {row["hub"]: row for row in read_models()}

CHECK_VALUES = [
    ("Qwen/Qwen3-0.6B", "1.40", "0.875"),
    ("Qwen/Qwen2.5-7B-Instruct", "14.19", "0.438"),
    ("meta-llama/Llama-3.1-8B-Instruct", "14.96", "1.000"),
    ("meta-llama/Llama-2-7b-chat-hf", "12.55", "4.000"),
    ("google/gemma-3-27b-it", "51.10", "1.031"),
    ("Qwen/Qwen3.6-27B", "51.75", "0.643"),
    ("openai/gpt-oss-20b", "12.82", "0.190"),
    ("openai/gpt-oss-120b", "60.77", "0.286"),
    ("Qwen/Qwen3-30B-A3B", "56.87", "0.750"),
    ("meta-llama/Llama-3.3-70B-Instruct", "131.42", "2.500"),
    ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "58.82", "0.093"),
    ("deepseek-ai/DeepSeek-R1-0528", "641.30", "0.536"),
    ("Qwen/Qwen3-1.7B", "3.78", "0.875"),
    ("Qwen/Qwen3-8B", "15.26", "1.125"),
    ("Qwen/Qwen3-14B", "27.51", "1.250"),
    ("Qwen/Qwen3-32B", "61.02", "2.000"),
    ("Qwen/Qwen2.5-72B-Instruct", "135.43", "2.500"),
    ("Qwen/Qwen3-235B-A22B", "437.90", "1.469"),
    ("meta-llama/Llama-3.2-1B-Instruct", "2.30", "0.250"),
    ("mistralai/Mistral-7B-Instruct-v0.3", "13.50", "1.000"),
    ("microsoft/phi-4", "27.31", "1.562"),
    ("zai-org/GLM-4.5-Air", "205.77", "1.438"),
]


def shape_of(hub: str) -> Shape:
    shape = Shape.of(SEED[hub]["shape"])
    assert shape is not None
    return shape


@pytest.mark.parametrize(("hub", "weights", "cache"), CHECK_VALUES)
def test_weights_and_cache_of_8192_tokens(hub: str, weights: str, cache: str) -> None:
    assert f"{SEED[hub]['weights_bytes'] / GIB:.2f}" == weights
    assert f"{shape_of(hub).sequence_bytes(8192) / GIB:.3f}" == cache


@pytest.mark.parametrize(("layers", "kv_heads", "head_dim", "per_token", "whole"), [
    (32, 32, 128, 524288, "4.00"), (32, 8, 128, 131072, "1.00"), (80, 8, 128, 327680, "2.50"),
    (28, 4, 128, 57344, "0.44"), (28, 8, 128, 114688, "0.88"),
])
def test_bytes_per_token_of_plain_attention(
    layers: int, kv_heads: int, head_dim: int, per_token: int, whole: str,
) -> None:
    assert token_bytes(layers, kv_heads, head_dim) == per_token
    assert f"{per_token * 8192 / GIB:.2f}" == whole


def test_bytes_per_token_of_latent_attention() -> None:
    assert latent_token_bytes(61, 512, 64) == 70272
    assert f"{latent_token_bytes(61, 512, 64) * 8192 / GIB:.2f}" == "0.54"


@pytest.mark.parametrize("hub", [hub for hub, row in SEED.items()
                                 if row["shape"]["kv_layout"]["type"] in {"full", "mla"} and row["task"] != "speech"])
def test_seeded_cache_figures_follow_from_the_shape(hub: str) -> None:
    numbers = SEED[hub]["shape"]
    layout = numbers["kv_layout"]
    if layout["type"] == "mla":
        expected = latent_token_bytes(layout["layers"], layout["kv_lora_rank"], layout["qk_rope_head_dim"])
    elif numbers["kv_bytes_per_token"] is None:
        pytest.skip("the source gives no cache figure")
    else:
        expected = token_bytes(numbers["layers"], numbers["kv_heads"], numbers["head_dim"])
    assert numbers["kv_bytes_per_token"] == expected


def test_windows_bound_the_cache_of_sliding_layers() -> None:
    shape = shape_of("google/gemma-3-27b-it")
    assert f"{(shape.per_token + shape.per_window_token) * 8192 / GIB:.3f}" == "3.875"
    longer = shape.sequence_bytes(16384) - shape.sequence_bytes(8192)
    assert longer == shape.per_token * 8192


def test_eight_bit_cache_halves_the_values_but_not_the_state() -> None:
    shape = shape_of("Qwen/Qwen3.6-27B")
    assert shape.per_sequence > 0
    saved = shape.sequence_bytes(8192) - shape.sequence_bytes(8192, value_bytes=1)
    assert saved == shape.per_token * 8192 // 2


@pytest.mark.parametrize(("kv_heads", "tensor_parallel", "share"), [
    (8, 2, 0.5), (8, 8, 0.125), (4, 8, 0.25), (1, 4, 1),
])
def test_key_value_heads_are_split_but_never_below_one(kv_heads: int, tensor_parallel: int, share: float) -> None:
    assert Shape(heads=32, kv_heads=kv_heads, per_token=1024).rank_share(tensor_parallel) == share


def test_latent_caches_are_repeated_on_every_gpu() -> None:
    shape = shape_of("deepseek-ai/DeepSeek-R1-0528")
    assert shape.sequence_bytes(100, tensor_parallel=8) == shape.sequence_bytes(100)


def test_overhead_grows_with_weights_and_with_sharing() -> None:
    assert gpu_overhead(0) == 1.5 * GIB
    assert gpu_overhead(20 * GIB, 2) == 3 * GIB


def test_an_8b_model_on_80_gib() -> None:
    hub = "meta-llama/Llama-3.1-8B-Instruct"
    shape, weights = shape_of(hub), SEED[hub]["weights_bytes"]
    found = fit(shape, weights, 80 * GIB, context=8192)
    assert found.fits
    assert found.budget == int(80 * GIB * 0.92)
    assert round((found.budget - found.weights - found.overhead) / GIB, 1) == 56.4
    assert int(found.concurrency) == 56  # 1 GiB a sequence
    assert found.tokens == int(found.concurrency * 8192)
    assert not fit(shape, weights, 16 * GIB, context=8192).fits


def test_needed_is_just_enough() -> None:
    shape, weights = shape_of("Qwen/Qwen3-8B"), SEED["Qwen/Qwen3-8B"]["weights_bytes"]
    needed = fit(shape, weights, 80 * GIB, context=32768, sequences=2).needed
    assert fit(shape, weights, needed + 1024, context=32768, sequences=2).fits
    assert not fit(shape, weights, needed - 1024**2, context=32768, sequences=2).fits


@pytest.mark.parametrize(("hub", "gpus"), [
    ("Qwen/Qwen3-8B", 1), ("Qwen/Qwen3-32B", 1), ("meta-llama/Llama-3.3-70B-Instruct", 2), ("openai/gpt-oss-120b", 1),
    ("Qwen/Qwen3-235B-A22B", 8), ("deepseek-ai/DeepSeek-R1-0528", None),
])
def test_fewest_gpus_of_79_gib(hub: str, gpus: int | None) -> None:
    found = smallest_tensor_parallel(shape_of(hub), SEED[hub]["weights_bytes"], 79 * GIB, context=8192)
    assert found == gpus


def test_tensor_parallel_sizes_that_do_not_divide_the_heads_are_left_out() -> None:
    shape = Shape(heads=14, kv_heads=2, per_token=1024)
    assert smallest_tensor_parallel(shape, 100 * GIB, 79 * GIB, context=100) == 2
    assert smallest_tensor_parallel(shape, 200 * GIB, 79 * GIB, context=100) is None


def test_cpu_memory_covers_what_was_measured() -> None:
    shape, weights = shape_of("Qwen/Qwen3-0.6B"), SEED["Qwen/Qwen3-0.6B"]["weights_bytes"]
    assert cpu_cache_gib(shape, context=4096, sequences=2) == 1
    assert cpu_memory(weights, 4) > 7 * 10**9  # about 7 GB were seen with a 4 GiB cache
    assert cpu_memory(90 * 2**20, 1) > (1.7 + 0.6 + 0.6) * 10**9  # all-MiniLM-L6-v2 with 1 GiB


def test_numbers_without_a_cache_figure_give_no_shape() -> None:
    assert Shape.of({"heads": 8, "kv_bytes_per_token": None}) is None
    assert Shape.of({}) is None


def test_models_without_a_cache_fit_by_weights_alone() -> None:
    shape = shape_of("sentence-transformers/all-MiniLM-L6-v2")
    assert shape.sequence_bytes(512) == 0
    assert fit(shape, SEED["sentence-transformers/all-MiniLM-L6-v2"]["weights_bytes"], 4 * GIB, context=512).fits
