from __future__ import annotations

from django.http import HttpResponse

from endpoints.models import Endpoint

from ..visit import Visit, page


@page
def home(visit: Visit) -> HttpResponse:
    rows = Endpoint.objects.for_workspaces(visit.workspaces).with_places()[:50]
    return visit.render("web/home/home.html", area="home", endpoints=rows)
