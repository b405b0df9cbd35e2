"""What every JSON door shares: the one error shape, ETags, repeated creates, and finding a row in the caller's scope."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from ninja import Schema
from ninja.responses import NinjaJSONEncoder

from .auth import ApiRequest, request_id_of
from .db import retry_tx
from .errors import Invalid, NotFound, PortalError, Stale, TooMany, Unavailable
from .idempotency import Answer, once
from .rows import Row

R = TypeVar("R", bound=Row)
M = TypeVar("M", bound=Model)
RETRY_AFTER_SECONDS = 2


def error_body(request: HttpRequest, code: str, message: str, field: str = "", errors: Any = None) -> dict[str, Any]:
    body: dict[str, Any] = {"code": code, "message": message}
    if field:
        body["field"] = field
    if errors:
        body["errors"] = errors
    return {"error": {**body, "request_id": request_id_of(request)}}


def error_response(request: HttpRequest, error: PortalError, errors: Any = None) -> HttpResponse:
    """The one shape of refusals in the JSON API."""
    response = JsonResponse(error_body(request, error.code, error.message, error.field, errors), status=error.status)
    return with_error_headers(response, error)


def with_error_headers(response: HttpResponse, error: PortalError) -> HttpResponse:
    if error.status == Unavailable.status:
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, TooMany):
        response["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def find(rows: QuerySet[M], **where: Any) -> M:
    """The one row in the caller's scope. Raises NotFound, the same for a missing row and a neighbour's."""
    row = rows.filter(**where).first()
    if row is None:
        raise NotFound()
    return row


def pick(rows: QuerySet[M], text: str, *, field: str, what: str, by: str = "slug") -> M:
    """The row that a body names by uid or by its short name. Raises Invalid, the same for unknown and foreign."""
    row = rows.filter(Q(uid=text) if is_uid(text) else Q(**{by: text})).first()
    if row is None:
        raise Invalid(_("unknown %(what)s") % {"what": what}, field=field)
    return row


def is_uid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def etag_of(row: Row) -> str:
    """Changes with each save of the row."""
    return f'"{row.uid.hex}-{int(row.updated_at.timestamp() * 1_000_000):x}"'


def unchanged_since(request: HttpRequest, row: R) -> datetime | None:
    """What If-Match asks for: the row's date as the caller knows it, None where the caller doesn't care. Raises Stale."""
    wanted = request.headers.get("If-Match", "*")
    if wanted == "*":
        return None
    if wanted != etag_of(row):
        raise Stale(changed_meanwhile())
    return row.updated_at


@retry_tx
def edited(request: ApiRequest, row: R, change: Callable[[], R]) -> R:
    """Run a change of `row`, unless it was changed since the version that If-Match names. Raises Stale."""
    since = unchanged_since(request, row)
    if since is not None and not type(row)._default_manager.filter(pk=row.pk, updated_at=since).update(updated_at=Now()):
        raise Stale(changed_meanwhile())
    return change()


def changed_meanwhile() -> str:
    return _("This was changed since you read it. Read it again, then repeat your change.")


def created(
    request: ApiRequest, schema: type[Schema], make: Callable[[], Any], *, status: int = 201, secret: bool = False,
) -> HttpResponse:
    """Run a create, once for each Idempotency-Key; `secret` keeps the stored answer encrypted."""

    def answer() -> Answer:
        body = schema.model_validate(make(), from_attributes=True, context={"request": request}).model_dump()
        return Answer(status, json.loads(json.dumps(body, cls=NinjaJSONEncoder)))

    given = once(scope=_scope(request), key=request.headers.get("Idempotency-Key", ""), body=request.body, make=answer,
                 secret=secret)
    return JsonResponse(given.body, status=given.status)


def _scope(request: ApiRequest) -> str:
    actor = request.auth
    who = f"{actor.user.pk if actor.user else 0}:{actor.key.pk if actor.key else ''}"
    return hashlib.sha256(f"{who}:{request.method}:{request.path}".encode()).hexdigest()[:48]
