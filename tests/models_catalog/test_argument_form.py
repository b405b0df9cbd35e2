"""Engine arguments as fields: what goes in comes out, each with its type, and the rest stays JSON."""

from __future__ import annotations

from typing import Any

import pytest
from django import forms
from django.http import QueryDict

from models_catalog.argument_form import ArgumentsField, Entered, read_value, shown_value
from models_catalog.choices import Device, EngineKind
from models_catalog.engine_args.table import load_table, newest_table
from models_catalog.models import EngineRelease

RELEASE = EngineRelease(slug="vllm-0.32.0", kind=EngineKind.VLLM, version="0.32.0", device=Device.CUDA)
ARGUMENTS: dict[str, Any] = {
    "max-model-len": 8192, "gpu-memory-utilization": 0.85, "cpu-offload-gb": 2, "dtype": "half", "enforce-eager": True,
    "enable-prefix-caching": False, "cudagraph-capture-sizes": [1, 2, 4], "limit-mm-per-prompt": {"image": 2},
    "max-lora-rank": 16, "optimization-level": "2",
}


class Form(forms.Form):
    arguments = ArgumentsField()


def made(data: dict[str, str] | None = None, initial: Any = None, release: EngineRelease | None = RELEASE) -> Form:
    form = Form(QueryDict(mutable=True) if data is not None else None, initial={"arguments": initial} if initial else None)
    if data is not None:
        form.data.update(data)  # type: ignore[attr-defined]
    form.fields["arguments"].take_table(release)
    return form


def test_there_is_a_table_and_it_is_the_newest() -> None:
    assert newest_table() == load_table("vllm", "0.32.0")


@pytest.mark.parametrize(("name", "value"), ARGUMENTS.items())
def test_every_type_goes_to_the_page_and_back(name: str, value: Any) -> None:
    option = load_table("vllm", "0.32.0").options[name]
    assert read_value(option, shown_value(option, value)) == value


def test_every_permitted_option_has_a_labelled_field_with_its_help() -> None:
    page = made().as_p()
    for name, option in load_table("vllm", "0.32.0").options.items():
        assert f'name="arguments__{name}"' in page
        assert f'for="id_arguments__{name}"' in page
        assert str(option.help).replace("'", "&#x27;") in page
    for words in ("Default: 0.92", "0.05 to 1", "--device", "choose a profile with a CPU release", "--trust-remote-code"):
        assert words in page


def test_stored_arguments_fill_their_fields_and_the_rest_is_json() -> None:
    page = made(initial={**ARGUMENTS, "not-known": "x"}).as_p()
    assert 'name="arguments__max-model-len" value="8192"' in page
    assert '<option value="half" selected>' in page
    assert "not-known" in page.partition("<textarea")[2]
    assert "8192" not in page.partition("<textarea")[2]


def test_fields_and_json_together_are_the_arguments() -> None:
    form = made({"arguments__max-model-len": " 8k ", "arguments__seed": "7", "arguments__enforce-eager": "true",
                 "arguments__dtype": "", "arguments": '{"runner": null}'})
    assert form.is_valid()
    assert form.cleaned_data["arguments"] == {"max-model-len": "8k", "seed": 7, "enforce-eager": True, "runner": None}


def test_json_alone_is_enough_and_nothing_is_nothing() -> None:
    assert made({"arguments": '{"seed": 7}'}).fields["arguments"].clean('{"seed": 7}') == {"seed": 7}
    form = made({})
    assert form.is_valid()
    assert form.cleaned_data["arguments"] == {}


@pytest.mark.parametrize(("data", "words"), [
    ({"arguments": "{"}, "not JSON"), ({"arguments": "[1]"}, "one JSON object"),
    ({"arguments": '{"seed": 1}', "arguments__seed": "2"}, "stands in the JSON too"),
])
def test_what_can_not_be_read_is_said_and_kept_on_the_page(data: dict[str, str], words: str) -> None:
    form = made(data)
    assert not form.is_valid()
    assert words in str(form.errors)
    page = form.as_p()
    assert data["arguments"].replace('"', "&quot;") in page


@pytest.mark.parametrize(("data", "changed"), [
    ({"arguments__seed": "7", "arguments__max-model-len": "512"}, False),
    ({"arguments": '{"seed": 7, "max-model-len": 512}'}, False),
    ({"arguments__seed": "8", "arguments__max-model-len": "512"}, True), ({"arguments__seed": "7"}, True),
    ({"arguments": "{"}, True),
])
def test_only_a_difference_is_a_change(data: dict[str, str], changed: bool) -> None:
    form = made(data, initial={"seed": 7, "max-model-len": 512})
    assert (form.changed_data == ["arguments"]) is changed


def test_an_engine_without_a_table_has_json_only() -> None:
    sglang = EngineRelease(slug="sglang-9.9.9", kind=EngineKind.SGLANG, version="9.9.9", device=Device.CUDA)
    page = made(release=sglang).as_p()
    assert "no list of arguments" in page
    assert page.count("<textarea") == 1
    assert ArgumentsField().clean(Entered(rest="{}")) == {}
