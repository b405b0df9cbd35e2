"""Objects as flat fields: `spec.template.spec.containers[engine].image` to its value, and to who owns it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# Lists whose members are known by keys (x-kubernetes-list-map-keys, patchMergeKey); all others are one value.
# Kubernetes API reference v1.36; of several sets the first counts that the member has.
LIST_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),), "initContainers": (("name",),), "env": (("name",),), "volumes": (("name",),),
    "volumeMounts": (("mountPath",),), "imagePullSecrets": (("name",),), "conditions": (("type",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol"), ("containerPort",), ("port",)),
    "ownerReferences": (("uid",),), "listeners": (("name",),), "topologySpreadConstraints": (("topologyKey",),),
}
# Written by the server or the kubelet, never by people.
VOLATILE = frozenset({"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink",
                      "deletionTimestamp", "deletionGracePeriodSeconds"})


def flat(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Every leaf by its path, without status and without what the server writes into metadata.

    An empty map or list is a leaf, and so is a list whose members have no keys.
    """
    kept = {key: value for key, value in manifest.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in manifest.get("metadata", {}).items() if key not in VOLATILE}
    return dict(_leaves(kept, "", ""))


def _leaves(value: Any, path: str, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            yield from _leaves(child, f"{path}.{quoted(key)}" if path else quoted(key), key)
    elif isinstance(value, list) and (members := keyed(name, value)):
        for key, child in members.items():
            yield from _leaves(child, f"{path}[{key}]", "")
    else:
        yield path, value


def quoted(key: str) -> str:
    """A key as part of a path: one with a dot stands in quotes, as in `metadata.labels."a.b/c"`."""
    return f'"{key}"' if "." in key else key


def keyed(name: str, members: list[Any]) -> dict[str, Any]:
    """The members of list `name` by their keys, or {} where they have none or share one."""
    for keys in LIST_KEYS.get(name, ()):
        if all(isinstance(member, Mapping) and keys[0] in member for member in members):
            found = {member_key(keys, member): member for member in members}
            return found if len(found) == len(members) else {}
    return {}


def member_key(keys: tuple[str, ...], member: Mapping[str, Any]) -> str:
    """`engine`, or `8000,TCP` where there are several keys; a protocol that isn't named is TCP."""
    return ",".join(str(member.get(key, "TCP" if key == "protocol" else "")) for key in keys)


def owners(live: Mapping[str, Any]) -> dict[str, str]:
    """The field manager of each leaf, by the paths of `flat`; of several the one that is not `Apply` first.

    Read from managedFields (fieldsV1: `f:` a field, `k:` a member by its keys, `v:` a member by its value).
    """
    found: dict[str, str] = {}
    entries = sorted(live.get("metadata", {}).get("managedFields", ()), key=lambda entry: entry.get("operation") != "Apply")
    for entry in entries:
        if entry.get("subresource") == "status":
            continue
        for path in _owned(entry.get("fieldsV1", {}), live, "", ""):
            found[path] = str(entry.get("manager", ""))
    return found


def _owned(tree: Mapping[str, Any], value: Any, path: str, name: str) -> Iterator[str]:
    inner = {token: branch for token, branch in tree.items() if token != "."}  # noqa: S105
    if not inner or any(token.startswith("v:") for token in inner):
        yield from (leaf for leaf, _value in _leaves(value, path, name))
        return
    for token, branch in inner.items():
        step = _step(token, value, path, name)
        if step is not None:
            yield from _owned(branch, *step)


def _step(token: str, value: Any, path: str, name: str) -> tuple[Any, str, str] | None:
    kind, _colon, text = token.partition(":")
    if kind == "f" and isinstance(value, Mapping) and text in value:
        return value[text], f"{path}.{quoted(text)}" if path else quoted(text), text
    if kind == "k" and isinstance(value, list):
        wanted = json.loads(text)
        for key, member in keyed(name, value).items():
            if all(member.get(part, "TCP" if part == "protocol" else None) == of for part, of in wanted.items()):
                return member, f"{path}[{key}]", ""
    return None
