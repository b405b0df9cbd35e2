"""Requests and answers held against botocore's own description of the API, in the form they have on the wire."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from tests.simulators.aws.errors import invalid

JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{M}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{S}": r"^\w\s", r"\p{P}": r"^\w\s"}
NUMBERS = ("integer", "long", "float", "double")


@cache
def service_model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def operation_model(service: str, operation: str) -> OperationModel | None:
    model = service_model(service)
    return model.operation_model(operation) if operation in model.operation_names else None


def check_input(service: str, operation: str, params: Any) -> None:
    """
    :raises AwsFault: ValidationException with what AWS says of a request that its model doesn't allow.
    """
    found = problems(service_model(service).operation_model(operation).input_shape, params)
    if found:
        plural = "error" if len(found) == 1 else "errors"
        raise invalid(f"{len(found)} validation {plural} detected: {'; '.join(found)}")


def output_problems(service: str, operation: str, answer: Any) -> list[str]:
    """What in an answer no client of botocore's would understand."""
    return problems(service_model(service).operation_model(operation).output_shape, answer)


def problems(shape: Any, value: Any, path: str = "") -> list[str]:
    """Everything about a value that its shape does not allow, in AWS's words where they are known."""
    if shape is None:
        return [] if value in (None, {}) else [f"Value at '{path}' is not expected"]
    walk = WALKS.get(shape.type_name)
    return walk(shape, value, path) if walk else []


def _said(value: Any, path: str, rule: str) -> str:
    return f"Value '{value}' at '{_camel(path)}' failed to satisfy constraint: {rule}"


def _camel(path: str) -> str:
    """AWS names members in messages with a small first letter."""
    return ".".join(part[:1].lower() + part[1:] for part in path.split("."))


def _structure(shape: Any, value: Any, path: str) -> list[str]:
    if getattr(shape, "is_document_type", False):
        return []
    if not isinstance(value, dict):
        return [_said(value, path, "Member must be a structure")]
    dot = f"{path}." if path else ""
    found = [_said("null", f"{dot}{name}", "Member must not be null")
             for name in shape.required_members if value.get(name) is None]
    found += [f"Unknown member '{dot}{name}'" for name in value if name not in shape.members]
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        found.append(_said(sorted(value), path, "exactly one member must be set"))
    for name, inner in value.items():
        if name in shape.members and inner is not None:
            found += problems(shape.members[name], inner, f"{dot}{name}")
    return found


def _list(shape: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        return [_said(value, path, "Member must be a list")]
    found = _length(shape, value, path)
    for number, each in enumerate(value, 1):
        found += problems(shape.member, each, f"{path}.{number}.member")
    return found


def _map(shape: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [_said(value, path, "Member must be a map")]
    found = _length(shape, value, path)
    for key, each in value.items():
        found += problems(shape.key, key, path) + problems(shape.value, each, f"{path}.{key}")
    return found


def _string(shape: Any, value: Any, path: str) -> list[str]:
    if not isinstance(value, str):
        return [_said(value, path, "Member must be a string")]
    if shape.enum and value not in shape.enum:
        return [_said(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")]
    found = _length(shape, value, path)
    pattern = _compiled(shape.metadata.get("pattern", ""))
    if pattern and not pattern.fullmatch(value):
        wanted = shape.metadata["pattern"]
        found.append(_said(value, path, f"Member must satisfy regular expression pattern: {wanted}"))
    return found


def _length(shape: Any, value: Any, path: str) -> list[str]:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", math.inf)
    if least <= len(value) <= most:
        return []
    rule = f"less than or equal to {most}" if len(value) > most else f"greater than or equal to {least}"
    return [_said(value, path, f"Member must have length {rule}")]


def _number(shape: Any, value: Any, path: str) -> list[str]:
    kinds = (int,) if shape.type_name in ("integer", "long") else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return [_said(value, path, "Member must be a number")]
    least, most = float(shape.metadata.get("min", -math.inf)), float(shape.metadata.get("max", math.inf))
    if least <= value <= most:
        return []
    rule = f"less than or equal to {most:g}" if value > most else f"greater than or equal to {least:g}"
    return [_said(value, path, f"Member must have value {rule}")]


def _boolean(_shape: Any, value: Any, path: str) -> list[str]:
    return [] if isinstance(value, bool) else [_said(value, path, "Member must be a boolean")]


def _timestamp(_shape: Any, value: Any, path: str) -> list[str]:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return [] if good else [_said(value, path, "Member must be a timestamp")]


WALKS = {"structure": _structure, "list": _list, "map": _map, "string": _string, "boolean": _boolean,
         "timestamp": _timestamp, **dict.fromkeys(NUMBERS, _number)}  # fmt: skip


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """None for the few patterns that only Java understands."""
    for java, python in JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    try:
        return re.compile(pattern) if pattern else None
    except re.error:
        return None
