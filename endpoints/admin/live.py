"""Fragments that an open page fetches again: small JSON with escaped HTML, for the person's own rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from . import cells, detail

if TYPE_CHECKING:
    from .page import EndpointAdmin

MOST = 100


def answer_list(page: EndpointAdmin, request: HttpRequest) -> HttpResponse:
    """The moving cells of the rows in ``?ids=``; ids of others are simply not in the answer."""
    _require_view(page, request)
    ids = [int(text) for text in request.GET.get("ids", "").split(",")[:MOST] if text.isdecimal() and len(text) < 19]
    rows = list(page.get_queryset(request).filter(pk__in=ids))
    parts = {str(row.pk): {name: str(make(row)) for name, make in cells.PARTS.items()} for row in rows}
    return _answer(parts, settled=all(map(cells.is_settled, rows)))


def answer_detail(page: EndpointAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    _require_view(page, request)
    row = page.get_queryset(request).filter(pk=pk).first()
    if row is None:
        raise Http404
    return _answer({str(pk): detail.parts(row)}, settled=cells.is_settled(row))


def _require_view(page: EndpointAdmin, request: HttpRequest) -> None:
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied


def _answer(parts: dict[str, Any], *, settled: bool) -> HttpResponse:
    response = JsonResponse({"settled": settled, "parts": parts})
    response["Cache-Control"] = "no-store"
    return response
