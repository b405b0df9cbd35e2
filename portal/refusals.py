"""Every refusal of the JSON doors in the door's own shape, and the strict parser before them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import defaults
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser

from endpoints.hub import HUB
from portal.tenancy.answers import error_response, with_error_headers
from portal.tenancy.auth import NotSignedIn, WrongType
from portal.tenancy.db import is_passing
from portal.tenancy.errors import Invalid, NotFound, PortalError, TooLarge, Unavailable

from .complaints import sentence
from .middleware import Middleware

Errors = list[dict[str, str]] | None
Answer = Callable[[HttpRequest, PortalError, Errors], HttpResponse]
API_PATH, DEEPINFER_PATH = "/api/", "/v1/"
HUB_CALLS = frozenset(HUB)
WORDS = {
    400: ("bad_request", gettext_lazy("The request is malformed.")),
    403: ("not_allowed", gettext_lazy("The request was refused.")),
    404: ("not_found", gettext_lazy("There is no such object.")),
    405: ("method_not_allowed", gettext_lazy("This address does not know this method.")),
    413: ("too_large", gettext_lazy("The body is too large.")),
    500: ("internal", gettext_lazy("Something went wrong here. The request's ID finds it in the log.")),
    503: ("unavailable", gettext_lazy("The database is busy or restarting. Try again in a moment.")),
}


class BadJson(PortalError):
    code = "bad_json"
    status = 400


class StrictParser(Parser):
    """JSON as the standard has it: no NaN, no key twice, no half of a surrogate pair."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != "application/json":
            raise WrongType()
        if len(request.body) > (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0):  # a chunked body names no length before
            raise TooLarge(str(WORDS[413][1]))
        data = json.loads(request.body, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if b"\\u" in request.body:
            json.dumps(data, ensure_ascii=False).encode()
        if not isinstance(data, dict):
            raise BadJson(_("The body must be a JSON object."))
        return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson(_("The body names the same field twice."))
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(_("JSON has no %(name)s.") % {"name": name})


def portal_error(error: Exception) -> PortalError:
    """The refusal that stands for an expected exception; what is not expected is raised again."""
    if isinstance(error, PortalError):
        return error
    if isinstance(error, AuthenticationError):
        return NotSignedIn()
    if isinstance(error, HttpError):
        return _parse_error(error)
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, RequestDataTooBig):
        return TooLarge(str(WORDS[413][1]))
    if isinstance(error, UnreadablePostError):
        return BadJson(_("The body ended too early."))
    if is_passing(error):
        return Unavailable(str(WORDS[503][1]))
    raise error


def _parse_error(error: HttpError) -> PortalError:
    """What to say of an unreadable body. The parser's own words may quote the body, so they are not shown."""
    cause = error.__cause__
    return cause if isinstance(cause, PortalError) else BadJson(_("The body is not valid JSON."))


def field_errors(error: ValidationError) -> list[dict[str, str]]:
    """Every complaint as field and message, without echoing the input."""
    found = []
    for item in error.errors:
        path = [str(part) for part in item["loc"][1:] if part not in ("data", "page")]
        found.append({"field": ".".join(path), "message": sentence(item)})
    return found


def as_deepinfer(_request: HttpRequest, error: PortalError, _errors: Errors = None) -> HttpResponse:
    """deepinfer's shape of a refusal."""
    message = f"{error.field}: {error.message}" if error.field else error.message
    return with_error_headers(JsonResponse({"status": "error", "message": message}, status=error.status), error)


def as_hub(_request: HttpRequest, error: PortalError, _errors: Errors = None) -> HttpResponse:
    """The model hub's shapes: one for a missing key, one for all else."""
    message = f"{error.field}: {error.message}" if error.field else error.message
    if error.status == NotSignedIn.status:
        why = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
        return with_error_headers(JsonResponse({"detail": {"error": why}}, status=error.status), error)
    body = {"object": "error", "message": message, "code": error.status}
    return with_error_headers(JsonResponse(body, status=error.status), error)


def shape_errors(api: NinjaAPI, answer: Answer) -> None:
    """Let every refusal of `api` be written by `answer`."""

    def refuse(request: HttpRequest, error: Any) -> HttpResponse:
        return answer(request, portal_error(error), None)

    def refuse_input(request: HttpRequest, error: Any) -> HttpResponse:
        errors = field_errors(error)
        return answer(request, Invalid(errors[0]["message"], field=errors[0]["field"]), errors)

    for kind in (PortalError, HttpError, Http404, RequestDataTooBig, UnreadablePostError, OperationalError, InterfaceError):
        api.add_exception_handler(kind, refuse)
    api.add_exception_handler(ValidationError, refuse_input)


class ErrorShape(Middleware):
    """Gives the refusals that Django makes around the doors (no such path, wrong method, a crash) their shape too."""

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        return shaped(request, response)


def shaped(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """`response` itself, or the same refusal in the shape of the JSON door that the path belongs to."""
    if not request.path.startswith((API_PATH, DEEPINFER_PATH)):
        return response
    # Answers belong to their caller and are a moment old at once; no store between may keep them.
    response.headers.setdefault("Cache-Control", "no-store")
    if response.status_code < 400 or response.get("Content-Type", "").startswith("application/json"):
        return response
    code, message = WORDS.get(response.status_code, WORDS[400])
    error = PortalError(str(message), code=code)
    error.status = response.status_code
    answer = _answer_for(request.path)
    made = answer(request, error, None)
    for name, value in response.items():  # what the layers below have set: Allow, the security headers
        if name not in ("Content-Type", "Content-Length"):
            made.headers.setdefault(name, value)
    return made


def _answer_for(path: str) -> Answer:
    if path.startswith(API_PATH):
        return error_response
    return as_hub if path.removeprefix(DEEPINFER_PATH).strip("/") in HUB_CALLS else as_deepinfer


def server_error(request: HttpRequest) -> HttpResponse:
    """The answer to a crash: 503 where the database is away for a moment, 500 else; never a traceback."""
    cause = sys.exc_info()[1]
    if cause is None or not is_passing(cause):
        return defaults.server_error(request)
    error = Unavailable(str(WORDS[503][1]))
    plain = HttpResponse(error.message, content_type="text/plain; charset=utf-8", status=error.status)
    return with_error_headers(plain, error)
