"""The fields of options as people see them: groups, and in them a path with our own words; types come from the schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from ..schema import at_path
from .common import Field, Group
from .hyperpod import INFERENCE_ENDPOINT_CONFIG, JUMPSTART_MODEL
from .sagemaker import SAGEMAKER

__all__ = ["GROUPS", "Field", "Group", "fields_of", "kind_of_field", "limits_of", "schema_of"]

GROUPS: Mapping[str, Sequence[Group]] = {
    "InferenceEndpointConfig": INFERENCE_ENDPOINT_CONFIG, "JumpStartModel": JUMPSTART_MODEL, "SageMaker": SAGEMAKER,
}
SCALARS = {"boolean": "switch", "integer": "integer", "number": "number", "string": "text"}


def fields_of(kind: str) -> Iterator[Field]:
    for group in GROUPS.get(kind, ()):
        yield from group.fields


@cache
def schema_of(kind: str, path: str) -> dict[str, Any]:
    """The schema at the path; {} for what is the portal's own."""
    try:
        return at_path(kind, path)
    except KeyError:
        return {}


def kind_of_field(kind: str, field: Field) -> str:
    """How it is entered: choice, switch, integer, number, text, list (of words) or json."""
    schema = schema_of(kind, field.path)
    if field.choices:
        return "choice"
    if "enum" in schema:
        return "choice" if len(schema["enum"]) <= 12 else "text"
    if schema.get("type") == "array" and schema["items"].get("type") == "string":
        return "list"
    return SCALARS.get(schema.get("type", "string"), "json")


def limits_of(kind: str, path: str) -> tuple[Any, Any]:
    """Least and most where the schema has both and they say something; None and None elsewhere."""
    schema = schema_of(kind, path)
    low, high = schema.get("minimum"), schema.get("maximum")
    return (low, high) if low is not None and high is not None and abs(high) < 2**31 - 1 else (None, None)
