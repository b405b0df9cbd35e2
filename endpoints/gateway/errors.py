"""Refusals in the shape that OpenAI's clients read: {"error": {message, type, param, code}}."""

from __future__ import annotations

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]

CLOSE: Headers = ((b"connection", b"close"),)


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

    def body(self) -> bytes:
        return error_body(self.message, self.kind, self.code, self.param)


def error_body(message: str, kind: str, code: str, param: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def retry_after(seconds: int) -> Headers:
    return ((b"retry-after", str(seconds).encode()),)


def bad_body(message: str, *, param: str | None = None, code: str = "invalid_body", status: int = 400,
             headers: Headers = ()) -> GatewayError:
    return GatewayError(status, message, code=code, param=param, headers=headers)


def wrong_key() -> GatewayError:
    """One answer for a missing, unknown, wrong, expired and revoked key: nothing can be learnt from it."""
    return GatewayError(
        401, "The API key is missing or not valid. Send it as “Authorization: Bearer <key>”.",
        code="invalid_api_key", kind="authentication_error", headers=((b"www-authenticate", b"Bearer"),))


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


def upstream_unavailable(message: str = "The model's engine could not be reached.", status: int = 502) -> GatewayError:
    return GatewayError(status, message, code="upstream_unavailable", kind="upstream_unavailable",
                        headers=retry_after(2))
