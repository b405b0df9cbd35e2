"""What a caller reads where an engine refuses a call."""

from __future__ import annotations

import msgspec

from portal.tenancy.text import clean

from .doors import Door
from .errors import OPENAI, not_served

MAX_MESSAGE = 4000
UNKNOWN_ROUTE = (404, 405)
# What web frameworks say of a route that they don't have; an engine's own 404 names the model.
_NO_ROUTE = ("", "Not Found", "Method Not Allowed")


class _Inner(msgspec.Struct):
    message: str = ""


class _Said(msgspec.Struct):
    """vLLM and LMI say `error`, SGLang the message alone, FastAPI `detail`."""

    error: _Inner | str | None = None
    message: str = ""
    detail: msgspec.Raw = msgspec.Raw()

    def words(self) -> str:
        if isinstance(self.error, _Inner):
            return self.error.message
        return self.error or self.message or self._detail()

    def _detail(self) -> str:
        found = msgspec.json.decode(self.detail) if self.detail else ""
        return found if isinstance(found, str) else ""


_decode = msgspec.json.Decoder(_Said).decode


def body_of(door: Door, status: int, body: bytes) -> bytes:
    """The engine's words in the shape of the door. Raises GatewayError 400 where the engine has no such route."""
    said = _said(body)
    words = said.words() if said else ""
    if status in UNKNOWN_ROUTE and words in _NO_ROUTE:
        raise not_served(door.path)
    if said and isinstance(said.error, _Inner) and words and door.shape is OPENAI:
        return body
    kind = "upstream_error" if status >= 500 else "invalid_request_error"
    message = clean(words, MAX_MESSAGE) or f"The model's engine answered with status {status}."
    return door.shape.error(status, message, kind, "upstream_error")


def _said(body: bytes) -> _Said | None:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
