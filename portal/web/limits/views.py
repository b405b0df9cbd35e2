from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from endpoints.services import limits as services
from portal.tenancy.answers import find
from portal.tenancy.errors import PortalError
from portal.tenancy.models import Limit, LimitKind, LimitQuerySet, Workspace
from portal.tenancy.pagination import page_of
from portal.tenancy.roles import Verb

from ..lists.address import asked, page_asked, query_with
from ..lists.forms import make_once, refuse
from ..visit import Visit, page
from .forms import QuantitiesForm, SubjectForm
from .rows import counts_places, lines_of, subject_of, title_for


def _rows(visit: Visit) -> LimitQuerySet:
    return Limit.objects.filter(workspace__in=visit.workspaces).select_related("workspace", "member", "key")


@require_safe
@page
def limits(visit: Visit) -> HttpResponse:
    """The workspace's own limits first, then those of members, keys and models, the newest first. Filter: `kind`."""
    request = visit.request
    kind = asked(request, "kind")
    kind = kind if kind in LimitKind.values else ""
    rows = _rows(visit).filter(kind=kind) if kind else _rows(visit)
    own = []
    if visit.workspace and not kind:
        own, rows = list(rows.filter(kind=LimitKind.WORKSPACE)), rows.exclude(kind=LimitKind.WORKSPACE)
    found = page_of(rows, page_asked(request))
    lines = lines_of(visit, [*own, *found.items], places=counts_places(visit))
    return visit.render(
        "web/limits/limits.html", area="limits", own=lines[0] if own else None, lines=lines[len(own):], title=title_for(lines),
        kinds=[(each.value, each.label, each.value == kind) for each in LimitKind], kind=kind, may_add=visit.may(Verb.MANAGE),
        operates=visit.actor.operates, older=query_with(request, cursor=found.next) if found.next else "",
        newest=query_with(request) if "cursor" in request.GET else "")


def _own(workspace: Workspace) -> Limit | None:
    return Limit.objects.filter(workspace=workspace, kind=LimitKind.WORKSPACE).first()


@require_http_methods(["GET", "POST"])
@page
def new(visit: Visit) -> HttpResponse:
    """A limit of one `kind`; the address says which."""
    workspace = visit.one
    visit.actor.require(Verb.MANAGE, workspace)
    kinds = [each for each in LimitKind if each != LimitKind.WORKSPACE or visit.actor.operates]
    chosen = asked(visit.request, "kind", LimitKind.MEMBER)
    kind = LimitKind(chosen) if chosen in kinds else LimitKind.MEMBER
    above = None if kind == LimitKind.WORKSPACE else _own(workspace)
    if visit.request.method != "POST":
        first = {name: asked(visit.request, name) for name in ("member", "key", "model_name")}
        return _new_page(visit, SubjectForm(initial=first, kind=kind, workspace=workspace, above=above), kinds)
    form = SubjectForm(visit.request.POST, kind=kind, workspace=workspace, above=above)
    if not form.is_valid():
        return _new_page(visit, form, kinds, 422)

    def make() -> str:
        return str(services.create_limit(visit.actor, workspace, kind=kind, **form.named(), **form.quantities).uid)

    try:
        make_once(visit, form, make)
    except PortalError as error:
        return _new_page(visit, form, kinds, refuse(form, error))
    messages.success(visit.request, _("The limit holds within a second, for calls that begin from now on."))
    return redirect(visit.url("limits"))


def _new_page(visit: Visit, form: SubjectForm, kinds: list[LimitKind], status: int = 200) -> HttpResponse:
    return visit.render("web/limits/new.html", area="limits", form=form, kind=form.kind, status=status,
                        kinds=[(each.label, f"?kind={each.value}", each == form.kind) for each in kinds])


@require_http_methods(["GET", "POST"])
@page
def limit(visit: Visit, uid: UUID) -> HttpResponse:
    """How far a limit is used, and its quantities to change."""
    row = find(_rows(visit), uid=uid)
    above = None if row.kind == LimitKind.WORKSPACE else _own(row.workspace)
    if visit.request.method != "POST":
        values = {name: getattr(row, name) for name in Limit.QUANTITIES}
        return _limit_page(visit, row, QuantitiesForm(initial=values, above=above))
    visit.actor.require(Verb.MANAGE, row.workspace)
    form = QuantitiesForm(visit.request.POST, above=above)
    if not form.is_valid():
        return _limit_page(visit, row, form, 422)
    try:
        services.change_limit(visit.actor, row, **form.quantities)
    except PortalError as error:
        return _limit_page(visit, row, form, refuse(form, error))
    messages.success(visit.request, _("The limit of %(whose)s is changed. It holds within a second.") % {
        "whose": subject_of(row)})
    return redirect(visit.url("limit", row.uid))


def _limit_page(visit: Visit, row: Limit, form: QuantitiesForm, status: int = 200) -> HttpResponse:
    (line,) = lines_of(visit, [row], places=True)
    return visit.render("web/limits/limit.html", area="limits", line=line, form=form, status=status)


@require_POST
@page
def delete(visit: Visit, uid: UUID) -> HttpResponse:
    row = find(_rows(visit), uid=uid)
    services.delete_limit(visit.actor, row)
    messages.success(visit.request, _("The limit of %(whose)s is gone; the others on the chain still hold.") % {
        "whose": subject_of(row)})
    return redirect(visit.url("limits"))
