"""Set or take away one field of a manifest by its path, as `fields.flat` writes paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from endpoints.targets.base import FieldChange

from .diff import object_of
from .fields import keyed

TOKEN = re.compile(r'"([^"]+)"|\[([^\]]*)\]|([^.\[\]"]+)')
# The manager of an accepted change that we are not to send at all.
IGNORED = "ignored"


def with_accepted(made: list[dict[str, Any]], accepted: Iterable[FieldChange]) -> list[dict[str, Any]]:
    """The manifests with what a person accepted: a value that became ours, or a field that is not ours any more."""
    by_object: dict[str, list[FieldChange]] = {}
    for change in accepted:
        by_object.setdefault(change.object, []).append(change)
    return [_edited(manifest, by_object[object_of(manifest)]) if object_of(manifest) in by_object else manifest
            for manifest in made]


def _edited(manifest: dict[str, Any], changes: list[FieldChange]) -> dict[str, Any]:
    edited = deepcopy(manifest)
    for change in changes:
        gone = change.manager == IGNORED or change.after is None
        put(edited, change.path, None if gone else change.after)
    return edited


def put(manifest: dict[str, Any], path: str, value: Any) -> None:
    """Set the field, or take it away where `value` is None. A path that leads nowhere changes nothing."""
    *parents, last = tokens(path)
    at: Any = manifest
    name = ""
    for kind, token in parents:
        at = _child(at, name, kind, token)
        if at is None:
            return
        name = token if kind == "key" else ""
    _write(at, name, last, value)


def tokens(path: str) -> list[tuple[str, str]]:
    """`a.b[c]` as [("key", "a"), ("key", "b"), ("member", "c")]."""
    return [("member", member) if member else ("key", quoted or plain) for quoted, member, plain in TOKEN.findall(path)]


def _child(at: Any, name: str, kind: str, token: str) -> Any:
    if kind == "key" and isinstance(at, dict):
        return at.get(token)
    if kind == "member" and isinstance(at, list):
        return keyed(name, at).get(token)
    return None


def _write(at: Any, name: str, last: tuple[str, str], value: Any) -> None:
    kind, token = last
    if kind == "key" and isinstance(at, dict):
        if value is None:
            at.pop(token, None)
        else:
            at[token] = value
    elif kind == "member" and isinstance(at, list) and value is None and token in (members := keyed(name, at)):
        at.remove(members[token])
