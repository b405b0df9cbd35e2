"""The log of one replica: this run or the one before, followed while the page is open, or as a file of text."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from endpoints import services
from endpoints.log_query import LINES, MOST_REPLICAS, Wanted
from endpoints.models import Endpoint
from portal.tenancy.errors import Unavailable

from ..visit import Visit, page
from .rows import row_of


@require_safe
@page
def log(visit: Visit, uid: UUID) -> HttpResponse:
    """The page; asked for by its script, only the lines as they are now."""
    row, wanted = row_of(visit, uid), Wanted.of(visit.request)
    template = "web/endpoints/log_lines.html" if visit.is_partial else "web/endpoints/log.html"
    return visit.render(
        template, area="endpoints", row=row, wanted=wanted, choices=LINES, **lines_of(row, wanted),
        replicas=range(max(1, min(MOST_REPLICAS, max(row.replicas_now, wanted.replica + 1)))),
        file=f"{row.name}-{wanted.replica}.log")


@require_safe
@page
def log_file(visit: Visit, uid: UUID) -> HttpResponse:
    """The lines as a file of text, which no browser takes for a page."""
    row, wanted = row_of(visit, uid), Wanted.of(visit.request)
    found = services.logs(row, replica=wanted.replica, previous=wanted.previous, lines=LINES[-1])
    run = "-previous" if wanted.previous else ""
    return HttpResponse(found, headers={
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{row.name}-{wanted.replica}{run}.log"'})


def lines_of(row: Endpoint, wanted: Wanted) -> dict[str, Any]:
    """The lines, or why they can't be read now."""
    try:
        return {"text": services.logs(row, replica=wanted.replica, previous=wanted.previous, lines=wanted.lines),
                "refusal": ""}
    except Unavailable as error:
        return {"text": "", "refusal": error.message}
