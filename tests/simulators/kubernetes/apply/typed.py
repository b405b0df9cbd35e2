"""Values read with their schema: which fields they have, how two differ, how one is laid over the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.simulators.kubernetes.apply.paths import Path, Paths, compact, shown
from tests.simulators.kubernetes.schema.node import MISSING, Node

FREE = Node(preserve=True)
"""What is under a place without a schema: maps are merged, lists are replaced."""


class TypedError(Exception):
    """The value cannot be read with the schema: an unknown field, a doubled key, a missing one."""


def child(node: Node, name: str) -> Node | None:
    """The schema of a map's value; None where the schema knows no such field."""
    found = node.fields.get(name) or node.values
    if found is not None:
        return found
    return FREE if node.preserve or (not node.type and not node.fields) else None


def _item(node: Node) -> Node:
    return node.items or FREE


def atomic(node: Node, value: Any) -> bool:
    """Whether the value changes hands as a whole."""
    if isinstance(value, dict):
        return node.atomic_map
    return node.list_type == "atomic" if isinstance(value, list) else True


def element_of(node: Node, item: Any) -> str:
    """The path element of an item in a keyed list or a set.

    :raises TypedError: it lacks all the keys.
    """
    if node.list_type == "set":
        return f"v:{compact(item)}"
    keys = {}
    for key in node.list_keys:
        value = item.get(key, _default(node, key)) if isinstance(item, dict) else MISSING
        if value is not MISSING:
            keys[key] = value
    if not keys:
        named = " ".join(compact(key) for key in node.list_keys)
        raise TypedError(
            "associative list with keys has an element that omits all key fields "
            f"[{named}] (and doesn't have default values for any key fields)"
        )
    return f"k:{compact(keys)}"


def _default(node: Node, key: str) -> Any:
    known = _item(node).fields.get(key)
    if known is not None and known.default is not MISSING:
        return known.default
    return "TCP" if key == "protocol" else MISSING  # the one such default among the built-in kinds


def keyed(node: Node, items: list[Any]) -> dict[str, Any]:
    """The items by their path elements; the first of two equal ones counts."""
    found: dict[str, Any] = {}
    for item in items:
        found.setdefault(element_of(node, item), item)
    return found


# --- reading with errors, for what a client applies


def check(node: Node, value: Any, path: Path = ()) -> None:
    """
    :raises TypedError: a field is unknown, an element of a keyed list lacks its keys or is there twice.
    """
    if isinstance(value, dict):
        for name, below in value.items():
            sub = child(node, name)
            if sub is None:
                raise TypedError(f"{shown((*path, f'f:{name}'))}: field not declared in schema")
            check(sub, below, (*path, f"f:{name}"))
    elif isinstance(value, list):
        _check_list(node, value, path)


def _check_list(node: Node, items: list[Any], path: Path) -> None:
    seen = set()
    for number, item in enumerate(items):
        element = f"i:{number}"
        if node.list_type != "atomic":
            try:
                element = element_of(node, item)
            except TypedError as error:
                raise TypedError(f"{shown(path)}: element {number}: {error}") from error
            if element in seen:
                raise TypedError(f"{shown(path)}: duplicate entries for key {shown((element,))}")
            seen.add(element)
        check(_item(node), item, (*path, element))


# --- the fields of a value


def field_set(node: Node, value: Any) -> Paths:
    """What a client who applies this value owns."""
    found: set[Path] = set()
    _fields(node, value, (), found)
    return frozenset(found)


def _fields(node: Node, value: Any, path: Path, found: set[Path]) -> None:
    if atomic(node, value):
        found.add(path)
    elif isinstance(value, dict):
        for name, below in value.items():
            place = (*path, f"f:{name}")
            _fields(child(node, name) or FREE, below, place, found)
            if below is None or below == {} or name not in node.fields:
                found.add(place)
    else:
        for element, below in keyed(node, value).items():
            _fields(_item(node), below, (*path, element), found)
            found.add((*path, element))


@dataclass(slots=True)
class Comparison:
    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def compare(node: Node, old: Any, new: Any) -> Comparison:
    """Which paths a change adds, modifies and removes."""
    found = Comparison()
    _compare(node, old, new, (), found)
    return found


