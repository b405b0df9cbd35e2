"""Closed JSON messages: unknown fields, wrong types, doubled keys and oversize values are refused, on both sides."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Malformed(ValueError):
    """A message that is not exactly as agreed; the text names the field, never its value."""


@dataclass(frozen=True)
class Upto:
    """The most characters of a text, or members of a list or object."""

    most: int


@dataclass(frozen=True)
class Between:
    """Both ends included."""

    low: int
    high: int


@dataclass(frozen=True)
class Shape:
    """A pattern that matches the whole text."""

    pattern: str


def decode(kind: type[T], raw: bytes, *, most: int) -> T:
    """The message of type `kind` in `raw`, of at most `most` bytes. Raises Malformed."""
    if len(raw) > most:
        raise Malformed(f"the message is longer than {most} bytes")
    try:
        value = json.loads(raw, object_pairs_hook=_no_doubles, parse_constant=_no_constant)
        if b"\\u" in raw:  # half of a surrogate pair is no text
            json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise error if isinstance(error, Malformed) else Malformed("the message is not JSON") from error
    message: T = _build(kind, value, kind.__name__)
    return message


def encode(message: Any) -> bytes:
    """The JSON text of a message, always the same for equal messages."""
    return json.dumps(dataclasses.asdict(message), separators=(",", ":"), sort_keys=True).encode()


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a key stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is not a number")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _build(kind: Any, value: object, path: str) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        base, bound = get_args(kind)
        return _bounded(_build(base, value, path), bound, path)
    if origin in (UnionType, Union):
        inner = next(part for part in get_args(kind) if part is not NoneType)
        return None if value is None else _build(inner, value, path)
    if origin in BUILDERS:
        return BUILDERS[origin](kind, value, path)
    if dataclasses.is_dataclass(kind):
        return _message(kind, value, path)
    if type(value) is not kind:
        raise Malformed(f"{path} is not {kind.__name__}")
    return value


def _bounded(value: Any, bound: Upto | Between | Shape, path: str) -> Any:
    if isinstance(bound, Shape) and not re.fullmatch(bound.pattern, value):
        raise Malformed(f"{path} has the wrong form")
    if isinstance(bound, Upto) and len(value) > bound.most:
        raise Malformed(f"{path} is longer than {bound.most}")
    if isinstance(bound, Between) and not bound.low <= value <= bound.high:
        raise Malformed(f"{path} is not between {bound.low} and {bound.high}")
    return value


def _tuple(kind: Any, value: object, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Malformed(f"{path} is not a list")
    return tuple(_build(get_args(kind)[0], member, path) for member in value)


def _dict(kind: Any, value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{path} is not an object")
    key_kind, member_kind = get_args(kind)
    return {_build(key_kind, k, path): _build(member_kind, v, path) for k, v in value.items()}


BUILDERS: dict[Any, Callable[[Any, object, str], Any]] = {tuple: _tuple, dict: _dict}


def _message(kind: Any, value: object, path: str) -> Any:
    if not isinstance(value, dict):
        raise Malformed(f"{path} is not an object")
    hints = _hints(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise Malformed(f"{path} has the unknown field {unknown[0][:40]!r}")
    required = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    if missing := sorted(required - set(value)):
        raise Malformed(f"{path} lacks {missing[0]}")
    return kind(**{name: _build(hints[name], member, f"{path}.{name}") for name, member in value.items()})
