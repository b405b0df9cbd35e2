"""A secret that is shown this once: never stored, cached, logged or put into a message."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from .base import PortalAdmin


def shown_once(
    page: PortalAdmin, request: HttpRequest, *, title: str, text: str, hint: str, back: str, more: Any = (),
) -> HttpResponse:
    """The page that shows `text` with a copy button; browsers and proxies keep no copy.

    `more` is further (label, text) pairs that can be copied too.
    """
    context = {
        **page.admin_site.each_context(request), "opts": page.opts, "title": title, "hint": hint, "back": back,
        "texts": [("", text), *more],
    }
    response = TemplateResponse(request, "portal/admin/once.html", context)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response
