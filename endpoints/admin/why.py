"""“Why is it not ready”: one cause with its next step, the other candidates, and all that was seen. For every place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clusters.states import COLOURS as PHASE_COLOURS
from clusters.states import Phase
from endpoints import services
from endpoints.explaining import Condition, Evidence, Explanation, Finding, Happening, Replica, Shown
from endpoints.models import Endpoint
from endpoints.states import COLOURS
from portal.tenancy.adminkit import status_badge

from . import cells

if TYPE_CHECKING:
    from .page import EndpointAdmin

EVENTS = 40
# Waiting reasons that no time mends.
BROKEN = ("BackOff", "Error", "Err", "Invalid", "Failed", "Evicted", "OOMKilled")


def row_of(page: EndpointAdmin, request: HttpRequest, pk: int) -> Endpoint:
    """The endpoint in this person's scope; a neighbour's is as a missing one."""
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied
    found: Endpoint | None = page.get_queryset(request).select_related("cluster").filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def answer(page: EndpointAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    row = row_of(page, request, pk)
    found = services.explain(row)
    seen = found.seen
    response = TemplateResponse(request, "portal/admin/why.html", {
        **page.admin_site.each_context(request), "opts": page.opts, "title": found.sentence, "original": row, "endpoint": row,
        "badge": cells.badge(row, big=True), "role": COLOURS[row.status], "first": found.first,
        "shown": [_shown(one) for one in found.first.shown_by], "others": found.others, "sure": _sure(found.first),
        "replicas": replicas(seen), "conditions": [_condition(one) for one in seen.conditions],
        "warnings": [_event(one) for one in seen.events if one.warning][:EVENTS],
        "ordinary": [_event(one) for one in seen.events if not one.warning][:EVENTS], "lines": _lines(found), "seen": seen,
    })
    response["Cache-Control"] = "no-store"
    return response


def _lines(found: Explanation) -> list[tuple[str, bool]]:
    """The last lines, each with whether the cause was read from it."""
    told = {shown.text for shown in found.first.shown_by if shown.source == "log"}
    return [(line, line.strip() in told) for line in found.last_lines]


def _sure(finding: Finding) -> str:
    """How many kinds of evidence agree, in words."""
    kinds = {shown.source for shown in finding.shown_by}
    return _("%(count)d kinds of evidence agree") % {"count": len(kinds)} if len(kinds) > 1 else ""


def _shown(shown: Shown) -> dict[str, Any]:
    words = {
        "place": _("what the portal met"), "condition": _("condition"), "event": _("event"), "scheduler": _("scheduler"),
        "waiting": _("state"), "ended": _("how it ended"), "log": _("log line"), "replica": _("state"),
    }
    return {"source": words[shown.source], "row": shown}


def replicas(seen: Evidence) -> list[dict[str, Any]]:
    """Every replica with its badge and what it says of itself."""
    return [{"row": one, "said": one.unplaced or one.message or one.ended_because, "badge": _badge(one)}
            for one in seen.replicas]


def _badge(one: Replica) -> SafeString:
    if one.going:
        return status_badge(_("stopping"), "idle", state="stopping")
    if one.ready:
        return status_badge(_("ready"), "good", state="inservice")
    if one.phase in Phase.values:
        return status_badge(Phase(one.phase).label, PHASE_COLOURS.get(one.phase, "bad"))
    if one.unplaced:
        return status_badge(_("not placed"), "late", state="stalled")
    word = one.waiting or (one.ended if one.phase == "Failed" else "") or one.phase
    bad = any(part in word for part in BROKEN)
    return status_badge(word, "bad" if bad else "mean", state="failed" if bad else "creating")


def _condition(one: Condition) -> dict[str, Any]:
    good = one.status in ("True", "Bound") and one.type != "DiskPressure"
    return {"row": one, "badge": status_badge(one.status, "good" if good else "late" if one.is_bad else "warn")}


def _event(one: Happening) -> dict[str, Any]:
    return {"row": one, "badge": status_badge(one.reason, "warn" if one.warning else "idle",
                                              state="degraded" if one.warning else "stopped")}
