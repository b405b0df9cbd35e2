"""How often something may be tried: passwords, codes, mails (threats T48, T49).

Counted in the database, so that neither a restart nor an empty Redis forgets it. A try is noted before it is judged: of
many at once no more get through than of one after the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.utils import timezone
from django.utils.translation import ngettext

from .db import retry_tx
from .errors import TooMany
from .models import Try

KEPT = timedelta(days=1)  # No window is longer.


@dataclass(frozen=True)
class Rule:
    """At most `most` tries of `what` by `whom` in `seconds`. Both are kept as a digest only."""

    what: str
    whom: str
    most: int
    seconds: int

    @property
    def subject(self) -> str:
        return hashlib.sha256(f"{self.what}\0{self.whom}".encode()).hexdigest()


@retry_tx
def note(rules: Iterable[Rule], now: datetime | None = None) -> list[int]:
    """Note a try that all these rules allow; returns what `take_back` wants.

    Raises TooMany where one does not. A refused try is not counted: waiting helps, whoever else goes on trying.
    """
    at = now or timezone.now()
    wanted = list(rules)
    rows = [Try.objects.create(subject=rule.subject, at=at) for rule in wanted]
    waits = [_wait(rule, row, at) for rule, row in zip(wanted, rows, strict=True)]
    if any(waits):
        raise _refusal(max(waits))  # through the transaction, so that the refused try goes with it
    return [row.pk for row in rows]


def _refusal(seconds: int) -> TooMany:
    minutes = ceil(seconds / 60)
    return TooMany(ngettext(
        "Too many tries. Try again in %(minutes)d minute.", "Too many tries. Try again in %(minutes)d minutes.",
        minutes) % {"minutes": minutes}, retry_after=seconds)


def _wait(rule: Rule, mine: Try, now: datetime) -> int:
    """Seconds until the rule allows one more try; 0 where it allows this one."""
    since = now - timedelta(seconds=rule.seconds)
    earlier = Try.objects.filter(subject=rule.subject, at__gt=since).exclude(pk=mine.pk)
    blocking = earlier.order_by("-at", "-pk").values_list("at", flat=True)[rule.most - 1:rule.most]
    oldest = next(iter(blocking), None)
    return 0 if oldest is None else max(1, ceil((oldest - since).total_seconds()))


@retry_tx
def take_back(ids: Iterable[int]) -> None:
    """The noted try was a right one."""
    Try.objects.filter(pk__in=list(ids)).delete()


@retry_tx
def mark(rule: Rule, now: datetime | None = None) -> None:
    """Keep in mind that this happened; once is enough."""
    at = now or timezone.now()
    if not Try.objects.filter(subject=rule.subject).update(at=at):
        Try.objects.create(subject=rule.subject, at=at)


def has(rule: Rule, now: datetime | None = None) -> bool:
    """Whether it happened within the rule's time."""
    since = (now or timezone.now()) - timedelta(seconds=rule.seconds)
    return Try.objects.filter(subject=rule.subject, at__gt=since).exists()


def forget_old(now: datetime | None = None) -> int:
    """Drop what no rule asks for any more; how many rows went."""
    gone, _by_kind = Try.objects.filter(at__lt=(now or timezone.now()) - KEPT).delete()
    return gone
