"""YAML from strangers is plain data or refused, quickly and with the line."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest

from portal.tenancy.errors import Invalid
from portal.tenancy.strict_yaml import load, load_all

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(("text", "value"), [
    ("", None), ("# only a comment", None), ("a: 1", {"a": 1}), ("a: '1'", {"a": "1"}), ("a: -0.5e3", {"a": -500.0}),
    ("a: true\nb: ~\nc:\n", {"a": True, "b": None, "c": None}), ("a: yes", {"a": "yes"}),
    ("a: 2024-01-01", {"a": "2024-01-01"}),
    ("a: 0x10", {"a": "0x10"}), ('{"a": [1, {"b": "c"}]}', {"a": [1, {"b": "c"}]}), ("8000: x", {"8000": "x"}),
    ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}), ("- a\n- b", ["a", "b"]), ("a: .5", {"a": 0.5}), ("a: .", {"a": "."}),
    ("a: 1.e", {"a": "1.e"}), ("---\na: b\n...\n", {"a": "b"}),
])
def test_plain_data_is_read(text: str, value: Any) -> None:
    assert load(text) == value


@pytest.mark.parametrize(("text", "says"), [
    (BOMB, "YAML aliases are not allowed (line 1)"), ("a: *b", "YAML aliases are not allowed (line 1)"),
    ("a: &b 1", "YAML aliases are not allowed (line 1)"),
    ("a: !!python/object:os.system x", "YAML tags are not allowed (line 1)"),
    ("a: !!str x", "YAML tags are not allowed (line 1)"), ("a: 1\nb: 2\na: 3", "“a” stands twice in the YAML (line 3)"),
    ("<<: *x", "YAML aliases are not allowed"), ("? [a]\n: b", "A key in the YAML is not text (line 1)"),
    ("a: [", "This is not YAML (line 2)"), ("a: b: c", "This is not YAML (line 1)"), ("a: \x00", "This is not YAML"),
    ("\ta: b", "This is not YAML (line 1)"), ("[" * 50, "nested too deeply"), ("a: 1\n---\nb: 2", "Only one YAML document"),
    ("%YAML 9.9\n---\na: b", "This is not YAML"), ("null: 1", "A key in the YAML is not text"),
])
def test_anything_else_is_refused(text: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        load(text)
    assert says in refused.value.message


def test_several_documents_are_read_where_they_are_allowed() -> None:
    assert load_all("a: 1\n---\nb: 2\n---\n") == [{"a": 1}, {"b": 2}, None]


@pytest.mark.parametrize("text", ["[" * 250_000, "a: " + "9" * 250_000, BOMB * 100, "k: v\n" * 50_000, "{" * 250_000,
                                  "- " * 100_000, "a:\n" + "- {x: y}\n" * 28_000])
def test_a_quarter_of_a_megabyte_of_anything_is_answered_quickly(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Invalid):
        load(text)
    assert time.process_time() - began < 2.0
