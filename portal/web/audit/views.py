from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.tenancy.audit import HIDDEN
from portal.tenancy.errors import Invalid
from portal.tenancy.models import AuditEntry
from portal.tenancy.pagination import page_of
from portal.tenancy.roles import Verb

from ..lists.address import page_asked, query_with
from ..lists.spans import TITLES
from ..lists.tables import Cell, csv_answer
from ..visit import Visit, page
from .rows import Asked, Line, entries_of, lines_of, read
from .words import VERBS, kinds

MOST_LINES = 5000  # of a table to take away
HEAD = ("at", "who", "workspace", "did", "kind", "object", "name", "before", "after", "request")


@require_safe
@page
def audit(visit: Visit) -> HttpResponse:
    """The newest first. Filters are in the address: `who`, `did`, `kind`, `object`, `span` (`from`, `to`)."""
    try:
        wanted, error = read(visit), None
    except Invalid as refused:
        wanted, error = Asked("", "", "", "", None), refused
    found = page_of(entries_of(visit, wanted).select_related("workspace"), page_asked(visit.request))
    lines = list(lines_of(found.items))
    request = visit.request
    return visit.render(
        "web/audit/audit.html", area="audit", status=error.status if error else 200, error=error, lines=lines,
        title=_title(lines, is_filtered=bool(wanted.filters() or wanted.span)), wanted=wanted,
        sees_all=visit.may(Verb.MANAGE), verbs=sorted(VERBS.items(), key=lambda pair: str(pair[1])),
        kinds=sorted(kinds().items(), key=lambda pair: pair[1]), spans=TITLES.items(), most=MOST_LINES,
        filters=_filters(visit, wanted), file=visit.url("audit-table") + query_with(request),
        older=query_with(request, cursor=found.next) if found.next else "",
        newest=query_with(request) if "cursor" in request.GET else "")


def _title(lines: list[Line], *, is_filtered: bool) -> str:
    if not lines:
        return _("Nothing was changed like this") if is_filtered else _("Nothing was changed yet")
    if is_filtered:
        return _("Who changed what, narrowed")
    entry = lines[0].entry
    return _("The last change: %(who)s %(did)s %(what)s") % {
        "who": entry.actor_label, "did": lines[0].did, "what": entry.object_label}


def _filters(visit: Visit, wanted: Asked) -> list[tuple[str, str]]:
    """What narrows the list, each with the address without it."""
    request, names = visit.request, kinds()
    shown = {"did": str(VERBS.get(wanted.did, wanted.did)), "kind": names.get(wanted.kind, wanted.kind)}
    chips = [(shown.get(name, value), query_with(request, **{name: None})) for name, value in wanted.filters().items()]
    if wanted.span is not None:
        chips.append((wanted.span.title, query_with(request, **{"span": None, "from": None, "to": None})))
    return chips


@require_safe
@page
def table(visit: Visit) -> HttpResponse:
    """The newest entries with the same filters, as CSV. Raises Invalid for a span that is none."""
    rows = entries_of(visit, read(visit)).select_related("workspace").order_by("-pk")[:MOST_LINES]
    name = f"audit-{visit.workspace.slug if visit.workspace else 'all'}"
    return csv_answer(name, HEAD, map(_cells, rows.iterator(chunk_size=500)))


def _cells(entry: AuditEntry) -> list[Cell]:
    return [entry.at.isoformat(timespec="seconds"), entry.actor_label, entry.workspace.slug if entry.workspace else "",
            entry.verb, entry.kind, entry.object_uid, entry.object_label, _json(entry.before), _json(entry.after),
            entry.request_id]


def _json(values: dict[str, Any]) -> str:
    kept = {name: value for name, value in values.items() if name not in HIDDEN}
    return json.dumps(kept, ensure_ascii=False) if kept else ""
