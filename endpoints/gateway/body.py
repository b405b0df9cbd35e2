"""Reading a request body: once, strictly, and never recursively.

msgspec refuses NaN, Infinity, lone surrogates, bad UTF-8, leading zeros and trailing text. Left to this module are
repeated keys, depth, size and huge numbers, found at little cost. Most clients write JSON as msgspec does: where the
tree, written again, gives the same bytes, no key was lost. In other texts a repeated key leaves more colons than there
are in what is written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import msgspec

from . import media
from .errors import bad_body

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_CONTAINERS = 150_000
MAX_MODEL_NAME = 256
INTEGER_LIMIT = 2**63

Fields = dict[str, Any]

# Ranges of the numbers that cost an engine time or memory.
RANGES = {
    "n": (1, 128), "best_of": (1, 128), "max_tokens": (1, 10_000_000), "max_completion_tokens": (1, 10_000_000),
    "max_output_tokens": (1, 10_000_000), "top_n": (0, 10_000_000),
}
_ESCAPED_COLON = re.compile(rb"\\u003[aA]")
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Body:
    """The one object that a caller sent. `fields` are to be read; `put` changes them. `text_bytes`: without files."""

    __slots__ = ("_written", "fields", "text_bytes")

    content_type = b"application/json"

    def __init__(self, raw: bytes, media_hosts: Collection[str] = media.HOSTS) -> None:
        """Raises GatewayError that names the fault: 400, or 422 for a file that the engine would have to fetch."""
        if len(raw) > 2 * MAX_CONTAINERS and raw.count(b"[") + raw.count(b"{") > MAX_CONTAINERS:
            _count_containers(raw)
        tree = _decoded(raw)
        if type(tree) is not dict:
            raise bad_body("The body must be one JSON object.")
        has_media = _has_media(tree)  # first: what is too deep or too big can't be written
        self.fields: Fields = tree
        self._written: bytes | None = _encode(tree)
        if self._written != raw:
            _check_keys(raw, self._written)
        self.text_bytes = len(raw) - (media.check(tree, media_hosts) if has_media else 0)

    def put(self, name: str, value: object) -> None:
        self.fields[name] = value
        self._written = None

    def for_engine(self, model: str) -> bytes:
        """The body for an engine that calls itself `model`: what was read, written again."""
        if self.fields["model"] != model:
            self.put("model", model)
        if self._written is None:
            self._written = _encode(self.fields)
        return self._written


def _decoded(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except RecursionError:
        # The parser counts its depth and stops by itself; the stack is not at risk.
        raise bad_body(f"The JSON is nested more than {MAX_DEPTH} levels deep.", code="json_too_deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_body(f"The body is not valid JSON: {error}.", code="invalid_json") from None


def _has_media(tree: Fields) -> bool:
    """Whether a key stands somewhere that can lead to a file. Raises GatewayError for depth and for huge integers."""
    found = False
    level: list[Any] = [tree]
    for _depth in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            values = node
            if type(node) is dict:
                found = found or not media.KEYS.isdisjoint(node)
                values = node.values()
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    below.append(value)
                elif kind is int and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
                    raise bad_body("The body has an integer of more than 64 bits.", code="integer_too_big")
        if not below:
            return found
        level = below
    raise bad_body(f"The JSON is nested more than {MAX_DEPTH} levels deep.", code="json_too_deep")


def _check_keys(raw: bytes, written: bytes) -> None:
    if b"\\u003" in raw and _ESCAPED_COLON.search(raw) is not None:
        _find_repeated_key(raw)
    elif written.count(b":") != raw.count(b":"):
        raise bad_body("The body has the same key twice in one object.", code="duplicate_key")


def _count_containers(raw: bytes) -> None:
    """Refuse what would take long to build. Brackets inside texts don't count: a prompt may be a long program."""
    bare = _TEXT.sub(b"", raw)
    if bare.count(b"[") + bare.count(b"{") > MAX_CONTAINERS:
        raise bad_body("The body has too many lists and objects.", code="too_many_values")


def _find_repeated_key(raw: bytes) -> None:
    """The slow, plain way, for texts where colons are written as escapes."""

    def unique(pairs: list[tuple[str, Any]]) -> Fields:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise bad_body("The body has the same key twice in one object.", code="duplicate_key")
        return found

    try:
        json.loads(raw, object_pairs_hook=unique)
    except (RecursionError, ValueError):
        # A value that the first parser dropped, because its key came again, is too deep or too long to read.
        raise bad_body("The body has the same key twice in one object.", code="duplicate_key") from None


def check_fields(body: Fields) -> str:
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
    for name in body:
        if name in RANGES:
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
