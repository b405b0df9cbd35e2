"""What objects may look like: the schemas of CRDs and the types of the built-in kinds.

`check` is asked with each write; everything it needs is compiled once for each resource and version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from tests.simulators.kubernetes.errors import ApiError
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.schema import builtin, custom
from tests.simulators.kubernetes.schema.decode import DecodeError, decode
from tests.simulators.kubernetes.schema.node import Node, build

__all__ = ["OBJECT_META", "Checked", "Undecodable", "check", "definition_name", "definitions", "named_node", "node_for"]

Object = dict[str, Any]
CORE = Path(__file__).parent / "core.json"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@dataclass(frozen=True, slots=True)
class Checked:
    """The object as it would be stored; what was left out of it; what is wrong with it (`errors.cause`)."""

    obj: Object
    warnings: list[str]
    """`unknown field "spec.x"`; with fieldValidation Strict the caller refuses the write for them."""
    causes: list[dict[str, Any]]


class Undecodable(ApiError):
    """The object cannot be read as one of its kind; `why` is the decoder's complaint."""

    def __init__(self, res: Resource, why: str) -> None:
        self.why = why
        super().__init__(
            400, "BadRequest", f'{res.kind} in version "{res.version}" cannot be handled as a {res.kind}: {why}'
        )


@cache
def definitions() -> dict[str, Any]:
    """The types of the built-in kinds, by their full names (README.md)."""
    found: dict[str, Any] = msgspec.json.decode(CORE.read_bytes())
    return found


@cache
def _names() -> dict[tuple[str, str, str], str]:
    """The name of the definition of each group, version and kind."""
    marks = "x-kubernetes-group-version-kind"
    found: dict[tuple[str, str, str], str] = {}
    for name, schema in definitions().items():
        for each in schema.get(marks, ()):
            found.setdefault((each["group"], each["version"], each["kind"]), name)
    return found


def definition_name(group: str, version: str, kind: str) -> str:
    """Where in `definitions` a built-in kind is; "" when it is not there."""
    return _names().get((group, version, kind), "")


_memo: dict[str, Node] = {}
_nodes: WeakKeyDictionary[Resource, Node] = WeakKeyDictionary()


def named_node(name: str) -> Node:
    """The compiled form of one of `definitions`."""
    return build({"$ref": name}, definitions(), _memo)


def node_for(res: Resource) -> Node:
    """The compiled schema of a resource's objects, metadata included."""
    node = _nodes.get(res)
    if node is None:
        node = _nodes[res] = _compile(res)
    return node


def _compile(res: Resource) -> Node:
    if not res.custom:
        name = definition_name(res.group, res.version, res.kind)
        return named_node(name) if name else Node(preserve=True)
    node = build(res.schema or {})
    text = Node(type="string")
    node.fields |= {"apiVersion": text, "kind": text, "metadata": named_node(OBJECT_META)}
    return node


def check(
    res: Resource, obj: Object, *, old: Object | None = None, subresource: str = "", field_validation: str = "Warn"
) -> Checked:
    """What an API server makes of an object that a client sent, or that a patch came to.

    :raises Undecodable: a value does not fit the type of its field.
    """
    node, unknown = node_for(res), list[str]()
    try:
        new = custom.admit(node, obj, unknown) if res.custom else decode(node, obj, "", res.kind, unknown)
    except DecodeError as error:
        raise Undecodable(res, str(error)) from error
    if res.custom:
        causes = custom.causes(res, node, new, old, subresource)
    else:
        new = builtin.completed(res, new, old if not subresource else None)
        causes = builtin.causes(res, new, old, subresource)
    warnings = [] if field_validation == "Ignore" else [f'unknown field "{path}"' for path in unknown]
    return Checked(new, warnings, causes)
