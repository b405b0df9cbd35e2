"""Whether a value fits a schema, with the complaints that an API server has about one that does not.

The wording is that of k8s.io/kube-openapi/pkg/validation and of apiextensions-apiserver, which clients show to people.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

from tests.simulators.kubernetes.errors import cause
from tests.simulators.kubernetes.schema.node import MISSING, Node

Causes = list[dict[str, Any]]

UNCHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
BLOCKING = {
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid",
}  # fmt: skip
INT_RANGE = {"int32": 2**31, "int64": 2**63}


def shown(value: Any) -> str:
    """A value as messages have it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def invalid(field: str, value: Any, why: str) -> dict[str, Any]:
    return cause("FieldValueInvalid", f"Invalid value: {shown(value)}: {why}", field)


def required(field: str, why: str = "") -> dict[str, Any]:
    return cause("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)


def not_supported(field: str, value: Any, known: Any) -> dict[str, Any]:
    values = ", ".join(shown(each) for each in known)
    return cause("FieldValueNotSupported", f"Unsupported value: {shown(value)}: supported values: {values}", field)


def duplicate(field: str, value: Any) -> dict[str, Any]:
    return cause("FieldValueDuplicate", f"Duplicate value: {shown(value)}", field)


def forbidden(field: str, why: str) -> dict[str, Any]:
    return cause("FieldValueForbidden", f"Forbidden: {why}", field)


def validate(node: Node, value: Any, path: str, causes: Causes, old: Any = MISSING) -> None:
    """Appends what is wrong. What did not change since `old` is not judged again (ratcheting)."""
    if (value is None and node.nullable) or (old is not MISSING and old == value):
        return
    if wrong := _wrong_type(node, value):
        _type_causes(node, value, path, wrong, causes)
        return
    if isinstance(value, dict):
        _validate_map(node, value, path, causes, old)
    elif isinstance(value, list):
        _validate_list(node, value, path, causes)
    elif isinstance(value, str):
        _validate_text(node, value, path, causes)
    elif not isinstance(value, bool) and value is not None:
        _validate_number(node, value, path, causes)
    if node.enum is not None and value not in node.enum:
        causes.append(not_supported(path, value, node.enum))
    if node.parts:
        _validate_parts(node, value, path, causes)


def type_name(value: Any) -> str:
    if value is None:
        return "null"
    names = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next(name for kind, name in names if isinstance(value, kind))


def _wrong_type(node: Node, value: Any) -> str:
    """The name of the value's type when the schema does not allow it."""
    found = type_name(value)
    if node.special == "int-or-string":
        return "" if found in ("integer", "string") else found
    if not node.type or node.type == found or (node.type == "number" and found == "integer"):
        return ""
    if node.type == "integer" and found == "number":
        return "" if value.is_integer() else "float64"
    return found


def _type_causes(node: Node, value: Any, path: str, wrong: str, causes: Causes) -> None:
    wanted = "integer,string" if node.special == "int-or-string" else node.type
    if wrong == "float64" and node.format:
        wanted = node.format
        causes.append(_format_cause(node, path))
    causes.append(type_invalid(path, wanted, wrong))


def type_invalid(path: str, wanted: str, got: str) -> dict[str, Any]:
    message = f'Invalid value: "{got}": {path} in body must be of type {wanted}: "{got}"'
    return cause("FieldValueTypeInvalid", message, path)


def _format_cause(node: Node, path: str) -> dict[str, Any]:
    message = f"Checked value must be of type {node.type} with format {node.format} in {path}"
    return cause("FieldValueInvalid", f'Invalid value: "": {message}', "<nil>")


def _validate_map(node: Node, value: dict[str, Any], path: str, causes: Causes, old: Any) -> None:
    causes.extend(required(f"{path}.{key}" if path else key) for key in node.required if key not in value)
    before = old if isinstance(old, dict) else {}
    for key, item in value.items():
        child = node.fields.get(key) or node.values
        if child is not None:
            validate(child, item, f"{path}.{key}" if path else key, causes, before.get(key, MISSING))
    bounds = node.bounds
    if len(value) > bounds.get("maxProperties", len(value)):
        causes.append(too_many(path, len(value), bounds["maxProperties"]))
    if len(value) < bounds.get("minProperties", 0):
        what = f"{path} in body should have at least {bounds['minProperties']} properties"
        causes.append(invalid(path, len(value), what))


def too_many(path: str, found: int, limit: int) -> dict[str, Any]:
    return cause("FieldValueTooMany", f"Too many: {found}: must have at most {limit} items", path)


def too_long(path: str, limit: int) -> dict[str, Any]:
    return cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def _validate_list(node: Node, value: list[Any], path: str, causes: Causes) -> None:
    if node.items is not None:
        for at, item in enumerate(value):
            validate(node.items, item, f"{path}[{at}]", causes)
    bounds = node.bounds
    if len(value) > bounds.get("maxItems", len(value)):
        causes.append(too_many(path, len(value), bounds["maxItems"]))
    if len(value) < bounds.get("minItems", 0):
        what = f"{path} in body should have at least {bounds['minItems']} items"
        causes.append(invalid(path, len(value), what))
    if node.list_type != "atomic":
        _validate_keys(node, value, path, causes)


def _validate_keys(node: Node, value: list[Any], path: str, causes: Causes) -> None:
    seen: set[str] = set()
    for at, item in enumerate(value):
        key = item
        if node.list_type == "map":
            key = {name: item[name] for name in node.list_keys if name in item} if isinstance(item, dict) else item
        text = shown(key)
        if text in seen:
            causes.append(duplicate(f"{path}[{at}]", key))
        seen.add(text)


def _validate_text(node: Node, value: str, path: str, causes: Causes) -> None:
    """Of length and pattern only the first complaint is told."""
    bounds = node.bounds
    if len(value) > bounds.get("maxLength", len(value)):
        causes.append(too_long(path, bounds["maxLength"]))
    elif len(value) < bounds.get("minLength", 0):
        causes.append(invalid(path, value, f"{path} in body should be at least {bounds['minLength']} chars long"))
    elif node.pattern is not None and node.pattern.search(value) is None:
        causes.append(invalid(path, value, f"{path} in body should match '{node.pattern_text}'"))
    if node.format in FORMATS and not FORMATS[node.format](value):
        what = f"Invalid value: {shown(value)}: {path} in body must be of type {node.format}: {shown(value)}"
        causes.append(cause("FieldValueTypeInvalid", what, path))


def _validate_number(node: Node, value: float, path: str, causes: Causes) -> None:
    bounds = node.bounds
    span = INT_RANGE.get(node.format)
    if span is not None and node.type == "integer" and not -span <= value < span:
        causes.append(_format_cause(node, path))
    if "minimum" in bounds and _beyond(bounds["minimum"], value, bounds.get("exclusiveMinimum")):
        causes.append(invalid(path, value, f"{path} in body should be {_than('greater', bounds, 'Minimum')}"))
    if "maximum" in bounds and _beyond(value, bounds["maximum"], bounds.get("exclusiveMaximum")):
        causes.append(invalid(path, value, f"{path} in body should be {_than('less', bounds, 'Maximum')}"))
    if "multipleOf" in bounds and value % bounds["multipleOf"]:
        causes.append(invalid(path, value, f"{path} in body should be a multiple of {bounds['multipleOf']}"))


def _beyond(upper: float, lower: float, exclusive: bool | None) -> bool:
    return upper >= lower if exclusive else upper > lower


def _than(word: str, bounds: dict[str, Any], which: str) -> str:
    return f"{word} than {'' if bounds.get(f'exclusive{which}') else 'or equal to '}{bounds[which.lower()]}"


def fits(node: Node, value: Any) -> bool:
    found: Causes = []
    validate(node, value, "", found)
    return not found


def _validate_parts(node: Node, value: Any, path: str, causes: Causes) -> None:
    for part in node.parts.get("allOf", ()):
        validate(part, value, path, causes)
    for key, words, good in COMBINED:
        if key in node.parts:
            hits = sum(fits(part, value) for part in node.parts[key])
            if not good(hits):
                what = "Found none valid" if not hits else f"Found {hits} valid alternatives"
                message = f"{path} in body must {words}. {what}" if key == "oneOf" else f"{path} in body must {words}"
                causes.append(cause("FieldValueInvalid", f'Invalid value: "": {message}', path))


COMBINED: tuple[tuple[str, str, Callable[[int], bool]], ...] = (
    ("anyOf", "validate at least one schema (anyOf)", lambda hits: hits > 0),
    ("oneOf", "validate one and only one schema (oneOf)", lambda hits: hits == 1),
    ("not", "not validate the schema (not)", lambda hits: hits == 0),
)

TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")


def _is_address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": lambda text: TIME.match(text) is not None,
    "ipv4": _is_address(4), "ipv6": _is_address(6),
    "uuid": lambda text: re.fullmatch(r"(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", text) is not None,
}  # fmt: skip
