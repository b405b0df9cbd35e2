"""The options in a request's query, checked as the API server does."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.errors import bad_request, cause, invalid
from tests.simulators.kubernetes.registry.options import Options
from tests.simulators.kubernetes.schema.decode import duplicate_fields

Causes = list[dict[str, Any]]
VALIDATIONS = ("Ignore", "Strict", "Warn")
NAMES = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


def write_options(request: Request, *, apply: bool = False) -> Options:
    """
    :raises ApiError: 422, an option has a value that it cannot have.
    """
    causes: Causes = []
    manager = request.one("fieldManager")
    _check_manager(manager, apply, causes)
    if request.method == "PATCH" and not apply and "force" in request.query:
        causes.append(cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force"))
    validation = request.one("fieldValidation")
    if validation and validation not in VALIDATIONS:
        known = ", ".join(f'"{each}"' for each in ("", *VALIDATIONS))
        why = f'Unsupported value: "{validation}": supported values: {known}'
        causes.append(cause("FieldValueNotSupported", why, "fieldValidation"))
    dry_run = _dry_run(request.query.get("dryRun", []), causes)
    if causes:
        raise invalid("meta.k8s.io", NAMES.get(request.method, "PatchOptions"), "", causes)
    return Options(
        manager=manager or default_manager(request), dry_run=dry_run, validation=validation or "Warn",
        force=truth(request.one("force")), twice=_twice(request) if validation != "Ignore" else (),
    )  # fmt: skip


def _twice(request: Request) -> tuple[str, ...]:
    """The keys that a JSON object of the body has twice."""
    if request.method not in ("POST", "PUT") or not request.headers.get("content-type", "").startswith(
        "application/json"
    ):
        return ()
    try:
        return tuple(duplicate_fields(request.body))
    except ValueError:
        return ()


def _dry_run(asked: list[str], causes: Causes) -> bool:
    if any(each != "All" for each in asked):
        shown = " ".join(f'"{each}"' for each in asked)
        causes.append(
            cause("FieldValueNotSupported", f'Unsupported value: [{shown}]: supported values: "All"', "dryRun")
        )
    return bool(asked)


def _check_manager(manager: str, apply: bool, causes: Causes) -> None:
    if apply and not manager:
        causes.append(cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager"))
    if len(manager.encode()) > 128:
        causes.append(cause("FieldValueTooLong", "Too long: may not be more than 128 bytes", "fieldManager"))
    for place, sign in enumerate(manager):
        if not sign.isprintable():
            shown = manager.encode("unicode_escape").decode()
            why = f'Invalid value: "{shown}": invalid character U+{ord(sign):04X} (at position {place})'
            causes.append(cause("FieldValueInvalid", why, "fieldManager"))


def default_manager(request: Request) -> str:
    """The User-Agent up to its slash."""
    return request.headers.get("user-agent", "").partition("/")[0][:128] or "unknown"


def delete_options(request: Request) -> dict[str, Any]:
    """A DeleteOptions object: the body, or else the query.

    :raises ApiError: 400, the body is none; 422, an unknown dryRun.
    """
    if request.body.strip():
        asked = _delete_body(request)
    else:
        asked = {name: request.query[name][0] for name in ("propagationPolicy",) if name in request.query}
        if "gracePeriodSeconds" in request.query:
            asked["gracePeriodSeconds"] = integer(request.one("gracePeriodSeconds"))
        if "orphanDependents" in request.query:
            asked["orphanDependents"] = truth(request.one("orphanDependents"))
        asked["dryRun"] = request.query.get("dryRun", [])
    causes: Causes = []
    asked["dryRun"] = _dry_run(asked.get("dryRun") or [], causes)
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)
    return asked


def _delete_body(request: Request) -> dict[str, Any]:
    try:
        asked: dict[str, Any] = msgspec.json.decode(request.body, type=dict)
    except msgspec.DecodeError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if asked.get("kind", "DeleteOptions") != "DeleteOptions":
        version = asked.get("apiVersion", "")
        told = f'no kind "{asked["kind"]}" is registered for version "{version}"'
        raise bad_request(f'{told} in scheme "pkg/runtime/scheme.go:111"')
    return asked


def truth(text: str) -> bool:
    """As the API server reads a boolean of a query: everything but 0 and false is true."""
    return text.lower() not in ("", "0", "false", "f")


def integer(text: str) -> int:
    """
    :raises ApiError: 400
    """
    if not text:
        return 0
    if not text.lstrip("-").isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)
