"""What the subjects of limits have used this month: of days that are over from their sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from endpoints.alerts import month_of
from endpoints.models import UsageDay, UsageHour
from portal.tenancy.models import Limit, LimitKind

from .day_sums import Held, held

LATELY = timedelta(hours=2)  # no day has sums before it has been over for as long
# Which columns of usage name what a limit of this kind is about. The sums of days have kinds of the same names.
COLUMNS = {
    LimitKind.WORKSPACE: ("workspace_id",), LimitKind.MEMBER: ("workspace_id", "member_id"),
    LimitKind.KEY: ("workspace_id", "key_id"), LimitKind.MODEL: ("workspace_id", "model_name")}
SUMS = {"tokens": Sum(F("prompt_tokens") + F("completion_tokens")), "nano": Sum("cost_nano")}
Subject = tuple[object, ...]
ByKind = Mapping[LimitKind, Sequence[Limit]]


@dataclass
class Use:
    """Tokens, 10⁻⁹ of the currency, and calls refused in the last two hours, by this limit or another."""

    tokens: int = 0
    nano: int = 0
    refused: int = 0

    @property
    def micro(self) -> int:
        """Millionths of the currency."""
        return self.nano // 1000

    def add(self, row: Mapping[str, Any]) -> None:
        self.tokens += int(row["tokens"])
        self.nano += int(row["nano"])
        self.refused += int(row.get("refused", 0))


def by_kind(limits: Iterable[Limit]) -> ByKind:
    of_kind: dict[LimitKind, list[Limit]] = defaultdict(list)
    for limit in limits:
        of_kind[LimitKind(limit.kind)].append(limit)
    return of_kind


def named_by(limit: Limit) -> Subject:
    """The values of the columns that name what the limit is about."""
    named = {LimitKind.MEMBER: limit.member_id, LimitKind.KEY: limit.key_id, LimitKind.MODEL: limit.model_name}
    kind = LimitKind(limit.kind)
    return (limit.workspace_id,) if kind == LimitKind.WORKSPACE else (limit.workspace_id, named[kind])


def used_this_month(limits: Iterable[Limit], now: datetime) -> dict[int, Use]:
    """By the limit's key. At most six queries, however many limits."""
    kinds = by_kind(limits)
    if not kinds:
        return {}
    there = held(month_of(now).date(), now.astimezone(UTC).date())
    found: dict[tuple[str, Subject], Use] = defaultdict(Use)
    for kind, row in (*_of_hours(kinds, there, now), *_of_days(kinds, there)):
        found[kind, tuple(row[column] for column in COLUMNS[kind])].add(row)
    return {limit.pk: found[kind, named_by(limit)] for kind, rows in kinds.items() for limit in rows}


def _of_hours(kinds: ByKind, there: Held, now: datetime) -> Iterator[tuple[LimitKind, dict[str, Any]]]:
    lately = Coalesce(Sum("refused", filter=Q(hour__gt=now - LATELY)), 0)
    for kind, limits in kinds.items():
        rows = UsageHour.objects.filter(there.hours, _names(kind, limits), hour__lte=now)
        yield from ((kind, row) for row in rows.order_by().values(*COLUMNS[kind]).annotate(refused=lately, **SUMS))


def _of_days(kinds: ByKind, there: Held) -> Iterator[tuple[LimitKind, dict[str, Any]]]:
    """One query. The first conditions say again what the last one does, for databases that read no index of alternatives."""
    workspaces = {limit.workspace_id for limits in kinds.values() for limit in limits}
    rows: QuerySet[Any] = UsageDay.objects.filter(workspace_id__in=workspaces, kind__in=[*kinds], day__in=sorted(there.days))
    named = Q(pk__in=())
    for kind, limits in kinds.items():
        named |= Q(kind=kind) & _names(kind, limits)
    columns = "kind", "workspace_id", "member_id", "key_id", "model_name"
    yield from ((LimitKind(row["kind"]), row) for row in rows.filter(named).order_by().values(*columns).annotate(**SUMS))


def _names(kind: LimitKind, limits: Sequence[Limit]) -> Q:
    return Q(**{f"{column}__in": {named_by(limit)[at] for limit in limits} for at, column in enumerate(COLUMNS[kind])})
