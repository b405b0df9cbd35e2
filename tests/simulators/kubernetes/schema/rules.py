"""Where in an object the CEL rules of its schema are asked."""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.errors import cause
from tests.simulators.kubernetes.schema.node import MISSING, Node
from tests.simulators.kubernetes.schema.validate import Causes, shown


def check_rules(node: Node, value: Any, old: Any, path: str, causes: Causes) -> None:
    """Appends the rules that do not hold. `old` is the former value at the same place, or MISSING."""
    if not node.rules_within or value is None or (old is not MISSING and old == value):
        return
    for rule in node.rules:
        if rule.on_change and old is MISSING:
            continue
        if complaint := rule.complaint(value, old):
            told = complaint if isinstance(value, dict | list) else f"{shown(value)}: {complaint}"
            causes.append(cause(rule.reason, f"Invalid value: {told}", (path or "<nil>") + rule.field_path))
    if isinstance(value, dict):
        _check_map(node, value, old, path, causes)
    elif isinstance(value, list) and node.items is not None and node.items.rules_within:
        _check_list(node, value, old, path, causes)


def _check_map(node: Node, value: dict[str, Any], old: Any, path: str, causes: Causes) -> None:
    before = old if isinstance(old, dict) else {}
    for key, item in value.items():
        child = node.fields.get(key) or node.values
        if child is not None and child.rules_within:
            check_rules(child, item, before.get(key, MISSING), f"{path}.{key}" if path else key, causes)


def _check_list(node: Node, value: list[Any], old: Any, path: str, causes: Causes) -> None:
    """Only elements of a keyed list have a former self."""
    before = {}
    if node.list_type == "map" and isinstance(old, list):
        before = {_key(node, item): item for item in old}
    assert node.items is not None
    for at, item in enumerate(value):
        former = before.get(_key(node, item), MISSING) if before else MISSING
        check_rules(node.items, item, former, f"{path}[{at}]", causes)


def _key(node: Node, item: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in node.list_keys)
