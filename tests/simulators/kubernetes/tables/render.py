"""Objects and lists as tables or as their metadata alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from tests.simulators.kubernetes.errors import ApiError, bad_request
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.tables.cells import age, custom_cell
from tests.simulators.kubernetes.tables.columns import COLUMNS, INTEGERS, PLAIN
from tests.simulators.kubernetes.tables.negotiate import Form

Object = dict[str, Any]
INCLUDE = ("", "Metadata", "Object", "None")
NAME_TEXT = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client "
    "to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and "
    "configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
AGE_TEXT = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be "
    "set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 "
    "form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
TEXTS = {  # what clients are told of a column; the API's own words, where the conformance corpus has them
    ("Secret", "Type"): "Used to facilitate programmatic handling of secret data. More info: "
    "https://kubernetes.io/docs/concepts/configuration/secret/#secret-types",
    (
        "Secret",
        "Data",
    ): "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. "
    "The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data "
    "value here. Described in https://tools.ietf.org/html/rfc4648#section-4",
    ("StatefulSet", "Ready"): "Number of the pod with ready state",
    ("StatefulSet", "Containers"): "Names of each container in the template.",
    ("StatefulSet", "Images"): "Images referenced by each container in the template.",
}


def render(
    res: Resource,
    items: Iterable[Object],
    metadata: Object,
    *,
    include: str = "",
    version: str = "v1",
    headers: bool = True,
) -> Object:
    """A Table of objects of one resource.

    :raises ApiError: 400, `include` is not one of `INCLUDE`.
    """
    if include not in INCLUDE:
        why = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise bad_request(f"Unable to convert to Table as requested: {why}")
    columns, cells = _plan(res)
    rows = [{"cells": cells(obj), "object": _shown(obj, include, version)} for obj in items]
    return {
        "kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": metadata,
        "columnDefinitions": columns if headers else None, "rows": rows,
    }  # fmt: skip


def _shown(obj: Object, include: str, version: str) -> Object | None:
    if include == "None":
        return None
    return obj if include == "Object" else partial(obj, version)


def partial(obj: Object, version: str = "v1") -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}


def as_form(form: Form, res: Resource, body: Object, include: str = "") -> Object:
    """An answer's body in the asked form; errors and other Status objects stay as they are.

    :raises ApiError: 406, metadata of one object asked of a list, or the other way round.
    """
    if not form.shape or body.get("kind") == "Status":
        return body
    items = body.get("items") if body.get("kind") == res.kind_of_list else None
    if form.shape == "Table":
        metadata = _list_metadata(body["metadata"])
        return render(res, [body] if items is None else items, metadata, include=include, version=form.version)
    if (form.shape == "PartialObjectMetadata") is (items is not None):
        raise _not_such(form.shape, res, items is not None)
    if items is None:
        return partial(body, form.version)
    return {
        "kind": form.shape, "apiVersion": f"meta.k8s.io/{form.version}", "metadata": _list_metadata(body["metadata"]),
        "items": [partial(each, form.version) for each in items] or None,
    }  # fmt: skip


def _list_metadata(metadata: Object) -> Object:
    keys = ("resourceVersion", "continue", "remainingItemCount")
    return {key: metadata[key] for key in keys if metadata.get(key)}


def _not_such(shape: str, res: Resource, is_list: bool) -> ApiError:
    go_type = (
        f"*unstructured.Unstructured{'List' * is_list}"
        if res.custom
        else f"*{res.group or 'core'}.{res.kind}{'List' * is_list}"
    )
    what = "a list" if is_list else "not a list"
    return ApiError(406, "NotAcceptable", f"you requested {shape}, but the requested object is {what} ({go_type})")


def as_event(form: Form, res: Resource, obj: Object, include: str = "", *, first: bool = True) -> Object:
    """The object of a watch event in the asked form; only the first table has its columns."""
    if form.shape == "Table":
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return render(res, [obj], metadata, include=include, version=form.version, headers=first)
    return partial(obj, form.version) if form.shape else obj


Plan = tuple[list[Object], Callable[[Object], list[Any]]]


@lru_cache(maxsize=500)
def _plan(res: Resource) -> Plan:
    """A resource's columns, and the function from an object to its cells."""
    return _custom_plan(res) if res.custom else _builtin_plan(res)


def column(name: str, kind: str = "string", text: str = "", *, priority: int = 0, form: str = "") -> Object:
    return {"name": name, "type": kind, "format": form, "description": text, "priority": priority}


def _custom_plan(res: Resource) -> Plan:
    given = list(res.columns)
    columns = [column("Name", text=NAME_TEXT, form="name")]
    for each in given:
        text = each.get("description") or f"Custom resource definition column (in JSONPath format): {each['jsonPath']}"
        kind, form = each["type"], each.get("format", "")
        columns.append(column(each["name"], kind, text, priority=each.get("priority", 0), form=form))
    if not given:
        columns.append(column("Age", "date", AGE_TEXT))
        given = [{"type": "date", "jsonPath": ".metadata.creationTimestamp"}]
    return columns, lambda obj: [obj["metadata"]["name"], *(custom_cell(each, obj) for each in given)]


def _builtin_plan(res: Resource) -> Plan:
    names, cells = COLUMNS.get((res.group, res.kind), PLAIN)
    named = res.kind != "Event"  # an event's name says nothing: it stands last, for `-o wide`
    columns = [column("Name", text=NAME_TEXT, form="name")] if named else []
    for word in names.split():
        wide, plain = word.startswith("*"), word.lstrip("*")
        name, kind = plain.replace("_", " "), "integer" if plain in INTEGERS else "string"
        if res.kind == "Secret":
            kind = "string"
        text = AGE_TEXT if name == "Age" else TEXTS.get((res.kind, name), f"{name} of the {res.kind}")
        columns.append(column(name, kind, text, priority=int(wide)))
    at = names.split().index("Age") if "Age" in names.split() else -1

    def row(obj: Object) -> list[Any]:
        found = cells(obj)
        if at >= 0:
            found.insert(at, age(obj["metadata"].get("creationTimestamp")))
        return [obj["metadata"]["name"], *found] if named else found

    return columns, row
