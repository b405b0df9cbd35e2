"""What people ask of an endpoint with one press: each form says which state it was made for, and a stale one is told."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from endpoints import services
from endpoints.models import Endpoint
from portal.tenancy.errors import Invalid, NotAllowed, NotFound, PortalError
from portal.tenancy.roles import Verb

from ..visit import Visit, page
from . import undo
from .detail import answer
from .rows import generation_in, require_generation, row_of, row_to_change


def _asked(visit: Visit, uid: UUID, work: Callable[[Endpoint, int | None], None]) -> HttpResponse:
    """Do it and go back to the page; a refusal is told on the page as it is now."""
    row = row_to_change(visit, uid)
    try:
        work(row, generation_in(visit))
    except (NotFound, NotAllowed):
        raise
    except PortalError as error:
        return answer(visit, row_of(visit, uid), error=error)
    return undo.back(visit, row)


@require_POST
@page
def stop(visit: Visit, uid: UUID) -> HttpResponse:
    def work(row: Endpoint, generation: int | None) -> None:
        services.stop(visit.actor, row, expected_generation=generation)
        undo.offer(visit, row, _("%(name)s is being stopped.") % {"name": row.name}, "endpoint-start")

    return _asked(visit, uid, work)


@require_POST
@page
def start(visit: Visit, uid: UUID) -> HttpResponse:
    def work(row: Endpoint, generation: int | None) -> None:
        services.start(visit.actor, row, expected_generation=generation)
        undo.offer(visit, row, _("%(name)s is being started.") % {"name": row.name}, "endpoint-stop")

    return _asked(visit, uid, work)


@require_POST
@page
def retry(visit: Visit, uid: UUID) -> HttpResponse:
    def work(row: Endpoint, generation: int | None) -> None:
        services.retry(visit.actor, row, expected_generation=generation)
        messages.success(visit.request, _("%(name)s is tried again.") % {"name": row.name})

    return _asked(visit, uid, work)


@require_POST
@page
def roll_back(visit: Visit, uid: UUID) -> HttpResponse:
    """To the revision in the field `revision`, by its number."""
    def work(row: Endpoint, generation: int | None) -> None:
        before = row.wanted.number if row.wanted else 0
        require_generation(row, generation)
        number = whole(visit.request.POST.get("revision", ""))
        services.roll_back(visit.actor, row, number, expected_generation=generation)
        said = _("Revision %(number)d is on its way.") % {"number": number}
        undo.offer(visit, row, said, "endpoint-rollback", revision=before)

    return _asked(visit, uid, work)


def whole(text: str) -> int:
    """A number that a form may carry; 0, which nothing has, for anything else."""
    return int(text) if text.isdecimal() and len(text) < 9 else 0


DRIFT = {"put back": services.put_back, "accept": services.accept, "ignore": services.ignore}


@require_POST
@page
def settle_drift(visit: Visit, uid: UUID) -> HttpResponse:
    """What to do about changes made outside: the field `choice`."""
    def work(row: Endpoint, generation: int | None) -> None:
        settle = DRIFT.get(visit.request.POST.get("choice", ""))
        if settle is None:
            raise Invalid(_("Choose what to do about the changes."))
        require_generation(row, generation)
        settle(visit.actor, row)
        messages.success(visit.request, _("The changes made outside are dealt with."))

    return _asked(visit, uid, work)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def delete(visit: Visit, uid: UUID) -> HttpResponse:
    """Says what goes and what stays; the typed name is checked here, whatever the page's script does."""
    row = row_of(visit, uid)
    typed = visit.request.POST.get("name", "")
    error: PortalError | None = None
    if visit.request.method == "POST":
        visit.actor.require(Verb.DEPLOY, row.workspace)
        try:
            if typed != row.name:
                raise Invalid(_("Type %(name)s, as it is written here.") % {"name": row.name}, field="name")
            services.delete(visit.actor, row, expected_generation=generation_in(visit))
            messages.success(visit.request, _("%(name)s is being deleted.") % {"name": row.name})
            return redirect(visit.url("endpoints"))
        except NotAllowed:
            raise
        except PortalError as refused:
            error, row = refused, row_of(visit, uid)
    return visit.render("web/endpoints/delete.html", area="endpoints", row=row, typed=typed, error=error,
                        may_deploy=visit.may(Verb.DEPLOY) and not row.is_owned_by_cluster,
                        status=error.status if error else 200)
