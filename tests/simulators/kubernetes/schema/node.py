"""A schema compiled once into a tree of nodes that admission, validation and server-side apply walk."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.kubernetes.schema import cel

MISSING: Any = object()  # no value at all, which differs from an explicit null

SPECIAL = {  # definitions whose JSON form is not what their schema says
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "micro-time",
}
ANYTHING = {  # definitions that hold free JSON
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
}


@dataclass(slots=True, eq=False)
class Node:
    """One place in a schema: what may stand there and how lists and maps of it are merged."""

    type: str = ""  # object, array, string, integer, number, boolean, or "" for anything
    name: str = ""  # the Go struct of a built-in kind, for messages
    special: str = ""  # quantity, int-or-string, time, micro-time
    format: str = ""
    fields: dict[str, Node] = field(default_factory=dict)
    values: Node | None = None  # of a map with free keys
    items: Node | None = None
    preserve: bool = False  # unknown fields stay
    embedded: bool = False  # a whole object with apiVersion, kind and metadata
    nullable: bool = False
    default: Any = MISSING
    defaults: tuple[tuple[str, Node], ...] = ()  # the fields that have a default
    required: tuple[str, ...] = ()
    list_type: str = "atomic"  # atomic, set, map
    list_keys: tuple[str, ...] = ()
    atomic_map: bool = False
    patch_key: str = ""  # for strategic merge patch
    patch_strategy: tuple[str, ...] = ()
    enum: tuple[Any, ...] | None = None
    bounds: dict[str, Any] = field(default_factory=dict)  # minimum, maxItems, ... as in the schema
    pattern: re.Pattern[str] | None = None
    pattern_text: str = ""
    parts: dict[str, list[Node]] = field(default_factory=dict)  # allOf, anyOf, oneOf, not
    rules: tuple[cel.Rule, ...] = ()
    rules_within: bool = False  # here or below

    @property
    def is_map(self) -> bool:
        """Whether keys are free here."""
        return self.values is not None


BOUNDS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties",
)  # fmt: skip


def build(
    schema: dict[str, Any], definitions: dict[str, Any] | None = None, memo: dict[str, Node] | None = None
) -> Node:
    """The tree for an OpenAPI schema; `$ref` names stand in `definitions` (they may refer to each other in circles)."""
    memo = {} if memo is None else memo
    name = schema.get("$ref", "")
    if not name:
        return _fill(Node(), schema, definitions or {}, memo)
    if name not in memo:
        node = memo[name] = Node(name=name.rsplit(".", 1)[-1], special=SPECIAL.get(name, ""))
        if name in ANYTHING:
            node.preserve = True
        elif not node.special:
            _fill(node, (definitions or {})[name], definitions or {}, memo)
    return _with_merge_hints(memo[name], schema)


def _with_merge_hints(node: Node, schema: dict[str, Any]) -> Node:
    """A reference may carry hints of its own for merging; the shared node is not touched then."""
    if "x-kubernetes-patch-strategy" not in schema:
        return node
    copy = Node(**{name: getattr(node, name) for name in Node.__slots__})
    copy.patch_strategy = tuple(schema["x-kubernetes-patch-strategy"].split(","))
    return copy


def _fill(node: Node, schema: dict[str, Any], definitions: dict[str, Any], memo: dict[str, Node]) -> Node:
    kind = schema.get("type", "")
    node.type = kind if isinstance(kind, str) else ""
    node.format = schema.get("format", "")
    node.nullable = schema.get("nullable", False)
    node.embedded = schema.get("x-kubernetes-embedded-resource", False)
    node.preserve = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if schema.get("x-kubernetes-int-or-string"):
        node.type, node.special = "", "int-or-string"
    _fill_children(node, schema, definitions, memo)
    _fill_merging(node, schema)
    _fill_checks(node, schema, definitions, memo)
    return node


def _fill_children(node: Node, schema: dict[str, Any], definitions: dict[str, Any], memo: dict[str, Node]) -> None:
    node.fields = {key: build(sub, definitions, memo) for key, sub in schema.get("properties", {}).items()}
    node.required = tuple(schema.get("required", ()))
    extra = schema.get("additionalProperties")
    if extra:
        node.values = Node(preserve=True) if extra is True else build(extra, definitions, memo)
    if schema.get("items"):
        node.items = build(schema["items"], definitions, memo)
    if not node.fields and node.values is None and node.type in ("", "object") and not node.special:
        node.preserve = node.preserve or not (schema.keys() & {"type", "properties"})
    node.default = schema.get("default", MISSING)
    node.defaults = tuple((key, sub) for key, sub in node.fields.items() if sub.default is not MISSING)


def _fill_merging(node: Node, schema: dict[str, Any]) -> None:
    node.list_type = schema.get("x-kubernetes-list-type", "atomic")
    node.list_keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    node.atomic_map = schema.get("x-kubernetes-map-type") == "atomic"
    node.patch_key = schema.get("x-kubernetes-patch-merge-key", "")
    strategy = schema.get("x-kubernetes-patch-strategy", "")
    node.patch_strategy = tuple(strategy.split(",")) if strategy else ()


def _fill_checks(node: Node, schema: dict[str, Any], definitions: dict[str, Any], memo: dict[str, Node]) -> None:
    node.enum = tuple(schema["enum"]) if "enum" in schema else None
    node.bounds = {key: schema[key] for key in BOUNDS if key in schema}
    node.pattern_text = schema.get("pattern", "")
    node.pattern = re.compile(cel.go_regex(schema["pattern"])) if "pattern" in schema else None
    if not node.special:  # an int-or-string repeats itself as anyOf
        for key in ("allOf", "anyOf", "oneOf"):
            if key in schema:
                node.parts[key] = [build(sub, definitions, memo) for sub in schema[key]]
        if isinstance(schema.get("not"), dict):
            node.parts["not"] = [build(schema["not"], definitions, memo)]
    node.rules = tuple(cel.Rule.compile(rule) for rule in schema.get("x-kubernetes-validations", ()))
    below = (*node.fields.values(), node.values, node.items)
    node.rules_within = bool(node.rules) or any(sub is not None and sub.rules_within for sub in below)
