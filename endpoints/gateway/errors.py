"""Refusals, in the shape that the clients of a door read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]

CLOSE: Headers = ((b"connection", b"close"),)
UPSTREAM_INTERRUPTED = "upstream_interrupted"  # the code of a stream that the engine did not end
INTERRUPTED = "The model's engine stopped in the middle of the answer."


class Shape:
    """OpenAI's: {"error": {message, type, param, code}}."""

    def error(self, status: int, message: str, kind: str, code: str, param: str | None = None) -> bytes:
        """The body of an answer with this status."""
        return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})

    def interrupted(self) -> bytes:
        """The event that ends a stream that the engine did not end."""
        return b"data: %b\n\n" % self.error(502, INTERRUPTED, UPSTREAM_INTERRUPTED, UPSTREAM_INTERRUPTED)


class AnthropicShape(Shape):
    """Anthropic's: {"type": "error", "error": {type, message}}. Its types go by the status; our code comes with them.

    Types: https://docs.claude.com/en/api/errors, and those that the Python client 2.12 knows (`timeout_error`).
    """

    TYPES: ClassVar[Mapping[int, str]] = {
        401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
        429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error",
    }

    def error(self, status: int, message: str, kind: str, code: str, param: str | None = None) -> bytes:
        kind = self.TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message, "code": code}})

    def interrupted(self) -> bytes:
        return b"event: error\ndata: %b\n\n" % self.error(502, INTERRUPTED, "", UPSTREAM_INTERRUPTED)


OPENAI, ANTHROPIC = Shape(), AnthropicShape()


class GatewayError(Exception):
    """An answer other than the engine's: HTTP status, a sentence for people, a code for programs."""

    def __init__(self, status: int, message: str, *, code: str, kind: str = "invalid_request_error",
                 param: str | None = None, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.kind = kind
        self.param = param
        self.headers = headers

    def body(self, shape: Shape = OPENAI) -> bytes:
        return shape.error(self.status, self.message, self.kind, self.code, self.param)


def retry_after(seconds: int) -> Headers:
    return ((b"retry-after", str(seconds).encode()),)


def bad_body(message: str, *, param: str | None = None, code: str = "invalid_body", status: int = 400,
             headers: Headers = ()) -> GatewayError:
    return GatewayError(status, message, code=code, param=param, headers=headers)


def wrong_key() -> GatewayError:
    """One answer for a missing, unknown, wrong, expired and revoked key: nothing can be learnt from it."""
    return GatewayError(
        401, "The API key is missing or not valid. Send it as “Authorization: Bearer <key>” or as “x-api-key: <key>”.",
        code="invalid_api_key", kind="authentication_error", headers=((b"www-authenticate", b"Bearer"),))


def too_many_wrong_keys(seconds: int) -> GatewayError:
    return GatewayError(
        429, "Too many calls with wrong API keys came from your address. Check the key, and try again in a minute.",
        code="too_many_wrong_keys", kind="rate_limit_error", headers=retry_after(seconds))


def away(message: str = "The portal's database is away. Try again in a moment.") -> GatewayError:
    return GatewayError(503, message, code="unavailable", kind="service_unavailable", headers=retry_after(2))


def unknown_model(name: str) -> GatewayError:
    """The same words for a model that is not there and for one that belongs to somebody else."""
    shown = name if len(name) <= 128 else name[:128] + "…"
    return GatewayError(
        404, f"The model '{shown}' does not exist or this key may not call it.", code="model_not_found", param="model")


def not_ready(name: str, status: str, reason: str, seconds: int) -> GatewayError:
    because = f" {reason}" if reason else ""
    return GatewayError(
        503, f"The model '{name}' is not ready ({status.lower()}).{because}", code="model_not_ready",
        kind="service_unavailable", param="model", headers=retry_after(seconds))


def not_served(path: str, instead: str = "") -> GatewayError:
    """The engine of this model has no such route."""
    return GatewayError(400, f"The model's engine does not serve {path}.{instead}", code="not_supported")


def upstream_unavailable(message: str = "The model's engine could not be reached.", status: int = 502) -> GatewayError:
    return GatewayError(status, message, code="upstream_unavailable", kind="upstream_unavailable",
                        headers=retry_after(2))
