from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from clusters.instances import price_book
from portal.tenancy.roles import Verb

from ..visit import Visit, page
from .detail import detail_of
from .filters import Filters
from .listing import listing_of


@require_safe
@page
def models(visit: Visit) -> HttpResponse:
    """The catalogue; a change of a filter fetches the list alone."""
    listing = listing_of(visit.workspaces, Filters.of(visit.request.GET.dict()))
    template = "web/models/results.html" if visit.is_partial else "web/models/list.html"
    return visit.render(template, area="models", listing=listing, currency=price_book().currency)


@require_safe
@page
def model(visit: Visit, model: str) -> HttpResponse:
    """A model, by its short name."""
    asked = visit.request.GET
    detail = detail_of(visit.workspaces, model, asked.get("profile", ""), asked.get("place", ""))
    may_deploy = visit.workspace is not None and visit.may(Verb.DEPLOY)
    return visit.render("web/models/model.html", area="models", detail=detail, may_deploy=may_deploy)
