"""Reading a request body: once, strictly, and never recursively.

msgspec refuses NaN, Infinity, lone surrogates, bad UTF-8, leading zeros and trailing text. Left to this module are
repeated keys, depth, size and huge numbers, found at little cost: a repeated key leaves more colons in the text than
the parsed tree can explain.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from .errors import bad_body

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_CONTAINERS = 150_000
MAX_MODEL_NAME = 256
INTEGER_LIMIT = 2**63

Body = dict[str, Any]

# Ranges of the numbers that cost an engine time or memory.
RANGES = {
    "n": (1, 128), "best_of": (1, 128), "max_tokens": (1, 10_000_000), "max_completion_tokens": (1, 10_000_000),
    "max_output_tokens": (1, 10_000_000), "top_n": (0, 10_000_000),
}
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_ESCAPED_COLON = re.compile(rb"\\u003[aA]")
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def parse(raw: bytes) -> Body:
    """The one object in `raw`. Raises GatewayError 400 that names the fault."""
    if raw.count(b"[") + raw.count(b"{") > MAX_CONTAINERS:
        _count_containers(raw)
    tree = _decoded(raw)
    if type(tree) is not dict:
        raise bad_body("The body must be one JSON object.")
    colons = _colons(tree, check_numbers=_LONG_NUMBER.search(raw) is not None)
    if _ESCAPED_COLON.search(raw) is not None:
        _find_repeated_key(raw)
    elif colons != raw.count(b":"):
        raise bad_body("The body has the same key twice in one object.", code="duplicate_key")
    return tree


def serialise(body: Body) -> bytes:
    return _encode(body)


def _decoded(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except RecursionError:
        # The parser counts its depth and stops by itself; the stack is not at risk.
        raise bad_body(f"The JSON is nested more than {MAX_DEPTH} levels deep.", code="json_too_deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_body(f"The body is not valid JSON: {error}.", code="invalid_json") from None


def _colons(tree: Any, *, check_numbers: bool) -> int:
    """How many colons the text of this tree must have: one for each key, and those inside texts."""
    colons = 0
    level = [tree]
    for _depth in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            values = node
            if type(node) is dict:
                colons += len(node) + sum([key.count(":") for key in node])
                values = node.values()
            for value in values:
                kind = type(value)
                if kind is str:
                    colons += value.count(":")
                elif kind is dict or kind is list:
                    below.append(value)
                elif check_numbers and kind is int and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
                    raise bad_body("The body has an integer of more than 64 bits.", code="integer_too_big")
        if not below:
            return colons
        level = below
    raise bad_body(f"The JSON is nested more than {MAX_DEPTH} levels deep.", code="json_too_deep")


def _count_containers(raw: bytes) -> None:
    """Refuse what would take long to build. Brackets inside texts don't count: a prompt may be a long program."""
    bare = _TEXT.sub(b"", raw)
    if bare.count(b"[") + bare.count(b"{") > MAX_CONTAINERS:
        raise bad_body("The body has too many lists and objects.", code="too_many_values")


def _find_repeated_key(raw: bytes) -> None:
    """The slow, plain way, for texts where colons are written as escapes."""

    def unique(pairs: list[tuple[str, Any]]) -> Body:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise bad_body("The body has the same key twice in one object.", code="duplicate_key")
        return found

    try:
        json.loads(raw, object_pairs_hook=unique)
    except (RecursionError, ValueError):
        # A value that the first parser dropped, because its key came again, is too deep or too long to read.
        raise bad_body("The body has the same key twice in one object.", code="duplicate_key") from None


def check_fields(body: Body) -> str:
    """The model's name, after the fields that the gateway itself reads were found sound. Raises GatewayError."""
    model = body.get("model")
    if type(model) is not str or not model:
        raise bad_body("“model” must be the name of a model, as a string.", param="model")
    if len(model) > MAX_MODEL_NAME:
        raise bad_body(f"“model” has more than {MAX_MODEL_NAME} characters.", param="model")
    if type(body.get("stream", False)) is not bool and body["stream"] is not None:
        raise bad_body("“stream” must be true or false.", param="stream")
    if type(body.get("stream_options") or {}) is not dict:
        raise bad_body("“stream_options” must be an object.", param="stream_options")
    for name in RANGES.keys() & body.keys():
        _check_range(name, body[name])
    return model


def _check_range(name: str, value: Any) -> None:
    if value is None:
        return
    low, high = RANGES[name]
    if type(value) is not int:
        raise bad_body(f"“{name}” must be a whole number.", param=name)
    if not low <= value <= high:
        raise bad_body(f"“{name}” must be from {low} to {high}.", param=name, code="out_of_range", status=422)
