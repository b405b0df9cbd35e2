from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from clusters.instances.prices import price_book
from endpoints.loadtests.states import RunState
from endpoints.models import Endpoint, LoadTest
from endpoints.services import loadtests as services
from endpoints.services.loadtest_bounds import Foreseen
from endpoints.services.loadtest_targets import names_of
from portal.tenancy.answers import is_uid
from portal.tenancy.errors import NotAllowed, NotFound, PortalError
from portal.tenancy.pagination import page_of
from portal.tenancy.roles import Verb

from ..lists.address import asked, page_asked, query_with
from ..lists.forms import make_once, refuse
from ..visit import Visit, page
from .charts import charts_of
from .forms import NotesForm, RunForm
from .rows import (
    COLUMNS,
    STATES,
    Line,
    as_csv,
    cautions_of,
    cost_of,
    earlier,
    faults_of,
    figures_of,
    goals_of,
    other_of,
    points_of,
    progress_of,
    run_of,
    runs_of,
    took_in_all,
    why_of,
)
from .words import load_of, title_of

AREA = "loadtests"


@require_safe
@page
def loadtests(visit: Visit) -> HttpResponse:
    """The runs, newest first. Filters: `q` and `state`."""
    text, state = asked(visit.request, "q"), asked(visit.request, "state")
    rows = runs_of(visit).for_lists()
    rows = rows.matching(text) if text else rows
    rows = rows.filter(state=state) if state in RunState.values else rows
    found = page_of(rows, page_asked(visit.request))
    is_filtered = bool(text or state)
    latest = runs_of(visit).for_lists().order_by("-pk").first() if is_filtered or not found.items else found.items[0]
    return visit.render(
        "web/loadtests/list.html", area=AREA, lines=[Line(run) for run in found.items], text=text, is_filtered=is_filtered,
        title=title_of(latest) if latest else _("No load test has run yet"), may_start=_may_start(visit),
        states=[(name, RunState(name).label if name else _("All states"), name == state) for name in STATES],
        older=query_with(visit.request, cursor=found.next) if found.next else "",
        newest=query_with(visit.request) if "cursor" in visit.request.GET else "")


@require_http_methods(["GET", "POST"])
@page
def new(visit: Visit) -> HttpResponse:
    """Say what a run would use while it is chosen (the form's values in the address), and start it."""
    if visit.request.method != "POST":
        form = RunForm(visit.request.GET) if "mode" in visit.request.GET else RunForm(initial=_initial(visit))
        return _form_page(visit, form)
    visit.actor.require(Verb.USE, visit.one)
    form = RunForm(visit.request.POST)
    if not form.is_valid():
        return _form_page(visit, form, 422)
    try:
        uid, is_new = make_once(visit, form, lambda: str(services.start(visit.actor, visit.one, form.ask).uid))
    except PortalError as error:
        return _form_page(visit, form, refuse(form, error))
    if is_new:
        messages.success(visit.request, _("The run is on its way."))
    return HttpResponseRedirect(visit.url("loadtest", uid))


def _initial(visit: Visit) -> dict[str, Any]:
    """The values of an earlier run (`again`), or the name of an endpoint (`endpoint`)."""
    again, endpoint = asked(visit.request, "again"), asked(visit.request, "endpoint")
    if is_uid(again):
        return services.asked_by(run_of(visit, UUID(again)))
    if is_uid(endpoint):
        name = Endpoint.objects.filter(workspace=visit.one, uid=endpoint).values_list("public_name", flat=True).first()
        if name is None:
            raise NotFound()
        return {"model": name}
    return {}


def _form_page(visit: Visit, form: RunForm, status: int = 200) -> HttpResponse:
    found, problem = _foreseen(visit, form)
    busy = runs_of(visit).filter(occupies=visit.one.pk).first()
    common = {"foreseen": found, "problem": problem, "currency": price_book().currency, "busy": busy,
              "may_start": _may_start(visit), "at_once": settings.PORTAL_LOAD_TESTS_AT_ONCE, "form": form}
    if visit.is_partial:
        return visit.render("web/loadtests/estimate.html", status=status, **common)
    return visit.render("web/loadtests/new.html", area=AREA, status=status, names=names_of(visit.one), **common)


