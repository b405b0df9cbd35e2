"""The page of one endpoint, and its parts that an open page asks for again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from clusters.models import Engine
from clusters.states import AWS_KINDS, ClusterKind
from endpoints import services
from endpoints.autoscale import sentences
from endpoints.models import Endpoint, Event, Revision, Route
from endpoints.states import NEEDS_PERSON, Status, Wish
from portal.tenancy.errors import NotFound, PortalError
from portal.tenancy.roles import Verb
from portal.tenancy.text import clean

from ..visit import Visit, page
from . import undo, words
from .calling import call_context
from .figures import figures
from .replicas import of_engines, of_evidence
from .rows import row_of
from .timeline import is_moving, timeline
from .watching import mark_now

EVENTS, REVISIONS, DRIFTS, OF_THE_WISH = 8, 6, 20, 200
NOT_AS_WISHED = NEEDS_PERSON | {Status.DEGRADED, Status.PENDING, Status.CREATING, Status.UPDATING}


@require_safe
@page
def endpoint(visit: Visit, uid: UUID) -> HttpResponse:
    return answer(visit, row_of(visit, uid))


def answer(visit: Visit, row: Endpoint, *, error: PortalError | None = None) -> HttpResponse:
    """The whole page; `error` is why what was asked for was refused."""
    context = {
        **head(visit, row), **replicas(row, ask=False), **events(row), **call_context(visit, row), **figures(row),
        "revisions": revisions(row), "routes": list(Route.objects.leading_to(row)), "undo": undo.offered(visit, row),
        "scaling": sentences(row.autoscale), "notes": [clean(note, 1000) for note in row.notes], "error": error,
    }
    return visit.render("web/endpoints/endpoint.html", area="endpoints", status=error.status if error else 200, **context)


@require_safe
@page
def part(visit: Visit, uid: UUID, name: str) -> HttpResponse:
    """A piece of the page by its name; without script's header it comes in a frame, to be read alone."""
    row = row_of(visit, uid)
    makers = {"head": lambda: head(visit, row), "replicas": lambda: replicas(row, ask=True), "events": lambda: events(row)}
    if name not in makers:
        raise NotFound()
    template = f"web/endpoints/{name}.html" if visit.is_partial else "web/endpoints/part_page.html"
    context = {"row": row, "title": words.title(row), **makers[name]()}
    return visit.render(template, area="endpoints", part=f"web/endpoints/{name}.html", **context)


def head(visit: Visit, row: Endpoint) -> dict[str, Any]:
    """State, facts, phases and what may be done."""
    now = timezone.now()
    mine = Event.objects.filter(endpoint=row, generation=row.generation).order_by("pk")[:OF_THE_WISH]
    engines, inside = _engines(row), Visit(visit.request, visit.user, row.workspace)
    return {
        "row": row, "title": words.title(row), "cause": words.cause(row), "trouble": words.trouble(row),
        "size": words.size(row), "mark": mark_now(row), "line": timeline(row, list(mine), engines, now),
        "moving": is_moving(row), "asks_why": row.status in NOT_AS_WISHED, "stopped": row.wish == Wish.STOPPED,
        "going": row.wish == Wish.DELETED, "serving": row.is_serving and row.wish == Wish.RUNNING,
        "may_deploy": visit.may(Verb.DEPLOY) and not row.is_owned_by_cluster, "may_use": visit.may(Verb.USE),
        "edit_url": visit.url("endpoint-edit", row.uid), "drift": _drift(row),
        "playground_url": inside.url("playground"), "loadtests_url": inside.url("loadtests"),
        "model_url": visit.url("model", row.wanted.profile.model.slug) if row.wanted else "",
    }


def _drift(row: Endpoint) -> list[dict[str, str]]:
    """The first fields that others changed, their texts cleaned."""
    return [{name: "–" if change.get(name) in (None, "") else clean(change[name], 300)
             for name in ("object", "path", "before", "after", "manager")} for change in row.drift[:DRIFTS]]


def _engines(row: Endpoint) -> list[Engine]:
    if row.cluster.kind != ClusterKind.HOSTS:
        return []
    rows = Engine.objects.filter(endpoint_uid=row.uid).select_related("node").defer("log", "previous_log", "launch")
    return list(rows.order_by("index", "-revision")[:64])


def replicas(row: Endpoint, *, ask: bool) -> dict[str, Any]:
    """Engines as their agents reported them; of other places only where `ask` says that they may be asked."""
    if row.cluster.kind == ClusterKind.HOSTS:
        return {"row": row, "replicas": of_engines(_engines(row)), "later": False}
    if not ask:
        return {"row": row, "replicas": [], "later": True}
    seen = services.evidence(row, deep=False)
    refusal = "" if seen.replicas else next((clean(one.message, 300) for one in seen.troubles), "")
    measured = services.measures(row) if row.cluster.kind in AWS_KINDS else None
    return {"row": row, "replicas": of_evidence(seen), "later": False, "refusal": refusal, "looked_at": seen.looked_at,
            "measured": measured}


def events(row: Endpoint) -> dict[str, Any]:
    """The newest events, with one more to know whether there are others."""
    found = list(Event.objects.filter(endpoint=row).exclude(kind="log").order_by("-pk")[:EVENTS + 1])
    return {"row": row, "events": [shown(event) for event in found[:EVENTS]], "more_events": len(found) > EVENTS}


def shown(event: Event) -> dict[str, Any]:
    """An event for a list, its texts cleaned."""
    label = Status(event.now).label if event.now in Status.values else event.kind
    return {"event": event, "message": clean(event.message, 1000) or label, "who": clean(event.actor_label, 200),
            "state": "pending" if event.kind == "wish" else event.now.lower(),
            "label": _("asked") if event.kind == "wish" else label}


def revisions(row: Endpoint, most: int = REVISIONS) -> list[Revision]:
    found = list(Revision.objects.filter(endpoint=row).select_related("profile__model", "created_by").defer("spec")[:most])
    for one in found:
        one.note, one.failure = clean(one.note, 200), clean(one.failure, 1000)
    return found


