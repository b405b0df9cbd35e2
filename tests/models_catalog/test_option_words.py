from __future__ import annotations

import pytest

from models_catalog.arguments import check_arguments
from models_catalog.choices import Device, EngineKind
from models_catalog.engine_args.table import load_table
from models_catalog.models import EngineRelease
from models_catalog.option_words import GONE, NOT_SET_HERE, grouped
from models_catalog.permitted import PERMITTED
from portal.tenancy.errors import Invalid

RELEASE = EngineRelease(slug="vllm-0.32.0", kind=EngineKind.VLLM, version="0.32.0", device=Device.CUDA)
# facts.md 3.3: the flags of the VLLMCluster form; whoever they are, the form has a field or says why not.
FLAGS_OF_THE_FORM = (
    "model", "served-model-name", "revision", "tokenizer-revision", "code-revision", "max-model-len", "quantization",
    "tensor-parallel-size", "pipeline-parallel-size", "gpu-memory-utilization", "port", "host", "dtype", "kv-cache-dtype",
    "max-num-seqs", "max-num-batched-tokens", "enforce-eager", "enable-prefix-caching", "enable-chunked-prefill",
    "trust-remote-code", "cpu-offload-gb", "download-dir", "load-format", "enable-auto-tool-choice", "tool-call-parser",
    "reasoning-parser", "enable-lora", "max-loras", "max-lora-rank", "max-cpu-loras", "lora-modules", "api-key",
)


def refusal(name: str) -> str:
    with pytest.raises(Invalid) as error:
        check_arguments(RELEASE, {name: "x"})
    return error.value.message


def test_every_permitted_option_is_in_exactly_one_group() -> None:
    names = [name for _label, members in grouped(PERMITTED) for name in members]
    assert names == list(PERMITTED)
    assert len(grouped(PERMITTED)) == 9
    assert grouped(["seed"]) == [("What is served", ["seed"])]


@pytest.mark.parametrize("flag", FLAGS_OF_THE_FORM)
def test_every_flag_of_the_form_has_a_field_or_a_reason(flag: str) -> None:
    table = load_table("vllm", "0.32.0")
    assert table is not None
    assert flag in table.options or str(NOT_SET_HERE[flag]) in refusal(flag)


def test_device_is_gone_and_people_are_told_what_to_do() -> None:
    for spelt in ("device", "--device", "--device=cpu"):
        assert "choose a profile with a CPU release" in refusal(spelt)


@pytest.mark.parametrize("name", GONE)
def test_options_of_older_guides_are_explained(name: str) -> None:
    assert "any more" in refusal(name)


def test_whole_numbers_can_be_a_closed_list() -> None:
    assert check_arguments(RELEASE, {"max-lora-rank": 16}) == {"max-lora-rank": 16}
    with pytest.raises(Invalid, match="must be one of: 1, 8, 16"):
        check_arguments(RELEASE, {"max-lora-rank": 17})


def test_the_table_knows_the_engines_own_defaults() -> None:
    table = load_table("vllm", "0.32.0")
    assert table is not None
    found = {name: table.options[name].default for name in ("gpu-memory-utilization", "dtype", "tensor-parallel-size", "seed")}
    assert found == {"gpu-memory-utilization": 0.92, "dtype": "auto", "tensor-parallel-size": 1, "seed": 0}
    assert table.options["max-model-len"].default is None
