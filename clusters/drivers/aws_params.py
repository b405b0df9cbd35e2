"""Whether AWS could take a request, by its own description of the operation; no network, and no value is quoted.

botocore checks types, required and unknown members and minima when a call is made. Enums, patterns and maxima it leaves
to AWS; here they are checked too, so that a form can refuse them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from . import aws_sdk

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,), "map": (dict,), "list": (list, tuple), "string": (str,), "character": (str,),
    "integer": (int,), "long": (int,), "float": (int, float), "double": (int, float), "boolean": (bool,),
    "blob": (bytes, bytearray, str), "timestamp": (datetime, str, int, float),
}
_NUMBERS = frozenset({"integer", "long", "float", "double"})


def check_params(service: str, operation: str, params: Mapping[str, Any]) -> list[str]:
    """What AWS would refuse of these parameters, each with its path; [] where nothing is known to be wrong.

    `service` and `operation` are named as for `Aws.call`. Raises ValueError where there is no such operation.
    """
    shape = _input_of(service, operation)
    if shape is None:
        return [f"{name}: unknown" for name in params]
    return list(_faults(shape, params, ""))


@cache
def _input_of(service: str, operation: str) -> Any:
    """The description of an operation's input. Raises ValueError."""
    sdk = aws_sdk.sdk()
    try:
        model = aws_sdk.service_model(service)
    except sdk.exceptions.UnknownServiceError as error:
        raise ValueError(f"AWS has no service {service!r}") from error
    for name in model.operation_names:
        if sdk.xform_name(name) == operation:
            return model.operation_model(name).input_shape
    raise ValueError(f"{service} has no operation {operation!r}")


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not _is_of_type(shape.type_name, value):
        yield f"{path or 'parameters'}: must be a {shape.type_name}"
    elif shape.type_name == "structure":
        yield from _faults_of_structure(shape, value, path)
    elif shape.type_name == "list":
        yield from _out_of_range(shape, len(value), path, "items")
        for index, item in enumerate(value):
            yield from _faults(shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map":
        yield from _out_of_range(shape, len(value), path, "entries")
        for name, item in value.items():
            yield from _faults(shape.key, name, f"{path} (name {str(name)[:40]})")
            yield from _faults(shape.value, item, f"{path}.{str(name)[:40]}")
    elif shape.type_name in _NUMBERS:
        yield from _out_of_range(shape, value, path, "")
    elif shape.type_name == "string":
        yield from _faults_of_text(shape, value, path)


def _faults_of_structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    dot = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"{dot}{name}: missing"
    for name, item in value.items():
        if name not in shape.members:
            yield f"{dot}{name}: unknown"
        elif item is not None:
            yield from _faults(shape.members[name], item, f"{dot}{name}")
    if shape.is_tagged_union and len(value) != 1:
        yield f"{path}: exactly one of {', '.join(shape.members)}"


def _faults_of_text(shape: Any, value: str, path: str) -> Iterator[str]:
    length = list(_out_of_range(shape, len(value), path, "characters"))
    yield from length
    pattern = shape.metadata.get("pattern")
    if shape.enum and value not in shape.enum:
        yield f"{path}: one of {_some(shape.enum)}"
    elif pattern and not length and not _fits(pattern, value):
        yield f"{path}: must look like {pattern[:120]}"


def _out_of_range(shape: Any, size: float, path: str, unit: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    unit = f" {unit}" if unit else ""
    if low is not None and size < low:
        yield f"{path}: at least {low}{unit}"
    if high is not None and size > high:
        yield f"{path}: at most {high}{unit}"


def _is_of_type(type_name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return type_name == "boolean"
    return isinstance(value, _TYPES.get(type_name, (object,)))


def _some(values: list[str]) -> str:
    return ", ".join(values[:12]) + (", …" if len(values) > 12 else "")


def _fits(pattern: str, value: str) -> bool:
    """AWS matches the whole text; a pattern that Python can't read is left to AWS."""
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None
