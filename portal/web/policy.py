"""Which Content-Security-Policy a page gets: the strict one, or for the admin's theme and the API's own page a looser one."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from portal.middleware import Middleware

LOOSE = ("/admin/", "/api/")


class LoosePolicy(Middleware):
    """Stands inside the middleware that writes the header."""

    def after(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.path_info.startswith(LOOSE) and not hasattr(response, "_csp_config"):
            response._csp_config = settings.LOOSE_POLICY  # type: ignore[attr-defined]  # where django-csp looks
        return response
