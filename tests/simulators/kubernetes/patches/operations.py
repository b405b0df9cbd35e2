"""JSON patch, https://www.rfc-editor.org/rfc/rfc6902."""

from __future__ import annotations

import copy
from typing import Any


class PatchFailed(Exception):
    """An operation cannot be carried out: its path is not there, or a test does not hold."""


class Malformed(Exception):
    """The patch is no list of operations."""


def apply(target: Any, patch: Any) -> Any:
    """
    :raises Malformed: it is no JSON patch.
    :raises PatchFailed: an operation failed; nothing is done then.
    """
    if not isinstance(patch, list) or not all(isinstance(each, dict) for each in patch):
        raise Malformed("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    box = {"": copy.deepcopy(target)}
    for operation in patch:
        _carry_out(box, operation)
    return box[""]


def _carry_out(box: dict[str, Any], operation: dict[str, Any]) -> None:
    path = _pointer(operation, "path")
    match operation.get("op"):
        case "add":
            _add(box, path, _value(operation))
        case "remove":
            _take(box, path)
        case "replace":
            _replace(box, path, _value(operation))
        case "move":
            _add(box, path, _take(box, _pointer(operation, "from")))
        case "copy":
            _add(box, path, copy.deepcopy(_read(box, _pointer(operation, "from"))))
        case "test":
            if _read(box, path, missing=None) != operation.get("value"):
                raise PatchFailed(f"testing value {operation['path']} failed: test failed")
        case other:
            raise PatchFailed(f"Unexpected kind: {other}")


def _pointer(operation: dict[str, Any], key: str) -> list[str]:
    text = operation.get(key)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchFailed(f"missing or bad {key}")
    return ["", *(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])]


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise PatchFailed("missing value")
    return copy.deepcopy(operation["value"])


_RAISE: Any = object()


def _read(box: Any, path: list[str], missing: Any = _RAISE) -> Any:
    place = box
    for number, part in enumerate(path):
        try:
            place = place[_index(place, part)] if isinstance(place, list) else place[part]
        except (KeyError, IndexError, TypeError) as error:
            if missing is not _RAISE and number == len(path) - 1:
                return missing
            raise PatchFailed(f"missing path: {'/'.join(path)}") from error
    return place


def _index(items: list[Any], part: str) -> int:
    if not part.isdigit():
        raise PatchFailed(f"invalid array index {part}")
    return int(part)


def _add(box: Any, path: list[str], value: Any) -> None:
    place, last = _read(box, path[:-1]) if len(path) > 1 else box, path[-1]
    if isinstance(place, list):
        index = len(place) if last == "-" else _index(place, last)
        if index > len(place):
            raise PatchFailed(f"Unable to access invalid index: {index}")
        place.insert(index, value)
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise PatchFailed(f"missing path: {'/'.join(path)}")


def _take(box: Any, path: list[str]) -> Any:
    value = _read(box, path)
    place, last = _read(box, path[:-1]) if len(path) > 1 else box, path[-1]
    del place[_index(place, last) if isinstance(place, list) else last]
    return value


def _replace(box: Any, path: list[str], value: Any) -> None:
    """A field that is not there is added, as the library of the API server has it; an index must be."""
    place, last = _read(box, path[:-1]) if len(path) > 1 else box, path[-1]
    if isinstance(place, list):
        _read(box, path)
    place[_index(place, last) if isinstance(place, list) else last] = value
