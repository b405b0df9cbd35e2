"""Where each page of an endpoint starts: its row in the person's scope, and what its forms were made for."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from endpoints.models import Endpoint
from portal.tenancy.answers import changed_meanwhile
from portal.tenancy.errors import NotFound, Stale
from portal.tenancy.roles import Verb

from ..visit import Visit

SHOWN = ("workspace", "cluster", "wanted__profile__model", "wanted__profile__artifact", "wanted__profile__release",
         "serving__profile__artifact", "serving__profile__release", "created_by")


def endpoints_of(visit: Visit) -> QuerySet[Endpoint]:
    return Endpoint.objects.for_workspaces(visit.workspaces)


def row_of(visit: Visit, uid: UUID) -> Endpoint:
    """The endpoint with all that its pages show. Raises NotFound for a neighbour's as for a missing one."""
    row = endpoints_of(visit).select_related(*SHOWN).filter(uid=uid).first()
    if row is None:
        raise NotFound()
    return row


def row_to_change(visit: Visit, uid: UUID) -> Endpoint:
    """As `row_of`, for those who may change it. Raises NotAllowed."""
    row = row_of(visit, uid)
    visit.actor.require(Verb.DEPLOY, row.workspace)
    return row


def generation_in(visit: Visit) -> int | None:
    """The generation that the form was made for. Raises Stale for none, which no form of ours sends."""
    text = visit.request.POST.get("generation", "")
    if not text.isdecimal() or len(text) > 18:
        raise Stale(_("This form does not say which state it was made for. Load the page again."))
    return int(text)


def require_generation(row: Endpoint, generation: int | None) -> None:
    """For verbs that don't check it themselves. Raises Stale."""
    if generation != row.generation:
        raise Stale(changed_meanwhile())
