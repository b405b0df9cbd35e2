"""The comparison that the replay of recorded exchanges rests on finds what differs, and only that."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulators.conformance.compare import body_faults, event_faults
from tests.simulators.conformance.tokens import Bindings

OBJECT = {
    "kind": "Widget",
    "metadata": {"name": "<name:1>", "uid": "<uid:1>", "resourceVersion": "<rv:2>"},
    "spec": {"a": [1]},
}
REFUSAL = {
    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 422, "reason": "Invalid",
    "message": 'Widget "a" is invalid: [x: Required value, y: Required value]',
    "details": {"name": "a", "causes": [{"reason": "R", "field": "x"}, {"reason": "R", "field": "y"}]},
}  # fmt: skip


def step(body: Any, *check: str) -> dict[str, Any]:
    return {"response": {"body": body}, "check": list(check)}


@pytest.mark.parametrize(
    ("expected", "actual", "check", "same"),
    [
        ({"a": 1}, {"a": 1}, "/a", True),
        ({"a": 1}, {"a": 2}, "/a", False),
        ({"a": 1}, {"a": 1, "b": 2}, "/a", True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, "/a", False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, "/a", False),
        ({"a": 1}, {}, "/a", False),
        ({"a": None}, {}, "/a", False),
        ({"a": True}, {"a": 1}, "/a", False),
        ({"items": [{"n": 1}, {"n": 2}]}, {"items": [{"n": 1, "o": 3}, {"n": 2}]}, "/items/*/n", True),
        ({"items": [{"n": 1}]}, {"items": [{"n": 1}, {"n": 2}]}, "/items/*/n", False),
        ({"a": "<time>"}, {"a": "2026-01-01T00:00:00Z"}, "/a", True),
        ({"a": "<time>"}, {"a": ""}, "/a", False),
        ({"a": "x-<hash>-y"}, {"a": "x-123-y"}, "/a", True),
        ({"a": "x-<hash>-y"}, {"a": "z-123-y"}, "/a", False),
        ("text", "text", "/", True),
        ("text", "other", "/", False),
    ],
)
def test_compares_under_pointers(expected: Any, actual: Any, check: str, same: bool) -> None:
    assert (not list(body_faults(step(expected, check), actual, Bindings()))) is same


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"message": 'Widget "a" is invalid: [y: Required value, x: Required value]'}, True),
        ({"message": 'Widget "a" is invalid: [x: Required value, z: Required value]'}, False),
        ({"details": {"name": "a", "causes": [{"reason": "R", "field": "y"}, {"reason": "R", "field": "x"}]}}, True),
        ({"details": {"name": "a", "causes": [{"reason": "R", "field": "x"}]}}, False),
        ({"details": {"name": "b", "causes": REFUSAL["details"]["causes"]}}, False),
        ({"code": 400}, False), ({"reason": "BadRequest"}, False), ({"apiVersion": "v2"}, False), ({"kind": "Widget"}, False),
    ],
)  # fmt: skip
def test_compares_refusals(change: dict[str, Any], same: bool) -> None:
    assert (not list(body_faults(step(REFUSAL), {**REFUSAL, **change}, Bindings()))) is same


def test_holds_a_token_to_its_first_value() -> None:
    bindings = Bindings()
    first = {"kind": "Widget", "metadata": {"name": "n", "uid": "u", "resourceVersion": "5"}, "spec": {"a": [1]}}
    assert not list(body_faults(step(OBJECT, "/metadata"), first, bindings))
    other = {**first, "metadata": {**first["metadata"], "uid": "v"}}
    assert list(body_faults(step(OBJECT, "/metadata"), other, bindings))
    assert bindings.fill("/x/<name:1>?v=<rv:2>") == "/x/n?v=5"


def test_wants_versions_to_grow() -> None:
    bindings = Bindings()
    for token, value in (("<rv:1>", "7"), ("<rv:2>", "6"), ("<lrv:1>", "9"), ("<lrv:2>", "9")):
        assert bindings.matches(token, value)
    assert bindings.order_faults() == ["<rv:1> is [7], <rv:2> is [6]"]


@pytest.mark.parametrize(
    ("types", "same"), [(["ADDED", "DELETED"], True), (["ADDED", "BOOKMARK", "DELETED"], True), (["ADDED"], False),
                        (["DELETED", "ADDED"], False), (["ADDED", "DELETED", "ADDED"], False)],
)  # fmt: skip
def test_compares_the_events_of_a_watch(types: list[str], same: bool) -> None:
    def events(names: list[str]) -> list[dict[str, Any]]:
        return [{"type": each, "object": {"kind": "Widget", "metadata": {"name": "a"}}} for each in names]

    watched = {"response": {"events": events(["ADDED", "DELETED"])}, "check": ["/events/*/object/metadata/name"]}
    assert (not list(event_faults(watched, events(types), Bindings()))) is same
