"""Which entries a person sees, narrowed by the filters of the address; and one entry as a difference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from portal.tenancy.audit import HIDDEN
from portal.tenancy.models import AuditEntry
from portal.tenancy.roles import Verb

from ..lists.address import asked
from ..lists.spans import TITLES, Span, span_of
from ..visit import Visit
from .words import VERBS, kinds

LONGEST_SHOWN = 2000  # characters of a value; the whole of it is in the table to take away
FILTERS = ("who", "did", "kind", "object")
UNTOLD = HIDDEN | {"id", "uid", "created_at", "updated_at"}  # what people need not read; the table to take away has it


@dataclass(frozen=True)
class Asked:
    """`span` is None for all that is kept."""

    who: str
    did: str
    kind: str
    object: str
    span: Span | None

    def filters(self) -> dict[str, str]:
        return {name: value for name in FILTERS if (value := getattr(self, name))}


def read(visit: Visit) -> Asked:
    """Raises Invalid for a span that is none."""
    request = visit.request
    span = span_of(request, timezone.now()) if asked(request, "span") in TITLES else None
    return Asked(**{name: asked(request, name) for name in FILTERS}, span=span)


def entries_of(visit: Visit, wanted: Asked) -> QuerySet[AuditEntry]:
    """Those of these workspaces for who manages them, for others what they did there themselves.

    Operators who look at all of them see what belongs to no workspace too.
    """
    rows = AuditEntry.objects.all()
    if visit.workspace is not None:
        rows = rows.filter(workspace=visit.workspace)
    if not visit.may(Verb.MANAGE):
        rows = rows.filter(actor=visit.user)
    return _narrowed(rows, wanted)


def _narrowed(rows: QuerySet[AuditEntry], wanted: Asked) -> QuerySet[AuditEntry]:
    if wanted.who:
        rows = rows.filter(actor_label__istartswith=wanted.who)
    if wanted.did:
        rows = rows.filter(verb=wanted.did)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.object:
        rows = rows.filter(Q(object_uid=wanted.object) | Q(object_label__istartswith=wanted.object))
    return rows if wanted.span is None else _within(rows, wanted.span)


def _within(rows: QuerySet[AuditEntry], span: Span) -> QuerySet[AuditEntry]:
    """By the ids of the span's first and last entry, since pages go by id: so no page reads what lies outside."""
    every = AuditEntry.objects.filter(at__gte=span.begin, at__lt=span.end)
    first = every.order_by("at", "pk").values_list("pk", flat=True).first()
    last = every.order_by("-at", "-pk").values_list("pk", flat=True).first()
    return rows.none() if first is None else rows.filter(pk__gte=first, pk__lte=last, at__gte=span.begin, at__lt=span.end)


@dataclass(frozen=True)
class Change:
    """A field before and after; empty where it was not there, or had no value."""

    field: str
    was: str
    will: str


@dataclass(frozen=True)
class Line:
    entry: AuditEntry
    did: str
    is_word: bool  # whether `did` is in the reader's language
    kind: str
    changes: list[Change]


def lines_of(entries: list[AuditEntry]) -> Iterator[Line]:
    names = kinds()
    for entry in entries:
        changes = [Change(name, _shown(entry.before, name), _shown(entry.after, name))
                   for name in sorted({*entry.before, *entry.after} - UNTOLD)]
        yield Line(entry, str(VERBS.get(entry.verb, entry.verb)), entry.verb in VERBS, names.get(entry.kind, entry.kind),
                   [change for change in changes if change.was or change.will])


def _shown(values: dict[str, Any], name: str) -> str:
    text = as_text(values, name)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def as_text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
