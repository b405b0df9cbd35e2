"""The judgement of custom resources: what becomes of them on the way in, and what is wrong with them."""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.errors import cause
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.schema.admit import prune
from tests.simulators.kubernetes.schema.decode import decode
from tests.simulators.kubernetes.schema.metadata import metadata_causes
from tests.simulators.kubernetes.schema.node import MISSING, Node
from tests.simulators.kubernetes.schema.rules import check_rules
from tests.simulators.kubernetes.schema.validate import BLOCKING, UNCHECKED, Causes, invalid, validate

Object = dict[str, Any]
GO_NAMES = {str: "string", float: "float64", bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def admit(node: Node, obj: Object, unknown: list[str]) -> Object:
    """The object pruned and with its defaults.

    :raises DecodeError: its metadata has a value of a wrong type.
    """
    found: list[str] = []
    metadata = decode(node.fields["metadata"], obj.get("metadata") or {}, "", "ObjectMeta", found)
    new = prune(node, {key: value for key, value in obj.items() if key != "metadata"}, "", unknown)
    unknown[:] = sorted([*unknown, *(f"metadata.{path}" for path in found)])
    return {**new, "metadata": metadata}


def causes(res: Resource, node: Node, obj: Object, old: Object | None, subresource: str) -> Causes:
    found: Causes = []
    if subresource == "status":
        _judge_status(node, obj, old, found)
    else:
        found += metadata_causes("", obj["metadata"])
        _judge_fields(node, obj, old, found)
        found += scale_causes(res.scale, obj)
    if node.rules_within:
        if any(each["reason"] in BLOCKING for each in found):
            found.append(cause("FieldValueInvalid", UNCHECKED, "<nil>"))
        else:
            check_rules(node, obj, old if old is not None else MISSING, "", found)
    return found


def _judge_fields(node: Node, obj: Object, old: Object | None, found: Causes) -> None:
    """Everything but metadata, which has rules of its own."""
    for key in node.required:
        if key not in obj:
            found.append(cause("FieldValueRequired", "Required value", key))
    for key, value in obj.items():
        if key not in ("apiVersion", "kind", "metadata") and key in node.fields:
            validate(node.fields[key], value, key, found, (old or {}).get(key, MISSING))


def _judge_status(node: Node, obj: Object, old: Object | None, found: Causes) -> None:
    if "status" in node.fields and "status" in obj:
        below: Causes = []
        validate(node.fields["status"], obj["status"], "", below, (old or {}).get("status", MISSING))
        found += [{**each, "field": f"status.{each['field']}".rstrip(".")} for each in below]


def scale_causes(scale: dict[str, str] | None, obj: Object) -> Causes:
    """The replicas that the scale subresource shows must be a whole number, whatever the schema says."""
    if not scale:
        return []
    path, value = scale["specReplicasPath"], obj
    for key in path.strip(".").split("."):
        if not isinstance(value, dict):
            return [_unfit(path, value, "map[string]interface {}")]
        if key not in value:
            return []
        value = value[key]
    if isinstance(value, bool) or not isinstance(value, int):
        return [_unfit(path, value, "int64")]
    return [invalid(path, value, "should be a non-negative integer")] if value < 0 else []


def _unfit(path: str, value: Any, wanted: str) -> dict[str, Any]:
    shown = f"{value:g}" if isinstance(value, float) else value
    got = GO_NAMES.get(type(value), "int64")
    got_wanted = f"{shown} is of the type {got}, expected {wanted.replace('interface {}', 'interface{}')}"
    return invalid(path, 0, f"{path} accessor error: {got_wanted}")
