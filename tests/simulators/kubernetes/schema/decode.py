"""From JSON to an object of a built-in kind, as the Go types of an API server take it: what does not fit is refused."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from tests.simulators.kubernetes.schema import quantity
from tests.simulators.kubernetes.schema.node import Node
from tests.simulators.kubernetes.schema.validate import type_name

GO_TYPES = {"boolean": "bool", "number": "float64", "object": "map[string]interface {}", "array": "[]interface {}"}
TIME_FORMS = {
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z"),
    "micro-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)\Z"),
}


class DecodeError(ValueError):
    """A value does not fit the Go type of its field; the text is the decoder's."""


def decode(node: Node, value: Any, path: str, owner: str, unknown: list[str]) -> Any:
    """A copy without unknown fields (their paths go to `unknown`) and nulls, quantities in their one form.

    `owner` is the Go struct that the value stands in, for messages.

    :raises DecodeError: a value of another type.
    """
    if node.special:
        return _special(node, value, path, owner)
    found = type_name(value)
    if node.type and found != node.type and not (node.type == "number" and found == "integer"):
        raise _mismatch(node, found, path, owner)
    if found == "object" and not (node.preserve and not node.fields):
        return _decode_map(node, value, path, owner, unknown)
    if found == "array" and node.items is not None:
        return [decode(node.items, item, f"{path}[{at}]", owner, unknown) for at, item in enumerate(value)]
    if found == "string" and node.format == "byte":
        _check_base64(value)
    return value


def _decode_map(node: Node, value: dict[str, Any], path: str, owner: str, unknown: list[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    fields, inner, prefix = node.fields, node.name or owner, f"{path}." if path else ""
    for key, item in value.items():
        child = fields.get(key)
        if child is not None:
            if item is not None:
                new = decode(child, item, prefix + key, inner, unknown)
                if not _left_out(key, child, new):
                    kept[key] = new
        elif node.values is not None:
            kept[key] = decode(node.values, "" if item is None else item, path, inner, unknown)
        elif node.preserve:
            kept[key] = item
        else:
            unknown.append(prefix + key)
    return kept


FLAGS = {
    "hostIPC", "hostNetwork", "hostPID", "paused", "publishNotReadyAddresses", "readOnly", "stdin", "stdinOnce", "tty",
    "unschedulable",
}  # fmt: skip
"""Booleans that are no pointers in Go: false is the same as left out."""
KEPT_EMPTY = {"containers", "rules", "versions"}


def _left_out(key: str, node: Node, value: Any) -> bool:
    """Whether Go writes the value as if it were not there: an empty list or map, a flag that is not set."""
    if value is False:
        return key in FLAGS
    return value in ([], {}) and key not in KEPT_EMPTY and (node.items is not None or node.is_map)


def _mismatch(node: Node, found: str, path: str, owner: str) -> DecodeError:
    wanted = GO_TYPES.get(node.type) or (node.format or "int64" if node.type == "integer" else node.type)
    if node.name:
        wanted = f"v1.{node.name}"
    got = {"integer": "number", "boolean": "bool"}.get(found, found)
    field = re.sub(r"\[\d+\]", "", path)
    return DecodeError(f"json: cannot unmarshal {got} into Go struct field {owner}.{field} of type {wanted}")


def _special(node: Node, value: Any, path: str, owner: str) -> Any:
    found = type_name(value)
    if node.special == "quantity":
        if found not in ("string", "integer", "number"):
            raise DecodeError(quantity.REFUSAL)
        try:
            return quantity.canonical(str(value))
        except ValueError as error:
            raise DecodeError(str(error)) from None
    if node.special == "int-or-string":
        if found not in ("string", "integer"):
            raise _mismatch(Node(type="integer", format="int32"), found, path, owner)
        return value
    if found != "string":
        raise _mismatch(Node(type="string"), found, path, owner)
    if not TIME_FORMS[node.special].match(value):
        layout = "2006-01-02T15:04:05" + (".000000" if node.special == "micro-time" else "") + "Z07:00"
        raise DecodeError(f'parsing time "{value}" as "{layout}": cannot parse "{value}"')
    return value


def _check_base64(value: str) -> None:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        at = next((at for at, mark in enumerate(value) if not (mark.isalnum() or mark in "+/")), len(value))
        raise DecodeError(f"illegal base64 data at input byte {at}") from None


class _Fields(dict[str, Any]):
    """An object of a JSON text that remembers which keys came twice."""

    twice: tuple[str, ...] = ()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _Fields(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        found.twice = tuple(key for key in found if keys.count(key) > 1)
    return found


def duplicate_fields(body: bytes) -> list[str]:
    """The paths of the keys that stand twice in an object of a JSON text.

    :raises ValueError: the text is no JSON.
    """
    found: list[str] = []
    _collect(json.loads(body, object_pairs_hook=_pairs), "", found)
    return found


def _collect(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Fields):
        found += [f"{path}.{key}" if path else key for key in value.twice]
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else key, found)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            _collect(item, f"{path}[{at}]", found)
