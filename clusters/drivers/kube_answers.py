"""What a Kubernetes API's refusals mean (reliability.md F13-F21); the wordings are those of Kubernetes 1.36.

In the faults of a `KubeError`: for an apply conflict `field` is the field and `message` its owner; for a missing
right `field` is the resource, `reason` the verb and `message` the namespace ("" is the whole cluster); for a missing
namespace `reason` is NAMESPACE_MISSING.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.tenancy.text import clean

from .kinds import SECRET, Kind
from .kube_errors import FieldFault, KubeError, Problem
from .kube_transport import Answer

NAMESPACE_MISSING, QUOTA, DENIED = "NamespaceMissing", "QuotaExceeded", "Denied"
MOST_FAULTS = 50

_RIGHT = re.compile(r'cannot (?P<verb>\S+) (?:resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
                    r'(?: in the namespace "(?P<namespace>[^"]*)")?|path "(?P<path>[^"]*)")')
_OWNER = re.compile(r'conflict with "(?P<owner>[^"]*)"')
_NOT_IN_SCHEMA = re.compile(r"failed to create typed patch object \([^)]*\): (?P<field>\.\S+?): (?P<message>.+)", re.DOTALL)


Judged = tuple[Problem, str, tuple[FieldFault, ...]]


@dataclass(frozen=True)
class Call:
    """What was asked, for telling apart what an answer is about. `verb` is RBAC's word."""

    verb: str
    kind: Kind | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        name = self.kind.resource if self.kind else ""
        return f"{name}/{self.subresource}" if self.subresource else name

    @property
    def right(self) -> tuple[str, str, str]:
        return self.verb, self.resource, self.namespace


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct, rename="camel"):
    name: str = ""
    kind: str = ""
    causes: list[_Cause] | None = None
    retry_after_seconds: float = 0


class Status(msgspec.Struct):
    """The fields of a Status object that matter here (kubernetes.io, API concepts, "Response status codes")."""

    kind: str = ""
    reason: str | None = ""
    message: str | None = ""
    details: _Details | None = None

    @property
    def causes(self) -> list[_Cause]:
        return (self.details.causes or [])[:MOST_FAULTS] if self.details else []


def _status(answer: Answer) -> Status:
    """The Status in the body; an empty one for anything else, whose text is shown to nobody (threat T20)."""
    try:
        status = msgspec.json.decode(answer.body, type=Status)
    except msgspec.MsgspecError:
        return Status()
    return status if status.kind == "Status" else Status()


def error_of(call: Call, answer: Answer) -> KubeError:
    """The error that an answer of 300 and above stands for."""
    status = _status(answer)
    problem, message, faults = _judge(call, answer.status, status)
    return KubeError(problem, clean(message, 1000), status=answer.status, faults=faults,
                     retry_after=_retry_after(answer, status))


def _judge(call: Call, code: int, status: Status) -> Judged:
    said = status.message or ""
    if code in _JUDGES:
        return _JUDGES[code](call, status)
    if code == 500 and (found := _NOT_IN_SCHEMA.match(said)):
        fault = FieldFault(clean(found["field"], 300), "FieldValueInvalid", _said(call, found["message"]))
        return Problem.INVALID, f"{fault.field}: {fault.message}", (fault,)
    if 400 <= code < 500 and code != 429:
        return _invalid(call, status, code)
    if code == 429 or code >= 500:
        return Problem.BUSY, said or _("The API server is busy (status %(status)d).") % {"status": code}, ()
    return Problem.UNREACHABLE, _("What answers there is no Kubernetes API (status %(status)d).") % {"status": code}, ()


def _unauthorized(_call: Call, _status: Status) -> Judged:
    return Problem.AUTH, _("The API server refuses the credential (status 401)."), ()


def _gone(_call: Call, status: Status) -> Judged:
    return Problem.GONE, status.message or _("The list became too old while it was read."), ()


