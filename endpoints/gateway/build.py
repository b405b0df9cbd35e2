"""Rows of the database become routes and rules: pure, and only where a row has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from endpoints.models import CanaryState, TargetRole
from endpoints.token_prices import Priced, TokenPrices

from .snapshot import Address, Price, Route, Rule, Target, Way

ENDPOINT_FIELDS = ("id", "workspace_id", "public_name", "status", "message", "created_at", "affinity")
ROUTE_FIELDS = ("id", "workspace_id", "public_name", "created_at", "is_sticky", "canary__endpoint_id", "canary__percent",
                "canary__state")
TARGET_FIELDS = ("route_id", "endpoint_id", "role", "weight")
RULE_FIELDS = ("id", "workspace_id", "member_id", "key_id", "model_name", "requests_per_minute", "tokens_per_minute",
               "concurrent_requests", "tokens_per_month", "money_per_month")
PRICED_FIELDS = ("id", "workspace_id", "public_name", "cluster_id", "wanted__profile__model_id")
MICRO = 1_000_000
Routes = dict[int, dict[str, Route]]


@dataclass(frozen=True, slots=True)
class End:
    """An endpoint that should run, as a target, with what its own name's route needs."""

    workspace_id: int
    created: int
    target: Target


def ends_of(rows: Iterable[tuple[Any, ...]], behind: Mapping[int, list[Address]],
            prices: Mapping[int, Price]) -> dict[int, End]:
    found = {}
    for pk, workspace_id, name, status, message, created_at, affinity in rows:
        target = Target(pk, name, status, message, tuple(behind.get(pk, ())), affinity, prices.get(pk))
        found[pk] = End(workspace_id, int(created_at.timestamp()), target)
    return found


def prices_of(rows: Iterable[tuple[Any, ...]], priced: Iterable[tuple[Any, ...]]) -> dict[int, Price]:
    """What the endpoints' tokens cost, by their ids; `rows` have PRICE_FIELDS, `priced` PRICED_FIELDS."""
    prices, found = TokenPrices(rows), {}
    for pk, *what in priced:
        amounts = prices.of(Priced(*what))
        if amounts is not None:
            prompt, completion, cached = amounts
            found[pk] = Price(float(prompt), float(completion), float(prompt if cached is None else cached))
    return found


def routes_of(ends: Mapping[int, End], rows: Iterable[tuple[Any, ...]], targets: Iterable[tuple[Any, ...]]) -> Routes:
    """Each endpoint by its own name, and the routes over them: where both have one name, the route goes first."""
    found: Routes = {}
    for end in ends.values():
        name = end.target.public_name
        found.setdefault(end.workspace_id, {})[name] = Route(0, end.workspace_id, name, end.created, (Way(end.target),))
    parts: dict[int, list[tuple[int, str, int]]] = {}
    for route_id, *part in targets:
        parts.setdefault(route_id, []).append((part[0], part[1], part[2]))
    for row in rows:
        found.setdefault(row[1], {})[row[2]] = _route(row, parts.get(row[0], []), ends)
    return found


def _route(row: tuple[Any, ...], parts: list[tuple[int, str, int]], ends: Mapping[int, End]) -> Route:
    """One route with those of its endpoints that should run; a canary counts only while it is on trial."""
    pk, workspace_id, name, created_at, is_sticky, canary_id, percent, state = row
    ids = [canary_id, *[end_id for end_id, _role, _weight in parts]]
    mine = {end_id: ends[end_id].target for end_id in ids if end_id in ends and ends[end_id].workspace_id == workspace_id}
    ways = [Way(mine[end_id], weight) for end_id, role, weight in parts if role == TargetRole.MAIN and end_id in mine]
    if state == CanaryState.RUNNING and canary_id in mine:
        ways.append(Way(mine[canary_id], percent, is_trial=True))
    standby = tuple(mine[end_id] for end_id, role, _weight in parts if role == TargetRole.FALLBACK and end_id in mine)
    return Route(pk, workspace_id, name, int(created_at.timestamp()), tuple(ways), standby, is_sticky)


def rules_of(rows: Iterable[tuple[Any, ...]]) -> dict[int, tuple[Rule, ...]]:
    found: dict[int, list[Rule]] = {}
    for pk, workspace_id, member_id, key_id, model_name, requests, tokens, concurrent, in_month, money in rows:
        micro = None if money is None else int(money * MICRO)
        found.setdefault(workspace_id, []).append(
            Rule(pk, workspace_id, member_id or 0, key_id or 0, model_name, requests, tokens, concurrent, in_month, micro))
    return {workspace_id: tuple(rules) for workspace_id, rules in found.items()}
