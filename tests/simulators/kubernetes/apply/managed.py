"""metadata.managedFields: read, changed by an update or an apply, and written again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.simulators.kubernetes.apply import typed
from tests.simulators.kubernetes.apply.paths import Paths, from_fields, shown, to_fields
from tests.simulators.kubernetes.errors import ApiError, cause
from tests.simulators.kubernetes.schema.node import Node
from tests.simulators.kubernetes.store import Object

IGNORED = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
            "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds",
        )
    }
)  # fmt: skip


class Manager(NamedTuple):
    """Who owns fields. An applier is the same one whatever version it applies."""

    name: str
    operation: str
    version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        told = f'"{self.name}"'
        if self.subresource:
            told += f' with subresource "{self.subresource}"'
        return f"{told} using {self.version}" if self.operation == "Update" else told


@dataclass(frozen=True, slots=True)
class Entry:
    paths: Paths
    version: str
    time: str = ""


Managers = dict[Manager, Entry]


@dataclass(frozen=True, slots=True)
class Context:
    """The write: who, in which version, by which subresource, when; `reset` are fields that it cannot touch."""

    node: Node
    manager: str
    version: str
    subresource: str
    now: str
    reset: frozenset[str] = frozenset()

    def identity(self, operation: str) -> Manager:
        version = "" if operation == "Apply" else self.version
        return Manager(self.manager, operation, version, self.subresource)

    def owned(self, paths: Paths | set[Any]) -> Paths:
        return frozenset(
            path for path in paths if path and path not in IGNORED and path[:1] and path[0][2:] not in self.reset
        )


def read(obj: Object) -> Managers:
    found: Managers = {}
    for each in obj.get("metadata", {}).get("managedFields") or ():
        operation, version = each["operation"], each.get("apiVersion", "")
        who = Manager(
            each.get("manager", ""), operation, "" if operation == "Apply" else version, each.get("subresource", "")
        )
        found[who] = Entry(from_fields(each.get("fieldsV1") or {}), version, each.get("time", ""))
    return found


def write(obj: Object, managers: Managers) -> Object:
    """The object with these managedFields: appliers first, then by time, then by name."""
    order = sorted(managers.items(), key=lambda item: (item[0].operation, item[1].time, item[0].name, item[1].version))
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    entries = [_entry(who, entry) for who, entry in order if entry.paths]
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}


def _entry(who: Manager, entry: Entry) -> dict[str, Any]:
    found = {"manager": who.name, "operation": who.operation, "apiVersion": entry.version}
    if entry.time:
        found["time"] = entry.time
    found |= {"fieldsType": "FieldsV1", "fieldsV1": to_fields(entry.paths)}
    if who.subresource:
        found["subresource"] = who.subresource
    return found


def update(context: Context, old: Object, new: Object, managers: Managers) -> Managers:
    """The owners after a plain write: what it changed is the writer's, what it removed is nobody's."""
    diff = typed.compare(context.node, _bare(old), _bare(new))
    changed = context.owned(diff.added | diff.modified)
    removed = context.owned(diff.removed)
    me = context.identity("Update")
    found = _without(managers, me, changed | removed)
    before = managers.get(me)
    mine = ((before.paths if before else frozenset()) - removed) | changed
    if mine:
        now = "" if context.subresource == "scale" else context.now  # the scale endpoint notes no time
        found[me] = Entry(mine, context.version, now if changed else before.time if before else "")
    else:
        found.pop(me, None)
    return found


def apply(context: Context, live: Object, config: Object, force: bool) -> tuple[Object, Managers]:
    """The live object with the config applied, and the owners then.

    :raises ApiError: 409, another manager owns a field that this would change.
    """
    node, managers, me = context.node, read(live), context.identity("Apply")
    before = managers.get(me)
    mine = context.owned(typed.field_set(node, config))
    merged = typed.merge(node, _bare(live), config)
    others = managers | {me: Entry(mine, context.version)}
    merged = _prune(node, merged, before.paths if before else frozenset(), others.values())
    diff = typed.compare(node, _bare(live), merged)
    changed, removed = context.owned(diff.added | diff.modified), context.owned(diff.removed)
    if not force:
        _refuse_conflicts(me, managers, changed)
    found = _without(managers, me, changed | removed)
    time = context.now if diff.added or diff.modified or diff.removed else before.time if before else ""
    found[me] = Entry(mine, context.version, time)
    return merged, found


def _bare(obj: Object) -> Object:
    """Without managedFields, which nobody manages."""
    if "managedFields" not in (obj.get("metadata") or {}):
        return obj
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


def _prune(node: Node, merged: Object, last: Paths, entries: Any) -> Object:
    """Takes out what the manager applied last time and nobody claims now."""
    if not last:
        return merged
    claimed: set[Any] = set()
    for entry in entries:
        claimed |= entry.paths
    gone = typed.with_parents(node, last) - typed.with_parents(node, frozenset(claimed)) - IGNORED
    return typed.remove(node, merged, to_fields(gone)) if gone else merged


def _without(managers: Managers, me: Manager, taken: Paths) -> Managers:
    found: Managers = {}
    for who, entry in managers.items():
        left = entry.paths if who == me else entry.paths - taken
        if left:
            found[who] = Entry(left, entry.version, entry.time)
    return found


def _refuse_conflicts(me: Manager, managers: Managers, changed: Paths) -> None:
    fields: defaultdict[str, list[str]] = defaultdict(list)
    for who, entry in managers.items():
        if who != me:
            for path in sorted(entry.paths & changed):
                fields[str(who)].append(shown(path))
    if not fields:
        return
    causes = [
        cause("FieldManagerConflict", f"conflict with {who}", path) for who in sorted(fields) for path in fields[who]
    ]
    count = len(causes)
    told = "\n".join(_told(who, fields[who]) for who in sorted(fields))
    message = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {told}"
    raise ApiError(409, "Conflict", message, {"causes": causes})


def _told(who: str, paths: list[str]) -> str:
    if len(paths) == 1:
        return f"conflict with {who}: {paths[0]}"
    return f"conflicts with {who}:" + "".join(f"\n- {path}" for path in paths)
