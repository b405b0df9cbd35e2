"""“Why is it not ready”: one cause in the title, what shows it, the next step; then what else it could be."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from endpoints import services
from endpoints.explaining import Evidence, Explanation, Finding, Shown
from endpoints.models import Event
from endpoints.states import NEEDS_PERSON
from portal.tenancy.roles import Verb
from portal.tenancy.text import clean

from ..visit import Visit, page
from .detail import OF_THE_WISH
from .replicas import of_evidence
from .rows import row_of
from .timeline import timeline

EVENTS = 40


@require_safe
@page
def why(visit: Visit, uid: UUID) -> HttpResponse:
    """Asks the place itself; one that can't be asked is the answer then."""
    row = row_of(visit, uid)
    found = services.explain(row)
    mine = Event.objects.filter(endpoint=row, generation=row.generation).order_by("pk")[:OF_THE_WISH]
    return visit.render(
        "web/endpoints/why.html", area="endpoints", row=row, first=found.first, others=found.others, seen=found.seen,
        shown=[_shown(one) for one in found.first.shown_by], sure=_sure(found.first), lines=_lines(found),
        replicas=of_evidence(found.seen), line=timeline(row, list(mine), (), found.seen.looked_at),
        passed=_passed(found.seen), warnings=[one for one in found.seen.events if one.warning][:EVENTS],
        ordinary=[one for one in found.seen.events if not one.warning][:EVENTS],
        as_text=_as_text(row.name, found), edit_url=visit.url("endpoint-edit", row.uid),
        needs_person=row.status in NEEDS_PERSON, may_deploy=visit.may(Verb.DEPLOY))


def _lines(found: Explanation) -> list[tuple[str, bool]]:
    """The last lines, each with whether the cause was read from it."""
    told = {shown.text for shown in found.first.shown_by if shown.source == "log"}
    return [(clean(line, 2000), line.strip() in told) for line in found.last_lines]


def _sure(finding: Finding) -> str:
    """How many kinds of evidence agree, in words."""
    kinds = {shown.source for shown in finding.shown_by}
    return _("%(count)d kinds of evidence agree") % {"count": len(kinds)} if len(kinds) > 1 else ""


def _shown(shown: Shown) -> dict[str, Any]:
    words = {
        "place": _("what the portal met"), "condition": _("condition"), "event": _("event"), "scheduler": _("scheduler"),
        "waiting": _("state"), "ended": _("how it ended"), "log": _("log line"), "replica": _("state"),
    }
    return {"source": words.get(shown.source, shown.source), "row": shown, "text": clean(shown.text, 1000)}


def _passed(seen: Evidence) -> list[dict[str, Any]]:
    """What it is not: conditions that hold."""
    return [{"what": f"{one.type} {one.object}", "since": one.since} for one in seen.conditions
            if one.status in ("True", "Bound") and one.type != "DiskPressure"][:EVENTS]


def _as_text(name: str, found: Explanation) -> str:
    """For a message to a colleague."""
    shown = [f"- {one.source} {one.subject}: {clean(one.text, 1000)}" for one in found.first.shown_by]
    return "\n".join([f"{name}: {found.sentence}", found.next_step, *shown, *found.last_lines])
