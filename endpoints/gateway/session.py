"""Which calls belong together, by the caller's own word: a header, or a field that OpenAI has for it."""

from __future__ import annotations

import re

from .body import Fields

HEADER = b"x-session-id"
FIELDS = ("prompt_cache_key", "safety_identifier", "user")
_FIELDS = frozenset(FIELDS)
_SHAPE = re.compile(rb"\A[\x21-\x7e]{1,256}\Z")


def session_of(headers: dict[bytes, bytes], body: Fields) -> bytes:
    """The session of a call: the header `x-session-id`, else the first of the body's `FIELDS`; b"" for none."""
    given = headers.get(HEADER)
    if given is not None and _SHAPE.match(given):
        return given
    for name in () if _FIELDS.isdisjoint(body) else FIELDS:
        value = body.get(name)
        if type(value) is str and value:
            return value[:256].encode()
    return b""