def _foreseen(visit: Visit, form: RunForm) -> tuple[Foreseen | None, str]:
    """What the run would use, or why that can't be said yet."""
    if not visit.may(Verb.USE):
        return None, ""
    tried = form if form.is_bound else RunForm({name: form.get_initial_for_field(field, name)
                                                for name, field in form.fields.items()})
    if not tried.is_valid():
        return None, _("Choose a model and fill in the numbers: what the run will use stands here then.")
    try:
        return services.foreseen(visit.actor, visit.one, tried.ask), ""
    except NotAllowed:
        raise
    except PortalError as error:
        return None, error.message


@require_safe
@page
def loadtest(visit: Visit, uid: UUID) -> HttpResponse:
    """A run. `with` is another one to compare it with."""
    run = run_of(visit, uid)
    other = other_of(visit, run, asked(visit.request, "with"))
    own = run.created_by_id == visit.user.pk
    return visit.render(
        "web/loadtests/run.html", area=AREA, others=earlier(visit, run), form=NotesForm(initial={"notes": run.notes}),
        points=points_of(run), columns=COLUMNS, may_change=visit.may(Verb.USE),
        may_delete=not run.is_active and visit.may(Verb.USE if own else Verb.MANAGE), **_shown(visit, run, other))


@require_safe
@page
def live(visit: Visit, uid: UUID) -> HttpResponse:
    """The part of the page that moves; when the run has ended, the whole page is asked for once more."""
    run = run_of(visit, uid)
    answer = visit.render("web/loadtests/live.html", area=AREA,
                          **_shown(visit, run, other_of(visit, run, asked(visit.request, "with"))))
    if not run.is_active:
        answer["HX-Refresh"] = "true"
    return answer


def _shown(visit: Visit, run: LoadTest, other: LoadTest | None) -> dict[str, Any]:
    cost = cost_of(run)
    return {
        "run": run, "other": other, "line": Line(run), "title": title_of(run), "load": load_of(run), "why": why_of(run),
        "charts": charts_of(run, other), "figures": figures_of(run, other), "faults": faults_of(run),
        "progress": progress_of(run), "cautions": cautions_of(run), "goals": goals_of(run), "took": took_in_all(run),
        "cost": None if cost is None else Decimal(cost).quantize(Decimal("0.0001")), "currency": price_book().currency,
        "may_cancel": run.is_active and visit.may(Verb.USE), "is_full": _is_full(run),
    }


def _is_full(run: LoadTest) -> bool:
    """Whether it waits because as many run as may."""
    return (run.state == RunState.QUEUED
            and LoadTest.objects.filter(state=RunState.RUNNING).count() >= settings.PORTAL_LOAD_TESTS_AT_ONCE)


@require_safe
@page
def points(visit: Visit, uid: UUID) -> HttpResponse:
    """The points as CSV."""
    run = run_of(visit, uid)
    return HttpResponse(as_csv(run), content_type="text/csv; charset=utf-8", headers={
        "Content-Disposition": f'attachment; filename="load-test-{run.number}.csv"'})


@require_POST
@page
def cancel(visit: Visit, uid: UUID) -> HttpResponse:
    run = run_of(visit, uid)
    services.cancel(visit.actor, run)
    messages.success(visit.request, _("Run %(number)d ends within two seconds.") % {"number": run.number})
    return HttpResponseRedirect(visit.url("loadtest", uid))


@require_POST
@page
def notes(visit: Visit, uid: UUID) -> HttpResponse:
    run, form = run_of(visit, uid), NotesForm(visit.request.POST)
    services.set_notes(visit.actor, run, visit.request.POST.get("notes", "") if not form.is_valid()
                       else form.cleaned_data["notes"])
    messages.success(visit.request, _("The notes are kept."))
    return HttpResponseRedirect(visit.url("loadtest", uid))


@require_http_methods(["GET", "POST"])
@page
def delete(visit: Visit, uid: UUID) -> HttpResponse:
    """Say what goes, then drop it."""
    run = run_of(visit, uid)
    if visit.request.method != "POST":
        return visit.render("web/loadtests/delete.html", area=AREA, run=run, load=load_of(run))
    services.delete(visit.actor, run)
    messages.success(visit.request, _("Run %(number)d is deleted.") % {"number": run.number})
    return HttpResponseRedirect(visit.url("loadtests"))


def _may_start(visit: Visit) -> bool:
    return visit.workspace is not None and visit.may(Verb.USE) and bool(settings.PORTAL_LOAD_TESTS_AT_ONCE)
