"""Verbs on limits, and how far each is used. docs/limits.md has the rule that they follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.gateway.build import RULE_FIELDS, rules_of
from endpoints.gateway.limits.compose import used_now
from endpoints.gateway.limits.messages import MOST, StoreAway
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.models import ApiKey, Limit, LimitKind, User, Workspace
from portal.tenancy.roles import Verb

from .alert_watch import levels_of

MICRO = 1_000_000
HIGHEST = {"tokens_per_minute": MOST, "tokens_per_month": MOST, "money_per_month": Decimal(MOST // MICRO)}
HIGHEST_COUNT = 1_000_000
# Of calls right now; the database knows the rest.
LIVE = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
SUBJECTS = ("member", "key", "model_name")


@dataclass(frozen=True)
class Use:
    """How far one quantity is used. `used` is None where nobody can tell; money is in the currency's whole units."""

    quantity: str
    used: int | Decimal | None
    limit: int | Decimal

    @property
    def share(self) -> float:
        """Percent, at most 100."""
        if not self.used:
            return 0.0
        return min(100.0, float(self.used) / float(self.limit) * 100) if self.limit else 100.0


@retry_tx
def create_limit(
    actor: Actor, workspace: Workspace, *, kind: str, member: User | None = None, key: ApiKey | None = None,
    model_name: str = "", **quantities: Any,
) -> Limit:
    """A new limit. Operators limit workspaces; whoever manages a workspace limits its members, keys and models.

    Raises NotFound, NotAllowed, Invalid with the field, Conflict where this subject has its row already.
    """
    _require(actor, workspace, kind)
    row = Limit(workspace=workspace, kind=kind, member=member, key=key, model_name=model_name)
    _fill(row, quantities)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(_("There is already a limit for this. Change that one."), field="kind") from error
    audit.record(actor, "create", row, workspace=workspace, after=audit.snapshot(row))
    return row


@retry_tx
def change_limit(actor: Actor, limit: Limit, **quantities: Any) -> Limit:
    """Change these quantities; None takes one away. Raises as `create_limit`."""
    _require(actor, limit.workspace, limit.kind)
    row = Limit.objects.select_related("workspace", "member", "key").get(pk=limit.pk)
    before = audit.snapshot(row)
    _fill(row, quantities)
    row.save()
    audit.record(actor, "change", row, workspace=row.workspace, before=before, after=audit.snapshot(row))
    return row


@retry_tx
def delete_limit(actor: Actor, limit: Limit) -> None:
    """Nothing is limited by it any more, within a second. Raises NotFound, NotAllowed."""
    _require(actor, limit.workspace, limit.kind)
    audit.record(actor, "delete", limit, workspace=limit.workspace, before=audit.snapshot(limit))
    limit.delete()


def may_change(actor: Actor, limit: Limit) -> bool:
    """Whether this actor may change or delete the limit."""
    return actor.operates if limit.kind == LimitKind.WORKSPACE else Verb.MANAGE in actor.verbs(limit.workspace)


def uses_of(limits: Iterable[Limit], *, places: bool = True) -> dict[int, list[Use]]:
    """How far each quantity of these limits is used, by the limit's key. A handful of queries, however many limits.

    Without `places` only what calls use, since counting what endpoints hold reads all of them.
    """
    rows = list(limits)
    live = _live(rows)
    counted = {(level.limit.pk, level.quantity): level.used for level in levels_of(rows, timezone.now(), places=places)}
    found: dict[int, list[Use]] = {row.pk: [] for row in rows}
    for row in rows:
        for quantity in Limit.QUANTITIES if places else Limit.CALLS:
            limit = getattr(row, quantity)
            if limit is not None:
                used = (live if quantity in LIVE else counted).get((row.pk, quantity))
                is_money = quantity == "money_per_month" and used is not None
                found[row.pk].append(Use(quantity, Decimal(used or 0) / MICRO if is_money else used, limit))
    return found


def _live(rows: list[Limit]) -> Mapping[tuple[int, str], int]:
    values = [tuple(getattr(row, name) for name in RULE_FIELDS) for row in rows]
    try:
        return used_now(rule for rules in rules_of(values).values() for rule in rules)
    except StoreAway:
        return {}


def _require(actor: Actor, workspace: Workspace, kind: str) -> None:
    actor.require(Verb.MANAGE, workspace)
    if kind == LimitKind.WORKSPACE:
        actor.require_operator()


def _fill(row: Limit, quantities: Mapping[str, Any]) -> None:
    """Raises Invalid for a value that makes no sense, and where nothing is limited."""
    for name, value in quantities.items():
        if name not in Limit.QUANTITIES:
            raise Invalid(_("This can't be changed."), field=name)
        if value is not None and value > HIGHEST.get(name, HIGHEST_COUNT):
            raise Invalid(_("This is too high; leave it empty for no limit."), field=name)
        setattr(row, name, value)
    if all(getattr(row, name) is None for name in Limit.QUANTITIES):
        raise Invalid(_("Limit at least one quantity."), field=Limit.QUANTITIES[0])
    try:
        row.clean_fields(exclude=("subject",))
        row.clean()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error
