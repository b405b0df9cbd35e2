"""Sets of field paths, in the wire form of managedFields (FieldsV1) and as plain Python sets.

A path is a tuple of elements as FieldsV1 writes them: `f:name` a field, `k:{...}` a list's element by its keys,
`v:...` one by its value, `i:0` one by its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Path = tuple[str, ...]
Paths = frozenset[Path]


def from_fields(fields: dict[str, Any]) -> Paths:
    """Of FieldsV1: an element is owned if it has no children or has "." among them."""
    found: set[Path] = set()
    _collect(fields, (), found)
    return frozenset(found)


def _collect(fields: dict[str, Any], path: Path, found: set[Path]) -> None:
    for element, below in fields.items():
        if element == ".":
            found.add(path)
        elif not below:
            found.add((*path, element))
        else:
            _collect(below, (*path, element), found)


def to_fields(paths: Iterable[Path]) -> dict[str, Any]:
    owned = sorted(paths)
    root: dict[str, Any] = {}
    for path in owned:
        place = root
        for element in path:
            place = place.setdefault(element, {})
    for path in owned:
        _mark(root, path)
    return root


def _mark(root: dict[str, Any], path: Path) -> None:
    """Writes "." into an owned element that has children."""
    place = root
    for element in path:
        place = place[element]
    if place:
        place["."] = {}


def shown(path: Path) -> str:
    """As conflicts name it: `.spec.ports[name="http"].port`."""
    return "".join(map(_shown, path))


def _shown(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return f"[{','.join(f'{key}={compact(value)}' for key, value in json.loads(rest).items())}]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
