"""What a custom resource becomes before it is judged: unknown fields out, defaults in.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning
"""

from __future__ import annotations

import copy
from typing import Any

from tests.simulators.kubernetes.schema.node import Node


def prune(node: Node, value: Any, path: str, unknown: list[str]) -> Any:
    """A copy without the fields that the schema does not know (their paths go to `unknown`) and with its defaults.

    An explicit null where none is allowed counts as left out, so that a default takes its place.
    """
    if isinstance(value, dict):
        return _prune_map(node, value, path, unknown)
    if isinstance(value, list) and node.items is not None:
        return [prune(node.items, item, f"{path}[{at}]", unknown) for at, item in enumerate(value)]
    return value


def _prune_map(node: Node, value: dict[str, Any], path: str, unknown: list[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in value.items():
        child = node.fields.get(key) or node.values
        if child is not None:
            if item is None and not child.nullable and key in node.fields:
                continue
            kept[key] = prune(child, item, f"{path}.{key}" if path else key, unknown)
        elif node.preserve or (node.embedded and key in ("apiVersion", "kind", "metadata")):
            kept[key] = item
        elif node.type == "object":
            unknown.append(f"{path}.{key}" if path else key)
        else:
            kept[key] = item
    for key, child in node.defaults:
        if key not in kept:
            kept[key] = prune(child, copy.deepcopy(child.default), "", [])
    return kept
