"""Set or take away one field of a manifest by its path, as `fields.flat` writes paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from endpoints.targets.base import FieldChange

from .diff import object_of
from .fields import LIST_KEYS, keyed

TOKEN = re.compile(r'"([^"]+)"|\[([^\]]*)\]|([^.\[\]"]+)')
MEMBERS_KEY = re.compile(r"(?:^|\.)(?P<list>\w+)\[[^\]]*\](?P<key>\.\w+)$")
MEMBER_KEYS = {name: {key for keys in sets for key in keys} for name, sets in LIST_KEYS.items()}
# The manager of an accepted change that we are not to send at all.
IGNORED = "ignored"
REPLICAS = "spec.replicas"


# What was accepted once and is replaced by a newer word: the field is ours again, whoever holds it.
SUPERSEDED = "superseded"
# Where a workload says what its pods are: a new revision is a person's newer word on that.
OF_PODS = ("spec.template.", "spec.leaderWorkerTemplate.")


def for_new_revision(accepted: Mapping[str, Any]) -> dict[str, Any]:
    """An accepted change as it counts from a new revision on: a field left to others always stays theirs."""
    replaced = accepted["manager"] != IGNORED and str(accepted["path"]).startswith(OF_PODS)
    return {**accepted, "manager": SUPERSEDED} if replaced else dict(accepted)


def path_of(conflict: str) -> str:
    """A field as a conflict names it, `.spec.containers[name="engine"].image`, as `flat` writes it."""
    return re.sub(r"\[([^\]]*)\]", _keys, conflict.removeprefix("."))


def _keys(found: re.Match[str]) -> str:
    return f"[{','.join(part.partition('=')[2].strip(chr(34)) for part in found[1].split(','))}]"


def with_accepted(made: list[dict[str, Any]], accepted: Iterable[FieldChange]) -> list[dict[str, Any]]:
    """The manifests with what a person accepted: a value that became ours, or a field that is not ours any more."""
    by_object: dict[str, list[FieldChange]] = {}
    for change in accepted:
        if change.manager == SUPERSEDED or (change.path == REPLICAS and change.manager != IGNORED):
            continue  # a newer word counts: another revision, or the wish itself
        by_object.setdefault(change.object, []).append(change)
    return [_edited(manifest, by_object[object_of(manifest)]) if object_of(manifest) in by_object else manifest
            for manifest in made]


def _edited(manifest: dict[str, Any], changes: list[FieldChange]) -> dict[str, Any]:
    edited = deepcopy(manifest)
    for change in changes:
        gone = change.manager == IGNORED or change.after is None
        put(edited, _whole(change.path) if gone else change.path, None if gone else change.after)
    return edited


def _whole(path: str) -> str:
    """Of a member's own key the member: without its name it is none."""
    found = MEMBERS_KEY.search(path)
    return path[:found.start("key")] if found and found["key"][1:] in MEMBER_KEYS.get(found["list"], ()) else path


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


def copy_field(source: dict[str, Any], target: dict[str, Any], path: str) -> None:
    """Write one field of `source` into `target` with the maps around it; a path through a list leads nowhere."""
    *parents, (_kind, last) = tokens(path)
    for _kind, key in parents:
        source, target = source.get(key, {}), target.setdefault(key, {})
    if last in source:
        target[last] = source[last]


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
