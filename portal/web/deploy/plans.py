"""The plan of an endpoint that is there: what its next step, an earlier revision or another size would change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.plan import Planned
from portal.tenancy.errors import NotAllowed, NotFound, PortalError, Stale
from portal.tenancy.roles import Verb

from ..endpoints.rows import row_of
from ..visit import Visit, page
from .shown import MARKS, bars

HIGHEST = 2**31 - 1


@dataclass(frozen=True)
class Proposal:
    """What the address proposes: a title, its plan, and the verb that does it."""

    title: str
    button: str
    plan: Callable[[], Planned]
    do: Callable[[], object]
    said: str


@page
def plan(visit: Visit, uid: UUID) -> HttpResponse:
    """GET shows the plan of `?revision=` or `?replicas=`, without either that of the next step; POST does what was shown."""
    endpoint = row_of(visit, uid)
    may = Verb.DEPLOY in visit.actor.verbs(endpoint.workspace)
    asks = visit.request.method == "POST" or _number(visit, "revision") or _number(visit, "replicas")
    if asks and not may:
        raise NotAllowed(_("To deploy or change models here you need the role developer, admin or owner."))
    found = _proposal(visit, endpoint)
    if visit.request.method != "POST":
        return _shown(visit, endpoint, found, may=may)
    try:
        services.require_unchanged(visit.request.POST.get("plan", ""), found.plan())
        found.do()
    except Stale as error:
        return _shown(visit, endpoint, found, may=may, notice=error.message, status=409)
    messages.success(visit.request, found.said)
    return HttpResponseRedirect(Visit(visit.request, visit.user, endpoint.workspace).url("endpoint", uid))


def _proposal(visit: Visit, endpoint: Endpoint) -> Proposal:
    actor, words = visit.actor, {"name": endpoint.name}
    revision, replicas = _number(visit, "revision"), _number(visit, "replicas")
    if revision:
        words["number"] = str(revision)
        return Proposal(
            _("Back to revision %(number)s of %(name)s") % words, _("Roll back to revision %(number)s") % words,
            lambda: services.plan_change(actor, endpoint, number=revision),
            lambda: services.roll_back(actor, endpoint, revision), _("%(name)s goes back to revision %(number)s.") % words)
    if replicas:
        words["number"] = str(replicas)
        return Proposal(
            _("%(name)s with %(number)s replicas") % words, _("Scale to %(number)s") % words,
            lambda: services.plan_change(actor, endpoint, replicas=replicas),
            lambda: services.scale(actor, endpoint, replicas), _("%(name)s is being scaled to %(number)s.") % words)
    return Proposal(
        _("What the next step of %(name)s would change") % words, _("Bring it into service"),
        lambda: services.plan(endpoint), lambda: services.deploy(actor, endpoint), _("%(name)s is on its way.") % words)


def _number(visit: Visit, name: str) -> int:
    text = visit.request.GET.get(name, "")
    return min(int(text), HIGHEST) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def _shown(
    visit: Visit, endpoint: Endpoint, found: Proposal, *, may: bool, notice: str = "", status: int = 200,
) -> HttpResponse:
    planned, problem = None, ""
    try:
        planned = found.plan()
    except NotFound:
        raise
    except PortalError as error:
        problem = error.message
    steps = planned.plan.steps if planned else ()
    return visit.render(
        "web/deploy/plan_page.html", status=status, area="endpoints", endpoint=endpoint, found=found, planned=planned, may=may,
        problem=problem, notice=notice, steps=[step for step in steps if step.verb != "keep"],
        kept=[step for step in steps if step.verb == "keep"], bars=bars(planned.limits) if planned else [],
        checks=[(check, MARKS[check.ok]) for check in planned.plan.checks] if planned else [], now=timezone.now())
