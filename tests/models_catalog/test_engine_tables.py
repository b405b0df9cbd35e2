"""Every shipped table of engine options keeps to the same rules; each engine's own parser once took all that they permit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django import forms

from models_catalog.argument_form import ArgumentsField
from models_catalog.arguments import check_arguments
from models_catalog.choices import Device
from models_catalog.engine_args.table import FOLDER, PERMITS, Table, load_table, make_table
from models_catalog.models import EngineRelease
from models_catalog.option_words import grouped
from models_catalog.seed.files import read_releases
from portal.tenancy.errors import Invalid

TABLES = sorted(path.stem for path in FOLDER.glob("*.json"))
# What names code, files, addresses, other models or secrets, under the names of any engine.
REFUSED = {
    "vllm": {"trust-remote-code", "host", "port", "api-key", "chat-template", "hf-overrides", "model", "tokenizer", "revision",
             "download-dir", "lora-modules", "worker-cls", "model-loader-extra-config", "served-model-name", "middleware",
             "ssl-keyfile", "allowed-local-media-path", "tool-parser-plugin", "speculative-config", "kv-transfer-config"},
    "lmi": {"trust-remote-code", "hf-overrides", "model", "tokenizer", "revision", "download-dir", "worker-cls",
            "scheduler-cls", "model-loader-extra-config", "allowed-local-media-path", "served-model-name", "hf-token",
            "speculative-config", "qlora-adapter-name-or-path", "kv-transfer-config"},
    "sglang": {"trust-remote-code", "host", "port", "nccl-port", "api-key", "chat-template", "completion-template",
               "model-path", "tokenizer-path", "revision", "download-dir", "lora-paths", "served-model-name",
               "model-loader-extra-config",
               "json-model-override-args", "custom-weight-loader", "enable-custom-logit-processor", "dist-init-addr",
               "tool-server", "config", "file-storage-path", "crash-dump-folder", "forward-hooks", "log-requests",
               "speculative-draft-model-path", "hicache-storage-backend", "debug-tensor-dump-output-folder",
               "init-expert-location", "otlp-traces-endpoint", "decrypted-config-file", "kt-weight-path"},
}
NAMES_OF_DANGER = ("path", "url", "host", "port", "addr", "token", "key", "folder", "dir", "file", "plugin", "cls", "hook",
                   "template", "remote")
# Words that only look like it.
HARMLESS = {"max-num-batched-tokens", "long-prefill-token-threshold", "max-num-queued-tokens", "spec-tokens",
            "max-total-tokens", "max-prefill-tokens", "enable-prompt-tokens-details", "speculative-num-draft-tokens",
            "tokenizer-mode", "chat-template-content-format", "swa-full-tokens-ratio"}


def table_of(stem: str) -> Table:
    engine, _dash, version = stem.partition("-")
    table = load_table(engine, version)
    assert table is not None
    return table


def release_of(stem: str) -> EngineRelease:
    engine, _dash, version = stem.partition("-")
    return EngineRelease(slug=stem, kind=engine, version=version, device=Device.CUDA)


def test_every_seeded_release_has_a_table() -> None:
    assert {f"{row['kind']}-{row['version']}" for row in read_releases()} == set(TABLES)


@pytest.mark.parametrize("stem", TABLES)
def test_a_table_is_made_as_the_code_of_today_would_make_it(stem: str) -> None:
    data = json.loads((FOLDER / f"{stem}.json").read_text())
    rows = [{**row, "aliases": [alias for alias, name in data["aliases"].items() if name == row["name"]]}
            for row in data["options"]] + [{"name": name, "type": "string"} for name in data["refused"]]
    assert json.loads(json.dumps(make_table(data["engine"], data["version"], rows))) == data


@pytest.mark.parametrize("stem", TABLES)
def test_options_are_closed_bounded_and_explained(stem: str) -> None:
    table = table_of(stem)
    assert len(table.options) > 30
    for option in table.options.values():
        assert option.help
        assert option.name in PERMITS[table.engine]
        assert option.type != "string" or option.choices, option.name
        assert option.type not in {"integer", "tokens", "number"} or None not in option.range, option.name
        assert option.type != "object" or option.keys, option.name
    assert not set(table.options) & table.refused
    assert not set(table.aliases) & set(table.options)


@pytest.mark.parametrize("stem", TABLES)
def test_nothing_dangerous_is_permitted(stem: str) -> None:
    table = table_of(stem)
    assert REFUSED[table.engine] <= table.refused
    suspicious = {name for name in table.options if any(word in name.split("-") for word in NAMES_OF_DANGER)
                  or "token" in name}
    assert suspicious <= HARMLESS
    for name in sorted(REFUSED[table.engine]):
        for spelt in (name, name.replace("-", "_"), f"--{name}"):
            with pytest.raises(Invalid, match="not permitted"):
                check_arguments(release_of(stem), {spelt: True})


@pytest.mark.parametrize("stem", TABLES)
@pytest.mark.parametrize("value", ["pt", "dummy", "npcache", "tensorizer", "runai_streamer", "remote", "gguf"])
def test_formats_that_can_hold_code_stay_out(stem: str, value: str) -> None:
    with pytest.raises(Invalid, match="must be one of"):
        check_arguments(release_of(stem), {"load-format": value})


@pytest.mark.parametrize(("stem", "given", "checked"), [
    ("vllm-0.13.0", {"seed": 7, "max-model-len": "8K"}, {"seed": 7, "max-model-len": 8192}),
    ("vllm-0.31.0", {"spec-method": "ngram"}, {"spec-method": "ngram"}),
    ("sglang-0.5.6", {"context_length": 8192, "disable-cuda-graph": False}, {"context-length": 8192}),
    ("sglang-0.5.6", {"chunked-prefill-size": -1}, {"chunked-prefill-size": -1}),
    ("lmi-15.0.0", {"max-num-seqs": 64, "enable-chunked-prefill": True}, {"max-num-seqs": 64, "enable-chunked-prefill": True}),
])
def test_each_engine_takes_its_own_names(stem: str, given: dict[str, Any], checked: dict[str, Any]) -> None:
    assert check_arguments(release_of(stem), given) == checked


@pytest.mark.parametrize(("stem", "given", "words"), [
    ("vllm-0.13.0", {"spec-method": "ngram"}, "has no argument"), ("sglang-0.5.6", {"max-model-len": 1}, "has no argument"),
    ("sglang-0.5.6", {"tp-size": 2}, "“tensor-parallel-size”"),
    ("lmi-15.0.0", {"limit-mm-per-prompt": {"image": 1}}, "not permitted"),
    ("vllm-0.13.0", {"swap-space": 4}, "not permitted"), ("vllm-0.32.0", {"swap-space": 4}, "any more"),
    ("sglang-0.5.6", {"device": "cpu"}, "not permitted"), ("sglang-0.5.6", {"enable-custom-logit-processor": True}, "run code"),
])
def test_what_a_release_does_not_take_is_explained(stem: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        check_arguments(release_of(stem), given)


@pytest.mark.parametrize("stem", TABLES)
def test_every_option_stands_in_one_group_of_the_form(stem: str) -> None:
    table = table_of(stem)
    members = [name for _label, names in grouped(table.options, table.engine) for name in names]
    assert sorted(members) == sorted(table.options)

    class Form(forms.Form):
        arguments = ArgumentsField()

    form = Form()
    form.fields["arguments"].take_table(release_of(stem))  # type: ignore[attr-defined]
    page = form.as_p()
    assert all(f'name="arguments__{name}"' in page for name in table.options)