def _forbidden(call: Call, status: Status) -> Judged:
    said = status.message or ""
    if any(cause.reason == "NamespaceTerminating" for cause in status.causes):
        return Problem.ENDING, _("Namespace %(name)s is being deleted.") % {"name": call.namespace}, ()
    found = _RIGHT.search(said)
    if found is None and status.kind:  # quota, LimitRange, Pod Security, an admission webhook
        reason = QUOTA if "exceeded quota" in said else DENIED
        return Problem.INVALID, _said(call, said), (FieldFault("", reason, _said(call, said)),)
    verb, resource, namespace = call.right if found is None else _right_in(found)
    where = _("in namespace %(name)s") % {"name": namespace} if namespace else _("in the whole cluster")
    message = _("Forbidden: cannot %(verb)s %(resource)s %(where)s. Give the portal's account this right.") % {
        "verb": verb, "resource": resource, "where": where}
    return Problem.FORBIDDEN, message, (FieldFault(resource, verb, namespace),)


def _right_in(found: re.Match[str]) -> tuple[str, str, str]:
    if found["path"] is not None:
        return clean(found["verb"], 40), clean(found["path"], 300), ""
    plural, _slash, subresource = found["resource"].partition("/")
    resource = f"{plural}.{found['group']}" if found["group"] else plural
    full = f"{resource}/{subresource}" if subresource else resource
    return clean(found["verb"], 40), clean(full, 300), clean(found["namespace"] or "", 63)


def _not_found(call: Call, status: Status) -> Judged:
    details = status.details or _Details()
    if not details.name:
        resource = call.kind.resource if call.kind else _("this path")
        return Problem.NO_KIND, _("The cluster doesn't know %(kind)s: its CRD is not installed.") % {"kind": resource}, ()
    if details.kind == "namespaces" and call.namespace and details.name == call.namespace:
        message = _("Namespace %(name)s doesn't exist.") % {"name": call.namespace}
        return Problem.NOT_FOUND, message, (FieldFault("metadata.namespace", NAMESPACE_MISSING, message),)
    return Problem.NOT_FOUND, status.message or "", ()


def _conflict(call: Call, status: Status) -> Judged:
    if status.reason == "AlreadyExists":
        return Problem.EXISTS, status.message or "", ()
    faults = tuple(FieldFault(clean(cause.field, 300), cause.reason, clean(owner["owner"], 128))
                   for cause in status.causes if (owner := _OWNER.search(cause.message)))
    if faults:
        fields = ", ".join(f"{fault.field} ({fault.message})" for fault in faults)
        return Problem.CONFLICT, _("Other managers own these fields: %(fields)s") % {"fields": fields}, faults
    return Problem.CONFLICT, status.message or _("The object was changed by somebody else meanwhile."), ()


def _invalid(call: Call, status: Status, code: int) -> Judged:
    if not status.kind:
        return Problem.INVALID, _("The API server refuses the request (status %(status)d).") % {"status": code}, ()
    faults = tuple(FieldFault(clean(cause.field, 300), clean(cause.reason, 60), _said(call, cause.message))
                   for cause in status.causes)
    if faults:
        return Problem.INVALID, "; ".join(f"{fault.field}: {fault.message}" for fault in faults), faults
    return Problem.INVALID, _said(call, status.message or ""), ()


_JUDGES: dict[int, Callable[[Call, Status], Judged]] = {
    401: _unauthorized, 403: _forbidden, 404: _not_found, 409: _conflict, 410: _gone}


def _said(call: Call, text: str) -> str:
    """The server's words; it quotes bad values, so of a Secret only that there was one is passed on."""
    return _("refused") if call.kind == SECRET else clean(text, 500)


def _retry_after(answer: Answer, status: Status) -> float:
    """Seconds to wait, at most ten minutes; the header has seconds or a date (RFC 9110, section 10.2.3)."""
    text = answer.headers.get("retry-after", "")
    seconds = status.details.retry_after_seconds if status.details else 0.0
    with suppress(ValueError, TypeError):  # no header, or none that can be read
        seconds = float(text) if text.isdecimal() else (parsedate_to_datetime(text) - timezone.now()).total_seconds()
    return min(max(seconds, 0.0), 600.0)


def decode(body: bytes) -> dict[str, Any]:
    """One object. Raises KubeError where the answer is none."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise not_kubernetes() from error


def not_kubernetes() -> KubeError:
    return KubeError(Problem.UNREACHABLE, _("What answers there is no Kubernetes API (its answer is no JSON object)."))
