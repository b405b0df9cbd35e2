"""The page of one endpoint: state, replicas with their last lines, events, revisions, how to call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clusters.models import Engine
from clusters.states import AWS_KINDS, HEARTBEAT, ClusterKind, Phase
from clusters.states import COLOURS as PHASE_COLOURS
from endpoints import services
from endpoints.models import Endpoint, Event, Revision, Route
from endpoints.states import COLOURS, Status
from endpoints.targets.measuring import CONCURRENT, FIRST_BYTE, INVOCATIONS, LATENCY
from models_catalog.choices import Task
from portal.tenancy.adminkit import sheet, status_badge
from portal.tenancy.text import clean

from . import cells, why
from .scaling import scaling_of

if TYPE_CHECKING:
    from .page import EndpointAdmin

EVENTS = 30
REVISIONS = 20
LOG_CHARS = 6000
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    Task.EMBEDDING: ("/v1/embeddings", {"input": ["A man is eating food.", "Somebody eats a meal."]}),
    Task.RERANK: ("/v1/rerank", {"query": "food", "documents": ["A man is eating.", "The sky is blue."]}),
}
CHAT = ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 40})


def context(row: Endpoint) -> dict[str, Any]:
    """What the templates around the form show. The place itself is asked only by the open page, not by its first answer."""
    revisions = list(Revision.objects.filter(endpoint=row).select_related("profile__model", "created_by")[:REVISIONS])
    for revision in revisions:
        revision.note, revision.failure = clean(revision.note, 200), clean(revision.failure, 1000)
    return {"endpoint": row, "parts": parts(row, ask=False), "revisions": revisions, "curl": curl(row, revisions),
            "scaling": scaling_of(row), "routes": list(Route.objects.leading_to(row))}


def parts(row: Any, *, ask: bool = True) -> dict[str, SafeString]:
    """The pieces that are fetched again while the page is open. Without `ask` no place outside is called."""
    return {
        "head": sheet("portal/admin/endpoint_status.html", row=row, badge=cells.badge(row, big=True),
                      replicas=cells.replicas(row), revision=cells.revision(row), cause=clean(row.message, 1000),
                      trouble=clean(row.last_error, 1000), role=COLOURS[row.status], settled=cells.is_settled(row),
                      contested=row.is_contested),
        "replicas": _replicas(row, ask=ask),
        "events": sheet("portal/admin/endpoint_events.html", events=_events(row), most=EVENTS),
        **({"measures": _measures(row, ask=ask)} if row.cluster.kind in AWS_KINDS else {}),
    }


def _measures(row: Endpoint, *, ask: bool) -> SafeString:
    """The four figures of document 003, as the place keeps them."""
    found = services.measures(row) if ask else None
    if found is None:
        return sheet("portal/admin/measures.html", later=True)
    words = {INVOCATIONS: (_("calls"), ""), LATENCY: (_("time of a call"), "ms"), FIRST_BYTE: (_("to the first byte"), "ms"),
             CONCURRENT: (_("running now"), "")}
    figures = [(name, label, None if (value := found.values.get(name)) is None else f"{value:,.0f}", unit)
               for name, (label, unit) in words.items()]
    return sheet("portal/admin/measures.html", figures=figures, measured=found)


def _replicas(row: Endpoint, *, ask: bool) -> SafeString:
    """Engines on hosts as their agents reported them; pods of a cluster as it shows them now."""
    if row.cluster.kind == ClusterKind.HOSTS:
        return sheet("portal/admin/endpoint_replicas.html", engines=_engines(row), endpoint=row)
    if not ask:
        return sheet("portal/admin/pods_later.html", endpoint=row)
    seen = services.evidence(row, deep=False)
    refusal = "" if seen.replicas else next((clean(one.message, 300) for one in seen.troubles), "")
    return sheet("portal/admin/pods.html", replicas=why.replicas(seen), endpoint=row, refusal=refusal)


def _engines(row: Endpoint) -> list[dict[str, Any]]:
    now = timezone.now()
    found = Engine.objects.filter(endpoint_uid=row.uid).select_related("node").order_by("index", "-revision")[:64]
    return [{
        "row": engine, "where": clean(engine.node.name, 253), "message": clean(engine.message, 1000),
        "log": clean(engine.log, LOG_CHARS),
        "previous": clean(engine.previous_log, LOG_CHARS),
        "badge": status_badge(
            engine.get_phase_display(), PHASE_COLOURS.get(engine.phase, "bad"), seen=engine.reported_at,
            stale=engine.phase != Phase.ASSIGNED and (engine.reported_at is None or now - engine.reported_at > 3 * HEARTBEAT)),
    } for engine in found]


def _events(row: Endpoint) -> list[dict[str, Any]]:
    found = Event.objects.filter(endpoint=row).order_by("-id")[:EVENTS]
    return [{"row": event, "message": clean(event.message, 1000), "who": clean(event.actor_label, 200),
             "badge": _event_badge(event)} for event in found]


def _event_badge(event: Event) -> SafeString:
    if event.kind == "wish":
        return status_badge(_("asked"), "mean", state="pending")
    label = Status(event.now).label if event.now in Status.values else event.kind
    return status_badge(label, COLOURS.get(event.now, "idle"), state=event.now)


def curl(row: Endpoint, revisions: list[Revision]) -> str:
    """A call that works as it stands, once $PORTAL_API_KEY holds a key; no key is written here."""
    task = next((revision.spec.get("task") for revision in revisions), "")
    where, body = CALLS.get(task or "", CHAT)
    text = json.dumps({"model": row.public_name, **body})
    return (f"curl {settings.PORTAL_URL}{where} \\\n  -H \"Authorization: Bearer $PORTAL_API_KEY\" \\\n"
            f"  -H \"Content-Type: application/json\" \\\n  -d '{text}'")


def compare(page: EndpointAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Two revisions side by side: ``?from=1&to=2``; by default the one in service and the one wanted."""
    if not page.has_view_or_change_permission(request):
        raise PermissionDenied
    row = page.get_queryset(request).filter(pk=pk).first()
    if row is None:
        raise Http404
    numbers = [_number(request.GET.get("from"), row.serving_number), _number(request.GET.get("to"), row.wanted_number)]
    found = {revision.number: revision for revision in Revision.objects.filter(endpoint=row, number__in=numbers)}
    if set(numbers) - set(found):
        raise Http404
    was, will = (flat(found[number].spec) for number in numbers)
    lines = [(name, was.get(name, ""), will.get(name, "")) for name in sorted({*was, *will}) if was.get(name) != will.get(name)]
    title = _("%(name)s: r%(was)d and r%(will)d") % {"name": row.name, "was": numbers[0], "will": numbers[1]}
    return TemplateResponse(request, "portal/admin/compare.html", {
        **page.admin_site.each_context(request), "opts": page.opts, "title": title, "lines": lines, "endpoint": row})


def _number(text: str | None, otherwise: int | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else otherwise or 1


def flat(spec: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names with one line of text each."""
    if not isinstance(spec, dict):
        return {prefix: spec if isinstance(spec, str) else json.dumps(spec, ensure_ascii=False)}
    lines: dict[str, str] = {}
    for name, value in spec.items():
        lines |= flat(value, f"{prefix}.{name}" if prefix else str(name))
    return lines
