"""Strategic merge patch: lists of the built-in kinds are merged by their keys.

https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.apply.typed import FREE, child
from tests.simulators.kubernetes.schema.node import Node

DIRECTIVES = ("$patch", "$retainKeys")
ORDER, DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"


class Malformed(Exception):
    """A directive or a list's element is not what it must be."""


def merge(node: Node, target: Any, patch: Any) -> Any:
    """The target with the patch laid over it, as the schema says.

    :raises Malformed: an element of a keyed list lacks its key, or a directive is unknown.
    """
    if not isinstance(patch, dict):
        return patch
    match patch.get("$patch"):
        case "replace":
            return {name: value for name, value in patch.items() if name != "$patch"}
        case "delete":
            return {}
        case None | "merge":
            return _merge_map(node, target if isinstance(target, dict) else {}, patch)
        case other:
            raise Malformed(f"unknown patch type: {other}")


def _merge_map(node: Node, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    retained = patch.get("$retainKeys")
    found = {name: value for name, value in target.items() if retained is None or name in retained}
    for name, value in patch.items():
        sub = child(node, name) or FREE
        if name in DIRECTIVES or name.startswith(ORDER):
            continue
        if name.startswith(DELETE):
            kept = name.removeprefix(DELETE)
            found[kept] = [each for each in found.get(kept) or [] if each not in value]
        elif value is None:
            found.pop(name, None)
        elif isinstance(value, list) and "merge" in sub.patch_strategy:
            found[name] = _merge_list(sub, found.get(name) or [], value)
        elif isinstance(value, dict) and "replace" not in sub.patch_strategy:
            found[name] = merge(sub, found.get(name), value)
        else:
            found[name] = value
    return _ordered(node, target, found, patch)


def _merge_list(node: Node, target: list[Any], patch: list[Any]) -> list[Any]:
    key = node.patch_key
    if not key:  # a list of scalars
        return [*target, *(each for each in patch if each not in target)]
    if any(isinstance(each, dict) and each.get("$patch") == "replace" for each in patch):
        return [each for each in patch if each.get("$patch") != "replace"]
    found = list(target)
    for each in patch:
        if not isinstance(each, dict) or key not in each:
            raise Malformed(f"map: {_go(each)} does not contain declared merge key: {key}")
        places = [number for number, item in enumerate(found) if item.get(key) == each[key]]
        if each.get("$patch") == "delete":
            found = [item for item in found if item.get(key) != each[key]]
        elif places:
            found[places[0]] = merge(node.items or FREE, found[places[0]], each)
        else:
            found.append(merge(node.items or FREE, {}, each))
    return found


def _go(value: Any) -> str:
    """A map as Go prints it."""
    return (
        f"map[{' '.join(f'{name}:{item}' for name, item in value.items())}]" if isinstance(value, dict) else str(value)
    )


def _ordered(node: Node, target: dict[str, Any], found: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Merged lists in the patch's order; what it does not name stays before what it stood before."""
    for name in {each.removeprefix(ORDER) for each in patch if isinstance(patch[each], list)}:
        sub = child(node, name) or FREE
        if "merge" in sub.patch_strategy and isinstance(found.get(name), list):
            wanted = patch.get(ORDER + name) or patch[name]
            found[name] = _in_order(sub.patch_key, target.get(name) or [], found[name], wanted)
    return found


def _in_order(key: str, before: list[Any], merged: list[Any], wanted: list[Any]) -> list[Any]:
    def name(item: Any) -> Any:
        return item.get(key) if isinstance(item, dict) else item

    places = {name(item): number for number, item in enumerate(before)}
    items = {name(item): item for item in merged}
    right = [each for each in dict.fromkeys(map(name, wanted)) if each in items]
    left = [each for each in items if each not in right]
    order = []
    while left or right:
        both = left and right and left[0] in places and right[0] in places
        first = left if not right or (both and places[left[0]] < places[right[0]]) else right
        order.append(first.pop(0))
    return [items[each] for each in order]
