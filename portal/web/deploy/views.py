"""The deploy page and the page that edits an endpoint: one form, one plan, and a partial of both for the page's script."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints import services
from portal.tenancy.errors import NotAllowed, NotFound, PortalError, Stale
from portal.tenancy.idempotency import Answer, is_answered, once
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb

from ..endpoints.rows import row_of
from ..visit import Visit, page
from .draft import Draft
from .shown import PlanView, folded, instances, refuse_size, sizes
from .wish import make, plan_of, wish_of


@page
def deploy(visit: Visit) -> HttpResponse:
    """Choose, look at the plan, deploy. A POST with `act=deploy` makes the endpoint, any other works out the plan."""
    if visit.workspace is None:
        return visit.render("web/deploy/which.html", area="endpoints", choices=Workspace.objects.visible_to(visit.user)[:100])
    _require_deploy(visit)
    draft = Draft(visit)
    lacking = "" if draft.places else _lacking(visit, draft)
    if lacking:
        return visit.render("web/deploy/empty.html", area="endpoints", lacking=lacking)
    return _answer(visit, draft)


@page
def edit(visit: Visit, uid: UUID) -> HttpResponse:
    """The same form for what an endpoint shall be next, with the plan as a difference."""
    endpoint = row_of(visit, uid)
    if visit.workspace is None:
        return HttpResponseRedirect(Visit(visit.request, visit.user, endpoint.workspace).url("endpoint-edit", uid))
    _require_deploy(visit)
    return _answer(visit, Draft(visit, endpoint))


def _require_deploy(visit: Visit) -> None:
    if not visit.may(Verb.DEPLOY):
        raise NotAllowed(_("To deploy or change models here you need the role developer, admin or owner."))


def _lacking(visit: Visit, draft: Draft) -> str:
    """What must be there before anybody can deploy."""
    if not Cluster.objects.for_workspaces(visit.workspaces).exists():
        return "place"
    return "" if draft.models else "model"


def _answer(visit: Visit, draft: Draft) -> HttpResponse:
    if draft.posted and visit.request.POST.get("act") == "deploy":
        return _deployed(visit, draft)
    if visit.is_partial or draft.posted:
        refuse_size(draft)
        return _shown(visit, draft, _plan(draft))
    return _shown(visit, draft, PlanView(draft, waits=_waits(draft)))


def _waits(draft: Draft) -> str:
    if draft.model is None:
        return _("Choose a model to see what it takes.")
    return _("Choose a place to see the plan.") if draft.place is None else ""


def _plan(draft: Draft) -> PlanView:
    """The plan of the form as it stands; a refusal goes to its field."""
    waits = _waits(draft)
    if waits or draft.told:
        return PlanView(draft, waits=waits or _("Something is not right yet: see the field."))
    if draft.endpoint is not None and not wish_of(draft):
        return PlanView(draft, waits=_("Nothing is changed yet."))
    try:
        return PlanView(draft, plan_of(draft))
    except PortalError as error:
        if error.field:
            draft.refuse(error)
            return PlanView(draft, waits=_("Something is not right yet: see the field."))
        return PlanView(draft, problem=error.message)


def _deployed(visit: Visit, draft: Draft) -> HttpResponse:
    """Make it, or say why not; what was typed stays."""
    if draft.model is None:
        draft.errors.setdefault("model", _("Choose a model."))
    elif draft.place is None:
        draft.errors.setdefault("place", _("Choose a place."))
    refuse_size(draft)
    if draft.told:
        return _shown(visit, draft, _plan(draft), status=422)
    try:
        uid = _made(visit, draft)
    except PortalError as error:
        return _refused(visit, draft, error)
    return HttpResponseRedirect(visit.url("endpoint", uid))


def _made(visit: Visit, draft: Draft) -> UUID:
    """The endpoint's uid, once: the same form sent again gets the same answer."""
    def answer() -> Answer:
        endpoint = make(draft)
        return Answer(303, {"uid": endpoint.uid.hex, "name": endpoint.name})

    if draft.endpoint is not None:
        _require_as_planned(visit, draft)
        made = answer()
        messages.success(visit.request, _("%(name)s is being changed.") % made.body)
    else:
        scope = f"web deploy {visit.user.pk} {draft.workspace.pk}"
        if not is_answered(scope=scope, key=draft.uid.hex):
            _require_as_planned(visit, draft)
        made = once(scope=scope, key=draft.uid.hex, body=draft.uid.bytes, make=answer)
        messages.success(visit.request, _("%(name)s is on its way.") % made.body)
    return UUID(made.body["uid"])


def _require_as_planned(visit: Visit, draft: Draft) -> None:
    """The plan must have been shown and still be the plan; nobody else changes hosts, so there what is typed is the plan."""
    word, now = visit.request.POST.get("plan", ""), plan_of(draft)
    if word:
        services.require_unchanged(word, now)
    elif draft.kind != ClusterKind.HOSTS:
        raise Stale(_("This is what it would make. Look at the plan, then deploy."))
    if not now.plan.may_go:
        raise Stale(_("It does not fit now: the plan says why."))


def _refused(visit: Visit, draft: Draft, error: PortalError) -> HttpResponse:
    """A plan that is no longer that of the form is shown anew, to be looked at."""
    if isinstance(error, NotFound):
        raise error
    draft.refuse(error)
    field_of_its_own = "all" not in draft.errors
    shown = PlanView(draft, waits=_("Something is not right yet: see the field.")) if field_of_its_own else _again(draft)
    return _shown(visit, draft, shown, status=409 if isinstance(error, Stale) else error.status)


def _again(draft: Draft) -> PlanView:
    """The plan of now, in spite of the refusal that is shown above it."""
    said = draft.errors.pop("all")
    found = _plan(draft)
    draft.notice = said
    return found


def _shown(visit: Visit, draft: Draft, plan: PlanView, status: int = 200) -> HttpResponse:
    template = "web/deploy/answer.html" if visit.is_partial else "web/deploy/deploy.html"
    return visit.render(
        template, status=status, area="endpoints", draft=draft, form=draft.form, plan=plan, told=draft.told,
        sizes=sizes(draft, plan.planned), folded=folded(draft), now=timezone.now(),
        instances=instances(draft.place, draft.profile, draft.data.get("instance", "")) if draft.options_kind else [])
