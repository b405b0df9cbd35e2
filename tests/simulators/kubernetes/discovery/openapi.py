"""OpenAPI v3: the index, and a document for each group and version, as far as kubectl reads them.

kubectl looks up kinds (`explain`), and whether a PATCH of a kind takes `fieldValidation` and `dryRun` (`apply`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from tests.simulators.kubernetes import schema
from tests.simulators.kubernetes.discovery.groups import by_group
from tests.simulators.kubernetes.kinds import Kinds, Resource

Object = dict[str, Any]
PLACE = "#/components/schemas/"
PLAIN = (".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version")
PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def document_names(kinds: Kinds) -> Iterator[str]:
    """The paths that have a document; only the groups of the API server itself have one for the group alone."""
    yield from PLAIN
    for group, versions in by_group(kinds).items():
        if group and not kinds.custom_group(group):
            yield f"apis/{group}"
        yield from (f"apis/{group}/{version}" if group else f"api/{version}" for version in versions)


def index(kinds: Kinds) -> Object:
    paths = {
        name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={fingerprint(kinds, name)}"}
        for name in sorted(document_names(kinds))
    }
    return {"paths": paths}


def fingerprint(kinds: Kinds, name: str) -> str:
    return hashlib.sha256(f"{kinds.revision}/{name}".encode()).hexdigest().upper()


def document(kinds: Kinds, name: str) -> Object | None:
    """None for a name that the index does not have."""
    if name not in set(document_names(kinds)):
        return None
    _, _, group_version = name.partition("/")
    group, _, version = group_version.rpartition("/")
    resources = by_group(kinds).get(group, {}).get(version, []) if name.startswith(("api/", "apis/")) else []
    schemas: Object = {}
    for res in resources:
        _add_schema(res, schemas)
    paths = {path: item for res in resources for path, item in _paths(res)}
    info = {"title": "Kubernetes", "version": "v1.36.2"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _gvk(res: Resource) -> dict[str, str]:
    return {"group": res.group, "kind": res.kind, "version": res.version}


def _paths(res: Resource) -> Iterator[tuple[str, Object]]:
    base = f"/apis/{res.api_version}" if res.group else f"/api/{res.version}"
    place = "/namespaces/{namespace}" if res.namespaced else ""
    collection = {"get": _operation(res, "list"), "post": _operation(res, "post")}
    yield f"{base}{place}/{res.plural}", {method: each for method, each in collection.items() if _served(res, method)}
    if res.namespaced and "list" in res.verbs:
        yield f"{base}/{res.plural}", {"get": _operation(res, "list")}
    methods = {"get": "get", "put": "put", "patch": "patch", "delete": "delete"}
    one = {method: _operation(res, action) for method, action in methods.items() if _served(res, method)}
    if one and "get" in res.verbs:
        yield f"{base}{place}/{res.plural}/{{name}}", one


def _served(res: Resource, method: str) -> bool:
    return {"post": "create", "put": "update"}.get(method, method) in res.verbs


def _operation(res: Resource, action: str) -> Object:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "boolean" if name == "force" else "string"}}
        for name in PARAMETERS
        if action in ("patch", "put", "post") and (name != "force" or action == "patch")
    ]
    content = {"application/json": {"schema": {"$ref": PLACE + schema_name(res)}}}
    return {
        "x-kubernetes-action": action, "x-kubernetes-group-version-kind": _gvk(res), "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
    }  # fmt: skip


def schema_name(res: Resource) -> str:
    builtin = schema.definition_name(res.group, res.version, res.kind)
    reversed_group = ".".join(reversed(res.group.split(".")))
    return builtin or f"{reversed_group}.{res.version}.{res.kind}"


def _add_schema(res: Resource, schemas: Object) -> None:
    if not res.custom:
        _add_definition(schema_name(res), schemas)
        return
    own = dict(res.schema or {})
    text = {"type": "string"}
    metadata = {"$ref": PLACE + schema.OBJECT_META}
    own["properties"] = {**own.get("properties", {}), "apiVersion": text, "kind": text, "metadata": metadata}
    schemas[schema_name(res)] = {**own, "x-kubernetes-group-version-kind": [_gvk(res)]}
    _add_definition(schema.OBJECT_META, schemas)


def _add_definition(name: str, schemas: Object) -> None:
    """A definition and all that it refers to."""
    if name in schemas or name not in schema.definitions():
        return
    schemas[name] = {}  # so that a circle ends here
    schemas[name] = _with_places(schema.definitions()[name], schemas)


def _with_places(part: Any, schemas: Object) -> Any:
    if isinstance(part, list):
        return [_with_places(each, schemas) for each in part]
    if not isinstance(part, dict):
        return part
    name = part.get("$ref")
    if isinstance(name, str):
        _add_definition(name, schemas)
        return {"allOf": [{"$ref": PLACE + name}], **{key: value for key, value in part.items() if key != "$ref"}}
    return {key: _with_places(value, schemas) for key, value in part.items()}
