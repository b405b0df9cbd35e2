"""The list: every filter is in the address, pages go by key, and an open page asks for its rows again."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from clusters.models import Cluster
from endpoints.models import Endpoint
from endpoints.states import NEEDS_PERSON, Status
from models_catalog.models import CatalogModel, Profile
from portal.tenancy.models import Workspace
from portal.tenancy.pagination import page_of
from portal.tenancy.roles import Verb

from ..lists.address import asked, page_asked
from ..visit import Visit, page
from .detail import NOT_AS_WISHED

FILTERS = ("q", "state", "place", "model", "workspace")
ATTENTION = "attention"
MOST_CHOICES, MOST_COUNTED = 200, 99


@require_safe
@page
def listing(visit: Visit) -> HttpResponse:
    wanted = {name: asked(visit.request, name) for name in FILTERS}
    chosen = {name: value for name, value in wanted.items() if value}
    rows = filtered(visit, wanted)
    found = page_of(rows, page_asked(visit.request))
    template = "web/endpoints/table.html" if visit.is_partial else "web/endpoints/list.html"
    needing = 0 if visit.is_partial else len(
        in_scope(visit).needing_attention().order_by().values_list("pk", flat=True)[:MOST_COUNTED])
    return visit.render(
        template, area="endpoints", rows=found.items, wanted=wanted, chosen=_chips(visit, chosen),
        title=_title(needing, chosen, len(found.items)), next_page=_address(visit, chosen, found.next) if found.next else "",
        here=_address(visit, chosen, asked(visit.request, "cursor")), first_page=_address(visit, chosen, ""),
        is_first="cursor" not in visit.request.GET, may_deploy=visit.may(Verb.DEPLOY), asks_why=NOT_AS_WISHED,
        deploy_url=visit.url("deploy"), **({} if visit.is_partial else _choices(visit)))


def in_scope(visit: Visit) -> Any:
    """With the scope as plain ids: a subquery makes databases sort all rows for a page."""
    if visit.workspace is None:
        return Endpoint.objects.all()
    return Endpoint.objects.filter(workspace=visit.workspace.pk)


def filtered(visit: Visit, wanted: dict[str, str]) -> QuerySet[Endpoint]:
    """The rows that fit; a name that nobody may see fits none."""
    rows: QuerySet[Endpoint] = in_scope(visit).select_related("workspace", "cluster", "wanted__profile__model", "serving")
    if wanted["place"]:
        places = Cluster.objects.for_workspaces(visit.workspaces).filter(name=wanted["place"])
        rows = rows.filter(cluster__in=list(places.values_list("pk", flat=True)))
    if wanted["model"]:
        profiles = Profile.objects.filter(model__slug=wanted["model"])
        rows = rows.filter(wanted__profile__in=list(profiles.values_list("pk", flat=True)))
    if wanted["workspace"] and visit.workspace is None:
        rows = rows.filter(workspace__in=list(Workspace.objects.filter(slug=wanted["workspace"]).values_list("pk", flat=True)))
    if wanted["state"] == ATTENTION:
        rows = rows.filter(status__in=[*NEEDS_PERSON, Status.DEGRADED])
    elif wanted["state"]:
        rows = rows.filter(status=wanted["state"].upper())
    if wanted["q"]:
        rows = rows.filter(Q(name__icontains=wanted["q"]) | Q(public_key__contains=wanted["q"].lower()))
    return rows


def _choices(visit: Visit) -> dict[str, Any]:
    """What the filters offer."""
    places = Cluster.objects.for_workspaces(visit.workspaces).order_by("name").values_list("name", flat=True)
    models = CatalogModel.objects.for_workspaces(visit.workspaces).order_by("name").values_list("slug", "name")
    slugs = Workspace.objects.order_by("name").values_list("slug", "name")[:MOST_CHOICES] if visit.workspace is None else ()
    return {
        "places": list(places[:MOST_CHOICES]), "models": list(models[:MOST_CHOICES]), "workspaces": list(slugs),
        "states": [(ATTENTION, _("Needs you")), *[(one.value, one.label) for one in Status if one != Status.DELETED]],
    }


def _title(needing: int, chosen: dict[str, str], count: int) -> str:
    if chosen:
        return _("Endpoints that match")
    if needing > 0:
        return ngettext("%(n)d endpoint needs you", "%(n)d endpoints need you", needing) % {"n": needing}
    return _("No endpoint needs you") if count else _("No endpoint yet")


def _address(visit: Visit, chosen: dict[str, str], cursor: str | None) -> str:
    query = urlencode({**chosen, **({"cursor": cursor} if cursor else {})})
    return visit.url("endpoints") + (f"?{query}" if query else "")


def _chips(visit: Visit, chosen: dict[str, str]) -> list[tuple[str, str]]:
    """Each filter in words, with the address of the list without it."""
    words = {"q": _("“%(text)s”"), "state": _("state: %(text)s"), "place": _("place: %(text)s"),
             "model": _("model: %(text)s"), "workspace": _("workspace: %(text)s")}
    labels = {**dict(Status.choices), ATTENTION: _("Needs you")}
    return [(words[name] % {"text": labels.get(value, value) if name == "state" else value},
             _address(visit, {other: kept for other, kept in chosen.items() if other != name}, ""))
            for name, value in chosen.items()]
