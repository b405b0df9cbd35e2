"""What a body must say about itself: kind, version, name and namespace of the request's path."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.simulators.kubernetes.errors import ApiError, bad_request, cause, invalid
from tests.simulators.kubernetes.kinds import Kinds, Resource
from tests.simulators.kubernetes.store import Object

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
LONGEST_BASE = 248


def generated(prefix: str) -> str:
    """A name as generateName makes it: five more characters."""
    return prefix[:LONGEST_BASE] + "".join(random.choices(SUFFIX, k=5))


def unrecognized(kind: str, why: str, body: bytes) -> ApiError:
    text = body.decode(errors="replace")
    shown = text if len(text) <= 30 else f"{text[:30]} ..."
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {why} ({shown or '<empty>'})")


def refuse_other_type(kinds: Kinds | None, res: Resource, obj: Object, body: bytes = b"") -> None:
    """
    :raises ApiError: 400, the body is of another kind or version than the path; 422 for a custom resource's kind.
    """
    kind, version = obj.get("kind") or "", obj.get("apiVersion") or ""
    if not res.custom and kinds is not None:
        _refuse_other_builtin(kinds, res, kind or res.kind, version or res.api_version)
    elif not kind:
        text = body.decode(errors="replace") or json.dumps(obj)
        raise unrecognized(res.kind, f"Object 'Kind' is missing in '{text}'", body or text.encode())
    elif version != res.api_version:
        error = bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({res.api_version})"
        )
        error.warnings = _all_unknown(obj)
        raise error


def _refuse_other_builtin(kinds: Kinds, res: Resource, kind: str, api_version: str) -> None:
    if (kind, api_version) == (res.kind, res.api_version):
        return
    group, _, version = api_version.rpartition("/")
    told = f'{kind} in version "{version}" cannot be handled as a {res.kind}'
    known = kinds.by_kind(group, kind)
    if (known is not None and version in known.versions) or (kind == "List" and api_version == "v1"):
        internal = f"{res.group or 'core'}.{res.kind}"
        raise bad_request(f"{told}: converting ({version}.{kind}) to ({internal}): unknown conversion")
    raise bad_request(
        f'{told}: no kind "{kind}" is registered for version "{api_version}" in scheme "pkg/runtime/scheme.go:111"'
    )


def refuse_other_place(res: Resource, namespace: str, name: str, metadata: dict[str, Any]) -> None:
    """
    :raises ApiError: 400, the metadata names another object than the path.
    """
    if not metadata.get("name"):
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if metadata["name"] != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    refuse_other_namespace(res, namespace, metadata)


def refuse_other_namespace(res: Resource, namespace: str, metadata: dict[str, Any]) -> None:
    if res.namespaced and (metadata.get("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def type_causes(res: Resource, obj: Object) -> list[dict[str, Any]]:
    """What is wrong with apiVersion and kind of a custom resource."""
    wanted = {"kind": res.kind, "apiVersion": res.api_version}
    return [
        cause("FieldValueInvalid", f'Invalid value: "{obj.get(field)}": must be {value}', field)
        for field, value in wanted.items()
        if obj.get(field) != value
    ]


def refuse_changed_type(res: Resource, obj: Object) -> None:
    """
    :raises ApiError: 422, a custom resource was patched into another kind or version.
    """
    if causes := type_causes(res, obj):
        error = invalid(res.group, obj.get("kind") or "", obj.get("metadata", {}).get("name") or "", causes)
        error.warnings = _all_unknown(obj) if obj.get("apiVersion") != res.api_version else []
        raise error


def _all_unknown(obj: Object) -> list[str]:
    """A version that is not served has no schema: it knows no field."""
    return [f'unknown field "{name}"' for name in obj if name not in ("apiVersion", "kind", "metadata")]