def _compare(node: Node, old: Any, new: Any, path: Path, found: Comparison) -> None:
    pairs = _pairs(node, old, new)
    for element, sub, was, is_ in pairs or ():
        _compare(sub, was, is_, (*path, element), found)
    if old is MISSING:
        found.added.add(path)
    elif new is MISSING:
        found.removed.add(path)
    elif pairs is None and old != new:
        found.modified.add(path)


def _pairs(node: Node, old: Any, new: Any) -> list[tuple[str, Node, Any, Any]] | None:
    """What stands below, side by side; None for a leaf: a scalar, an atomic or empty value, two of different forms."""
    shapes = [each for each in (old, new) if each is not MISSING and each is not None]
    if not any(shapes) or any(type(each) is not type(shapes[0]) for each in shapes) or atomic(node, shapes[0]):
        return None
    if isinstance(shapes[0], dict):
        was, is_ = old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}
        names = dict.fromkeys([*was, *is_])
        return [
            (f"f:{name}", child(node, name) or FREE, was.get(name, MISSING), is_.get(name, MISSING)) for name in names
        ]
    was = keyed(node, old) if isinstance(old, list) else {}
    is_ = keyed(node, new) if isinstance(new, list) else {}
    return [(each, _item(node), was.get(each, MISSING), is_.get(each, MISSING)) for each in dict.fromkeys([*was, *is_])]


# --- merging


def merge(node: Node, live: Any, applied: Any) -> Any:
    """The live value with the applied one laid over it."""
    if live is MISSING or atomic(node, applied):
        return applied
    if isinstance(applied, dict):
        if not isinstance(live, dict):
            return applied
        laid = {
            name: merge(child(node, name) or FREE, live.get(name, MISSING), value) for name, value in applied.items()
        }
        return {**live, **laid}
    return merge_list(node, live, applied) if isinstance(live, list) else applied


def merge_list(node: Node, live: list[Any], applied: list[Any]) -> list[Any]:
    """In the order of the applied list, the others staying before what they stood before."""
    was, is_ = keyed(node, live), keyed(node, applied)
    waiting, merged = [each for each in is_ if each in was], []
    left, right = list(was), list(is_)
    done: set[str] = set()
    while left or right:
        if left and right and left[0] != right[0] and left[0] in is_ and waiting and waiting[0] != left[0]:
            left.pop(0)
        elif left and left[0] not in is_:
            merged.append(was[left.pop(0)])
        elif left and left[0] in done:
            left.pop(0)
        elif right:
            element = right.pop(0)
            merged.append(merge(_item(node), was.get(element, MISSING), is_[element]))
            done.add(element)
            waiting = waiting[1:] if waiting and waiting[0] == element else waiting
        else:
            left.pop(0)
    return merged


def remove(node: Node, value: Any, fields: dict[str, Any]) -> Any:
    """The value without the paths of a FieldsV1 tree."""
    if isinstance(value, dict):
        kept = {}
        for name, below in value.items():
            tree = fields.get(f"f:{name}")
            if tree is None:
                kept[name] = below
            elif tree and "." not in tree:
                kept[name] = remove(child(node, name) or FREE, below, tree)
        return kept
    if isinstance(value, list) and node.list_type != "atomic":
        return _remove_items(node, value, fields)
    return value


def _remove_items(node: Node, items: list[Any], fields: dict[str, Any]) -> list[Any]:
    kept = []
    for item in items:
        tree = fields.get(element_of(node, item))
        if tree is None:
            kept.append(item)
        elif tree and "." not in tree:
            kept.append(remove(_item(node), item, tree))
    return kept


def with_parents(node: Node, paths: Paths) -> Paths:
    """The paths and the declared fields that they pass through, which nobody owns by name."""
    found = set(paths)
    for path in paths:
        place: Node | None = node
        for number, element in enumerate(path[:-1]):
            name = element[2:] if element.startswith("f:") else ""
            if place is not None and name and name in place.fields:
                found.add(path[: number + 1])
            place = (child(place, name) if name else _item(place)) if place is not None else None
    return frozenset(found)
