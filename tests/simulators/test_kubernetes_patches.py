"""The simulated API's patches, selectors and field ownership, as tables: what goes in and what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulators.kubernetes.api import labels
from tests.simulators.kubernetes.apply import typed
from tests.simulators.kubernetes.apply.paths import from_fields, shown, to_fields
from tests.simulators.kubernetes.builtins import builtin_resources
from tests.simulators.kubernetes.errors import ApiError
from tests.simulators.kubernetes.patches import merge, operations, strategic
from tests.simulators.kubernetes.schema import node_for
from tests.simulators.kubernetes.schema.node import Node

PODS = node_for(next(each for each in builtin_resources() if each.plural == "pods"))
PORTS = Node(
    type="object",
    fields={
        "ports": Node(
            type="array", list_type="map", list_keys=("name",),
            items=Node(type="object", fields={"name": Node(type="string"), "port": Node(type="integer")}),
        ),
        "zones": Node(type="array", list_type="set", items=Node(type="string")),
        "args": Node(type="array", items=Node(type="string")),
        "labels": Node(type="object", values=Node(type="string")),
    },
)  # fmt: skip


@pytest.mark.parametrize(
    ("target", "patch", "found"),
    [  # the examples of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, found: Any) -> None:
    assert merge.merge(target, patch) == found


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        ({"op": "add", "path": "/a/-", "value": 3}, {"a": [1, 2, 3], "b/c": {"d": 1}}),
        ({"op": "add", "path": "/a/0", "value": 0}, {"a": [0, 1, 2], "b/c": {"d": 1}}),
        ({"op": "remove", "path": "/b~1c/d"}, {"a": [1, 2], "b/c": {}}),
        ({"op": "replace", "path": "/a/1", "value": 9}, {"a": [1, 9], "b/c": {"d": 1}}),
        ({"op": "move", "from": "/b~1c/d", "path": "/e"}, {"a": [1, 2], "b/c": {}, "e": 1}),
        ({"op": "copy", "from": "/a/0", "path": "/e"}, {"a": [1, 2], "b/c": {"d": 1}, "e": 1}),
        ({"op": "test", "path": "/a/0", "value": 1}, {"a": [1, 2], "b/c": {"d": 1}}),
        ({"op": "test", "path": "/a/0", "value": 2}, None),
        ({"op": "remove", "path": "/none"}, None),
        ({"op": "add", "path": "/none/below", "value": 1}, None),
        ({"op": "replace", "path": "/a/9", "value": 1}, None),
        ({"op": "frob", "path": "/a"}, None),
    ],
)
def test_json_patch(operation: dict[str, Any], found: Any) -> None:
    target = {"a": [1, 2], "b/c": {"d": 1}}
    if found is None:
        with pytest.raises(operations.PatchFailed):
            operations.apply(target, [operation])
    else:
        assert operations.apply(target, [operation]) == found
    assert target == {"a": [1, 2], "b/c": {"d": 1}}


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ([{"name": "b", "image": "new"}], ["a", "b"]),
        ([{"name": "c", "image": "i"}], ["c", "a", "b"]),
        ([{"name": "a", "$patch": "delete"}], ["b"]),
        ([{"$patch": "replace"}, {"name": "z", "image": "i"}], ["z"]),
    ],
)
def test_strategic_merge_takes_containers_by_name(patch: list[Any], names: list[str]) -> None:
    pod = {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2", "args": ["x"]}]}}
    found = strategic.merge(PODS, pod, {"spec": {"containers": patch}})["spec"]["containers"]
    assert [each["name"] for each in found] == names
    assert all(each.get("args") == ["x"] for each in found if each["name"] == "b")


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("a=1", True), ("a==2", False), ("a!=2", True), ("b!=2", True), ("a in (1,2)", True), ("a notin (1)", False),
        ("b notin (1)", True), ("a", True), ("!a", False), ("!b,a=1", True), ("a>0", True), ("a<1", False), ("", True),
        ("a in (1),t notin (x)", True),
    ],
)  # fmt: skip
def test_label_selectors(selector: str, fits: bool) -> None:
    assert labels.parse(selector)({"a": "1", "t": "y"}) is fits


@pytest.mark.parametrize("selector", ["=1", "a in 1", "a b", "a=1,,", "-a=1", "a in (", "a>x"])
def test_bad_label_selectors(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        labels.parse(selector)
    assert refused.value.status == 400


VALUE = {"ports": [{"name": "http", "port": 80}], "zones": ["a"], "args": ["x"], "labels": {"k": "v"}}


def test_owns_what_it_applies_by_keys_values_and_whole_atomic_lists() -> None:
    fields = to_fields(typed.field_set(PORTS, VALUE))
    assert fields == {
        "f:ports": {'k:{"name":"http"}': {".": {}, "f:name": {}, "f:port": {}}},
        "f:zones": {'v:"a"': {}}, "f:args": {}, "f:labels": {"f:k": {}},
    }  # fmt: skip
    assert to_fields(from_fields(fields)) == fields


@pytest.mark.parametrize(
    ("new", "added", "modified", "removed"),
    [
        ({**VALUE, "args": ["y"]}, [], [".args"], []),
        ({**VALUE, "zones": ["a", "b"]}, ['.zones[="b"]'], [], []),
        ({**VALUE, "labels": {}}, [], [], [".labels.k"]),
        ({**VALUE, "ports": [{"name": "http", "port": 81}]}, [], ['.ports[name="http"].port'], []),
    ],
)
def test_compares_by_keys(new: Any, added: list[str], modified: list[str], removed: list[str]) -> None:
    found = typed.compare(PORTS, VALUE, new)
    assert [sorted(map(shown, each)) for each in (found.added, found.modified, found.removed)] == [
        added,
        modified,
        removed,
    ]


@pytest.mark.parametrize(
    ("live", "applied", "order"),
    [
        ("abc", "c", "abc"),
        ("abc", "d", "abcd"),
        ("abc", "ca", "bca"),
        ("ab", "ba", "ba"),
        ("", "ab", "ab"),
    ],
)
def test_merges_keyed_lists_in_the_applied_order(live: str, applied: str, order: str) -> None:
    node = PORTS.fields["zones"]
    assert "".join(typed.merge_list(node, list(live), list(applied))) == order


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"nope": 1}, ".nope: field not declared in schema"),
        ({"ports": [{"name": "a"}, {"name": "a"}]}, '.ports: duplicate entries for key [name="a"]'),
        (
            {"ports": [{"port": 1}]},
            ".ports: element 0: associative list with keys has an element that omits all key fields",
        ),
    ],
)
def test_refuses_to_apply_what_it_cannot_own(value: Any, why: str) -> None:
    with pytest.raises(typed.TypedError) as refused:
        typed.check(PORTS, value)
    assert str(refused.value).startswith(why)
