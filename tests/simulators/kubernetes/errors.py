"""The errors of the API: each is a Status object, as every Kubernetes client expects them.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
    406: "NotAcceptable", 409: "Conflict", 410: "Expired", 413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError",
    503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


class ApiError(Exception):
    """A refusal: HTTP status, reason word, message, details. `headers` go into the answer."""

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        details: Json | None = None,
        *,
        headers: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.details = status, message, details
        self.reason = REASONS.get(status, "") if reason is None else reason
        """"" for the errors that have none."""
        self.headers: dict[str, str] = headers or {}
        self.metadata: Json = {}
        self.warnings: list[str] = []

    def body(self) -> Json:
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.status}


class PlainError(Exception):
    """A refusal in plain text, as the API server answers for a group or a path that it does not have."""

    def __init__(self, status: int = 404, text: str = "404 page not found\n") -> None:
        super().__init__(text)
        self.status, self.text = status, text


def qualified(plural_or_kind: str, group: str) -> str:
    return f"{plural_or_kind}.{group}" if group else plural_or_kind


def details(name: str, group: str, kind: str, **more: Any) -> Json:
    """`kind` is the plural for most reasons and the kind's name for Invalid, as the API server has it."""
    found = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in found.items() if value}


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def not_found(group: str, plural: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{qualified(plural, group)} "{name}" not found', details(name, group, plural))


def no_such_resource() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, plural: str, name: str, *, leaving: bool = False) -> ApiError:
    message = "object is being deleted: " * leaving + f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details(name, group, plural))


def conflict(group: str, plural: str, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details(name, group, plural))


CHANGED = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(group: str, kind: str, name: str, causes: Sequence[Json]) -> ApiError:
    """422: `causes` have reason, message and field each."""
    told = list(dict.fromkeys(f"{each['field']}: {each['message']}" for each in causes))
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    return ApiError(
        422, "Invalid", f'{qualified(kind, group)} "{name}" is invalid: {text}',
        details(name, group, kind, causes=list(causes)),
    )  # fmt: skip


def cause(reason: str, message: str, field: str) -> Json:
    return {"reason": reason, "message": message, "field": field}


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    shown = f' "{name}"' if name else ""
    return ApiError(
        403, "Forbidden", f"{qualified(plural, group)}{shown} is forbidden: {why}", details(name, group, plural)
    )


def method_not_allowed(details_: Json | None = None) -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {} if details_ is None else details_)
