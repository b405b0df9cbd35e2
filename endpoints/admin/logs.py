"""The log of one replica: this run or the one before, followed while the page is open, or as a file of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from endpoints import services
from endpoints.log_query import LINES, Wanted
from endpoints.models import Endpoint
from portal.tenancy.adminkit import sheet
from portal.tenancy.errors import Unavailable

from .why import row_of

if TYPE_CHECKING:
    from .page import EndpointAdmin

USUAL = LINES[1]


def answer(page: EndpointAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The page; without script it shows the lines of now, with it it goes on."""
    row, wanted = row_of(page, request, pk), Wanted.of(request, USUAL)
    live = reverse("admin:endpoints_endpoint_log_live", args=[pk])
    response = TemplateResponse(request, "portal/admin/logs.html", {
        **page.admin_site.each_context(request), "opts": page.opts, "title": _("Log of %(name)s") % {"name": row.name},
        "original": row, "endpoint": row, "wanted": wanted, "choices": LINES, "text": part(row, wanted),
        "replicas": range(max(1, row.replicas, wanted.replica + 1)), "file": f"{row.name}-{wanted.replica}.log",
        "live_url": "" if wanted.previous else f"{live}?{wanted.query}",
    })
    response["Cache-Control"] = "no-store"
    return response


def answer_live(page: EndpointAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The lines as they are now, for the open page."""
    row = row_of(page, request, pk)
    response = JsonResponse({"settled": False, "parts": {str(pk): {"log": part(row, Wanted.of(request, USUAL))}}})
    response["Cache-Control"] = "no-store"
    return response


def answer_text(page: EndpointAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The lines as a file."""
    row, wanted = row_of(page, request, pk), Wanted.of(request, USUAL)
    try:
        text = services.logs(row, replica=wanted.replica, previous=wanted.previous, lines=LINES[-1])
    except Unavailable as error:
        return HttpResponse(error.message, status=503, content_type="text/plain; charset=utf-8")
    run = "-previous" if wanted.previous else ""
    return HttpResponse(text, headers={
        "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{row.name}-{wanted.replica}{run}.log"'})


def part(row: Endpoint, wanted: Wanted) -> SafeString:
    """The lines, or why they can't be read now."""
    try:
        text = services.logs(row, replica=wanted.replica, previous=wanted.previous, lines=wanted.lines)
    except Unavailable as error:
        return sheet("portal/admin/log_lines.html", refusal=error.message)
    return sheet("portal/admin/log_lines.html", text=text, previous=wanted.previous)
