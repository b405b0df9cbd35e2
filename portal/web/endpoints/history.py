"""All events, all revisions, and two revisions beside each other."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from endpoints.models import Endpoint, Event, Revision
from portal.tenancy.errors import NotFound
from portal.tenancy.pagination import page_of
from portal.tenancy.roles import Verb
from portal.tenancy.text import clean

from ..lists.address import asked, page_asked, query_with
from ..visit import Visit, page
from .detail import shown
from .rows import row_of

VALUE_CHARS = 500


@require_safe
@page
def events(visit: Visit, uid: UUID) -> HttpResponse:
    row = row_of(visit, uid)
    found = page_of(Event.objects.filter(endpoint=row), page_asked(visit.request))
    return visit.render(
        "web/endpoints/all_events.html", area="endpoints", row=row, events=[shown(event) for event in found.items],
        older=query_with(visit.request, cursor=found.next) if found.next else "",
        newest=query_with(visit.request) if "cursor" in visit.request.GET else "")


@require_safe
@page
def revisions(visit: Visit, uid: UUID) -> HttpResponse:
    row = row_of(visit, uid)
    rows = Revision.objects.filter(endpoint=row).select_related("profile__model", "created_by").defer("spec")
    found = page_of(rows, page_asked(visit.request))
    for one in found.items:
        one.note, one.failure = clean(one.note, 200), clean(one.failure, 1000)
    return visit.render(
        "web/endpoints/revisions.html", area="endpoints", row=row, revisions=found.items, may_deploy=_may(visit, row),
        older=query_with(visit.request, cursor=found.next) if found.next else "",
        newest=query_with(visit.request) if "cursor" in visit.request.GET else "")


@require_safe
@page
def compare(visit: Visit, uid: UUID) -> HttpResponse:
    """Two revisions, ?from=1&to=2; by default the one in service, or the one before the wanted one, and the wanted one."""
    row = row_of(visit, uid)
    wanted = row.wanted.number if row.wanted else 1
    before = row.serving.number if row.serving and row.serving != row.wanted else max(1, wanted - 1)
    numbers = [_number(asked(visit.request, "from"), before), _number(asked(visit.request, "to"), wanted)]
    found = {revision.number: revision for revision in Revision.objects.filter(endpoint=row, number__in=numbers)}
    if set(numbers) - set(found):
        raise NotFound(_("There is no such revision."))
    was, will = (found[number] for number in numbers)
    lines = difference(was.spec, will.spec)
    return visit.render("web/endpoints/compare.html", area="endpoints", row=row, was=was, will=will, lines=lines,
                        title=_title(row, was, will, len(lines)), may_deploy=_may(visit, row))


def _may(visit: Visit, row: Endpoint) -> bool:
    return visit.may(Verb.DEPLOY) and not row.is_owned_by_cluster


def _title(row: Endpoint, was: Revision, will: Revision, count: int) -> str:
    names = {"name": row.name, "was": was.number, "will": will.number, "n": count}
    if was == will or not count:
        return _("Revisions %(was)d and %(will)d of %(name)s are equal") % names
    return ngettext("Revisions %(was)d and %(will)d of %(name)s differ in %(n)d field",
                    "Revisions %(was)d and %(will)d of %(name)s differ in %(n)d fields", count) % names


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else otherwise


def difference(was: Any, will: Any) -> list[tuple[str, str, str]]:
    """The fields that differ: dotted name, before, after. Pure."""
    before, after = flat(was), flat(will)
    return [(name, before.get(name, ""), after.get(name, "")) for name in sorted({*before, *after})
            if before.get(name) != after.get(name)]


def flat(spec: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names with a line of text each. Pure."""
    if not isinstance(spec, dict):
        return {prefix: clean(spec if isinstance(spec, str) else json.dumps(spec, ensure_ascii=False), VALUE_CHARS)}
    lines: dict[str, str] = {}
    for name, value in spec.items():
        lines |= flat(value, f"{prefix}.{name}" if prefix else str(name))
    return lines
