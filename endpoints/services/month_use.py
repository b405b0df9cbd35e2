"""What the subjects of limits have used this month: of days that are over from their sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import F, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from endpoints.alerts import month_of
from endpoints.models import UsageDay, UsageHour
from portal.tenancy.models import Limit, LimitKind

from .day_sums import SETTLES, Held, held

LATELY = SETTLES  # so all of it is among the hours of days without sums
# Which column of usage names what a limit of this kind is about, in its workspace: a number or a name. The sums of days
# have kinds of the same names.
NUMBERS = {LimitKind.MEMBER: "member_id", LimitKind.KEY: "key_id"}
NAMES = {LimitKind.MODEL: "model_name"}
SUMS = {"tokens": Sum(F("prompt_tokens") + F("completion_tokens")), "nano": Sum("cost_nano")}
Subject = tuple[object, ...]
Rows = QuerySet[Any, dict[str, Any]]


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
        self.refused += int(row["refused"])


def by_kind(limits: Iterable[Limit]) -> Mapping[LimitKind, Sequence[Limit]]:
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
    """By the limit's key. Two queries, however many limits."""
    kinds = by_kind(limits)
    found: dict[Subject, Use] = defaultdict(Use)
    if kinds:
        there = held(month_of(now).date(), now.astimezone(UTC).date())
        parts = [part for kind, rows in kinds.items() for part in (_hours(kind, rows, there, now), _days(kind, rows, there))]
        for row in parts[0].union(*parts[1:], all=True):
            found[row["of"], row["workspace_id"], row["number"], row["name"]].add(row)
    return {limit.pk: found[limit.kind, limit.workspace_id, limit.member_id or limit.key_id or 0, limit.model_name]
            for rows in kinds.values() for limit in rows}


def _hours(kind: LimitKind, limits: Sequence[Limit], there: Held, now: datetime) -> Rows:
    lately = Coalesce(Sum("refused", filter=Q(hour__gt=now - LATELY)), 0)
    return _sums(UsageHour.objects.filter(there.hours, hour__lte=now), kind, limits, lately)


def _days(kind: LimitKind, limits: Sequence[Limit], there: Held) -> Rows:
    return _sums(UsageDay.objects.filter(kind=kind, day__in=sorted(there.days)), kind, limits, Value(0))


def _sums(rows: QuerySet[Any], kind: LimitKind, limits: Sequence[Limit], refused: Any) -> Rows:
    number, name = NUMBERS.get(kind), NAMES.get(kind)
    columns = ["workspace_id", *filter(None, (number, name))]
    named = {f"{column}__in": {named_by(limit)[at] for limit in limits} for at, column in enumerate(columns)}
    told = {"of": Value(kind.value), "number": F(number) if number else Value(0), "name": F(name) if name else Value("")}
    apart = rows.filter(**named).order_by().annotate(**told).values("workspace_id", *told)
    summed: Rows = apart.annotate(refused=refused, **SUMS)
    return summed
