"""The stream of events behind an open page: what changed, the newest figures, and the end of the right to see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from endpoints.models import Endpoint
from portal.tenancy.errors import NotFound, PortalError, Unavailable
from portal.tenancy.models import User, Workspace

from ..visit import ALL
from .hub import ENDED, RETRY_SECONDS, Hub, Told, hub
from .watching import Who, who_of

BEAT_SECONDS = 15.0
MOST_SECONDS = 3600.0  # then the browser opens the next one
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_json = DjangoJSONEncoder(separators=(",", ":"))


@never_cache
@require_GET
async def stream(request: HttpRequest, slug: str, uid: UUID) -> HttpResponseBase:
    """`state` (the mark of what the page shows), `figures`, and one last `revoked`, `gone` or `ended`."""
    may = await sync_to_async(_may_watch)(request, slug, uid)
    if isinstance(may, HttpResponse):
        return may
    if not isinstance(request, ASGIRequest):
        return HttpResponse(status=204)  # a server that holds a thread for each answer: the page asks again and again
    who, endpoint_id = may
    events = _events(hub(), who, endpoint_id)
    try:
        first = await anext(events)
    except Unavailable as error:
        return _refused(error)
    return StreamingHttpResponse(_bytes(first, events), headers=HEADERS)


def _may_watch(request: HttpRequest, slug: str, uid: UUID) -> tuple[Who, int] | HttpResponse:
    """Who watches which row, or why not. In the request's own thread, which then gives its connection back."""
    user = request.user
    if not isinstance(user, User):
        return HttpResponse(status=401)
    try:
        row = _row(user, slug, uid)
        return who_of(request, user, row), row.pk
    except PortalError as error:
        return HttpResponse(error.message, status=error.status, content_type="text/plain; charset=utf-8")
    finally:
        if isinstance(request, ASGIRequest):
            connections.close_all()


def _row(user: User, slug: str, uid: UUID) -> Endpoint:
    rows = Endpoint.objects.visible_to(user).only("workspace_id")
    if slug != ALL or not user.sees_everything:
        rows = rows.filter(workspace__in=Workspace.objects.visible_to(user).filter(slug=slug))
    row = rows.filter(uid=uid).first()
    if row is None:
        raise NotFound()
    return row


def _refused(error: Unavailable) -> HttpResponse:
    return HttpResponse(error.message, status=error.status, content_type="text/plain; charset=utf-8",
                        headers={"Retry-After": str(RETRY_SECONDS)})


async def _events(all_streams: Hub, who: Who, endpoint_id: int) -> AsyncIterator[Told | None]:
    """What there is to tell; None is a beat, the first at once. Raises Unavailable where there are too many streams."""
    until = time.monotonic() + MOST_SECONDS
    async with all_streams.open(who, endpoint_id) as mine:
        yield None
        while time.monotonic() < until:
            try:
                told = await asyncio.wait_for(mine.waiting.get(), BEAT_SECONDS)
            except TimeoutError:
                yield None
                continue
            yield told
            if told.last:
                return
        yield ENDED


async def _bytes(first: Told | None, events: AsyncIterator[Told | None]) -> AsyncIterator[bytes]:
    try:
        yield b"retry: 3000\n\n" + written(first)
        async for told in events:
            yield written(told)
    finally:
        await events.aclose()  # type: ignore[attr-defined]  # its stream leaves the hub at once


def written(told: Told | None) -> bytes:
    """As server-sent events have it. Pure."""
    if told is None:
        return b"event: beat\ndata: {}\n\n"
    return f"event: {told.name}\ndata: {_json.encode(told.data)}\n\n".encode()
