"""The errors that a person or a program may see. Every door turns them into its own shape."""

from __future__ import annotations

from django.utils.translation import gettext as _


class PortalError(Exception):
    """A refusal with a stable code, a sentence for people, and the HTTP status that fits."""

    code = "error"
    status = 400

    def __init__(self, message: str, *, code: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code:
            self.code = code


class Invalid(PortalError):
    code = "invalid"
    status = 422


class TooLarge(PortalError):
    code = "too_large"
    status = 413


class NotAllowed(PortalError):
    code = "not_allowed"
    status = 403


class NotFound(PortalError):
    code = "not_found"
    status = 404

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _("There is no such object."))


class Conflict(PortalError):
    code = "conflict"
    status = 409


class Stale(PortalError):
    """The object was changed since the caller read it."""

    code = "stale"
    status = 412


class QuotaExceeded(PortalError):
    code = "quota_exceeded"
    status = 403


class TooMany(PortalError):
    """Too many tries or messages in a time; `retry_after`: seconds until the next one may be made."""

    code = "too_many"
    status = 429

    def __init__(self, message: str, *, retry_after: int, field: str = "") -> None:
        super().__init__(message, field=field)
        self.retry_after = retry_after


class Unavailable(PortalError):
    """The database or another part is away for a moment; the call may be repeated."""

    code = "unavailable"
    status = 503
