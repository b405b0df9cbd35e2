"""Groups, their versions, and the resources of each, in the two forms that clients ask for."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Any

from tests.simulators.kubernetes.kinds import Kinds, Resource

Object = dict[str, Any]
UPDATE, PROXY = ["get", "patch", "update"], ["create", "delete", "get", "patch", "update"]

SUBRESOURCES: dict[
    str, tuple[str, str, list[str]]
] = {  # kind (as Kind.version.group) and verbs, where they are not the object's
    "pods/attach": ("PodAttachOptions", "", ["create", "get"]),
    "pods/exec": ("PodExecOptions", "", ["create", "get"]),
    "pods/portforward": ("PodPortForwardOptions", "", ["create", "get"]),
    "pods/proxy": ("PodProxyOptions", "", PROXY),
    "pods/binding": ("Binding", "", ["create"]),
    "pods/eviction": ("Eviction", "policy/v1", ["create"]),
    "pods/log": ("Pod", "", ["get"]),
    "nodes/proxy": ("NodeProxyOptions", "", PROXY),
    "services/proxy": ("ServiceProxyOptions", "", PROXY),
    "namespaces/finalize": ("Namespace", "", ["update"]),
    "serviceaccounts/token": ("TokenRequest", "authentication.k8s.io/v1", ["create"]),
}


def subresource(res: Resource, name: str) -> tuple[str, str, list[str]]:
    """Kind, apiVersion ("" for the resource's own) and verbs of a subresource."""
    if name == "scale":
        return "Scale", "autoscaling/v1", UPDATE
    return SUBRESOURCES.get(f"{res.plural}/{name}", (res.kind, "", UPDATE))


def by_group(kinds: Kinds) -> dict[str, dict[str, list[Resource]]]:
    """The resources by group and version; the built-in groups in their own order, then those of CRDs."""
    found: dict[str, dict[str, list[Resource]]] = {}
    for res in kinds.all():
        found.setdefault(res.group, {}).setdefault(res.version, []).append(res)
    builtin = {group: each for group, each in found.items() if not kinds.custom_group(group)}
    custom = {group: each for group, each in sorted(found.items()) if group not in builtin}
    return {
        group: {version: versions[version] for version in sorted(versions, key=version_order)}
        for group, versions in (builtin | custom).items()
    }


def version_order(version: str) -> tuple[int, int, int, str]:
    """Orders versions by what clients prefer: v2, v1, v1beta2, v1beta1, v1alpha1, and anything else by name."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return 3, 0, 0, version
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return stage, -int(match[1]), -int(match[3] or 0), version


def group_list(kinds: Kinds) -> Object:
    groups = {name: versions for name, versions in by_group(kinds).items() if name}

    def order(name: str) -> tuple[int, str]:
        return (1, f"{next(iter(groups[name]))}.{name}") if kinds.custom_group(name) else (0, "")

    listed = [_group(name, groups[name]) for name in sorted(groups, key=order)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def _group(name: str, versions: Iterable[str]) -> Object:
    told = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": told, "preferredVersion": told[0]}


def group(kinds: Kinds, name: str) -> Object | None:
    versions = by_group(kinds).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def resource_list(kinds: Kinds, name: str, version: str) -> Object | None:
    resources = by_group(kinds).get(name, {}).get(version)
    if resources is None:
        return None
    listed = [each for res in resources for each in _entries(res)]
    api_version = f"{name}/{version}" if name else version
    head: Object = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}
    if not name:
        del head["apiVersion"]
    return head


def _entries(res: Resource) -> list[Object]:
    entry: Object = {
        "name": res.plural, "singularName": res.singular, "namespaced": res.namespaced, "kind": res.kind,
        "verbs": list(res.verbs),
    }  # fmt: skip
    if res.short_names:
        entry["shortNames"] = list(res.short_names)
    if res.categories:
        entry["categories"] = list(res.categories)
    if "watch" in res.verbs:
        entry["storageVersionHash"] = storage_hash(res)
    return [
        entry,
        *(_sub_entry(res, name) for name in sorted(res.subresources, key=lambda name: _sub_order(res, name))),
    ]


def _sub_order(res: Resource, name: str) -> tuple[bool, str]:
    return res.custom and name != "status", name


def _sub_entry(res: Resource, name: str) -> Object:
    kind, api_version, verbs = subresource(res, name)
    entry: Object = {"name": f"{res.plural}/{name}", "singularName": "", "namespaced": res.namespaced}
    if api_version:
        entry["group"], entry["version"] = api_version.split("/")
    return {**entry, "kind": kind, "verbs": verbs}


def storage_hash(res: Resource) -> str:
    """By which clients see that what is stored has changed its version."""
    text = f"{res.key[0]}/{res.storage_version}/{res.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def aggregated(kinds: Kinds, *, core: bool) -> Object:
    """All groups with all their resources in one answer."""
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {"version": version, "resources": [_described(res) for res in resources], "freshness": "Current"}
                for version, resources in versions.items()
            ],
        }
        for name, versions in by_group(kinds).items()
        if core is not bool(name)
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _described(res: Resource) -> Object:
    own = {"group": res.group, "version": res.version} if res.custom else {"group": "", "version": ""}
    found: Object = {
        "resource": res.plural, "responseKind": {**own, "kind": res.kind},
        "scope": "Namespaced" if res.namespaced else "Cluster", "singularResource": res.singular,
        "verbs": list(res.verbs),
    }  # fmt: skip
    if res.short_names:
        found["shortNames"] = list(res.short_names)
    if res.categories:
        found["categories"] = list(res.categories)
    if res.subresources:
        names = sorted(res.subresources, key=lambda name: _sub_order(res, name))
        found["subresources"] = [_sub_described(res, name, own) for name in names]
    return found


def _sub_described(res: Resource, name: str, own: dict[str, str]) -> Object:
    kind, api_version, verbs = subresource(res, name)
    where = dict(zip(("group", "version"), api_version.split("/"), strict=True)) if api_version else own
    return {"subresource": name, "responseKind": {**where, "kind": kind}, "verbs": verbs}
