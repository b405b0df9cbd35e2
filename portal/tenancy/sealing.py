"""The audit's chain of digests: who changes, adds or takes away an entry behind the portal's back breaks it (threat T64).

Entries are sealed a minute after they were written at the latest, by one job and in the order in which it finds them: a
transaction can commit after a later one, and none has to wait for another because of the chain. What the database alone
can't show is a chain that was cut at its end or made anew as a whole; for that the job tells each new head to the log,
which belongs on another machine, and `manage.py audit --head` compares.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from .db import retry_tx
from .models import AuditEntry, AuditSeal

log = logging.getLogger(__name__)
BEGINNING = "0" * 64  # what the first link follows
AT_ONCE = 500
# Transactions commit out of order, but none is as slow as this many others are fast.
LATECOMERS = 20_000
SEALED_WITHIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Break:
    """An entry of which the chain tells another story; `what` is changed, missing, unsealed or out of place."""

    entry_id: int
    what: str


@dataclass(frozen=True)
class Report:
    """What a look at the whole chain found. `knows_head`: the digest that was asked for is one of the chain's."""

    sealed: int
    head: str
    breaks: list[Break]
    knows_head: bool

    @property
    def is_whole(self) -> bool:
        return self.knows_head and not self.breaks


def digest_of(previous: str, entry: AuditEntry, actor_id: int | None, workspace_id: int | None) -> str:
    """SHA-256 over the digest before and the entry as canonical JSON. The two ids as they were when it was sealed."""
    told = [previous, entry.pk, entry.at.isoformat(), actor_id, entry.actor_label, workspace_id, entry.verb, entry.kind,
            entry.object_uid, entry.object_label, entry.before, entry.after, entry.request_id]
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def seal() -> int:
    """Seal what is not sealed yet; how many entries. Where another process does the same, one of the two does it."""
    sealed = 0
    try:
        while some := _seal_some():
            sealed += some
    except IntegrityError:
        log.info("the audit is being sealed by another process")
    if sealed:
        log.info("audit sealed", extra={"entries": sealed, "head": head()})
    return sealed


def head() -> str:
    """The last link's digest."""
    return AuditSeal.objects.order_by("-pk").values_list("digest", flat=True).first() or BEGINNING


def check(known_head: str = "") -> Report:
    """Follow the whole chain. `known_head` is a digest that the log told once, "" for none."""
    previous, sealed, breaks, knows_head = BEGINNING, 0, list[Break](), known_head in ("", BEGINNING)
    for link, entry in _links():
        sealed += 1
        what = _fault(previous, link, entry)
        if what:
            breaks.append(Break(link.entry_id, what))
        previous = link.digest
        knows_head = knows_head or previous == known_head
    breaks += [Break(pk, "unsealed") for pk in _unsealed(timezone.now() - SEALED_WITHIN)]
    return Report(sealed, previous, breaks, knows_head)


@retry_tx
def _seal_some() -> int:
    newest = AuditSeal.objects.order_by("-entry_id").values_list("entry_id", flat=True).first() or 0
    entries = _without_seal(AuditEntry.objects.filter(pk__gt=newest - LATECOMERS)).order_by("pk")[:AT_ONCE]
    previous, links = head(), []
    for entry in entries:
        digest = digest_of(previous, entry, entry.actor_id, entry.workspace_id)
        links.append(AuditSeal(entry_id=entry.pk, actor_id=entry.actor_id, workspace_id=entry.workspace_id,
                               previous=previous, digest=digest))
        previous = digest
    AuditSeal.objects.bulk_create(links)
    return len(links)


def _without_seal(entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
    return entries.filter(~Exists(AuditSeal.objects.filter(entry_id=OuterRef("pk"))))


def _unsealed(before: datetime) -> Iterator[int]:
    late = _without_seal(AuditEntry.objects.filter(at__lt=before)).order_by("pk")
    return iter(late.values_list("pk", flat=True))


def _links() -> Iterator[tuple[AuditSeal, AuditEntry | None]]:
    """Every link in its order, with its entry where that is still there."""
    after = 0
    while links := list(AuditSeal.objects.filter(pk__gt=after).order_by("pk")[:AT_ONCE]):
        entries = AuditEntry.objects.in_bulk([link.entry_id for link in links])
        yield from ((link, entries.get(link.entry_id)) for link in links)
        after = links[-1].pk


def _fault(previous: str, link: AuditSeal, entry: AuditEntry | None) -> str:
    if link.previous != previous:
        return "out of place"
    if entry is None:
        return "missing"
    is_same = (digest_of(previous, entry, link.actor_id, link.workspace_id) == link.digest
               and entry.actor_id in (None, link.actor_id) and entry.workspace_id in (None, link.workspace_id))
    return "" if is_same else "changed"
