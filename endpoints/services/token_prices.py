"""What tokens cost. Operators set prices; one holds until the next of the same subject, and booked calls keep theirs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.models import Cluster
from endpoints.models import TokenPrice
from models_catalog.models import CatalogModel
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace

AUDITED = ("model", "workspace", "public_name", "cluster", "prompt", "completion", "cached", "valid_from")


@retry_tx
def set_price(
    actor: Actor, *, prompt: Decimal, completion: Decimal, cached: Decimal | None = None, model: CatalogModel | None = None,
    workspace: Workspace | None = None, public_name: str = "", cluster: Cluster | None = None,
    valid_from: datetime | None = None,
) -> TokenPrice:
    """Set what a million tokens of a model, or of a workspace's name for callers, cost from a moment on. Operators only.

    The same price again changes nothing. Raises Invalid, also for a moment in the past: calls are booked at the price
    of their time.
    """
    actor.require_operator()
    now = timezone.now()
    if valid_from is not None and valid_from < now:
        raise Invalid(_("A price can't begin in the past: calls are booked at the price of their time."), field="valid_from")
    row = TokenPrice(model=model, workspace=workspace, public_name=public_name, cluster=cluster, prompt=prompt,
                     completion=completion, cached=cached, valid_from=valid_from or now)
    try:
        row.clean_fields()
        row.validate_constraints()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field="" if field.startswith("__") else field) from error
    there = _before(row)
    if there is not None and _amounts(there) == _amounts(row) and not _follows(row):
        return there
    row.save()
    row.refresh_from_db(fields=["prompt", "completion", "cached"])  # with the digits that are kept
    audit.record(actor, "set price", row, workspace=workspace, before=audit.snapshot(there, AUDITED) if there else None,
                 after=audit.snapshot(row, AUDITED))
    return row


@retry_tx
def drop_price(actor: Actor, row: TokenPrice) -> None:
    """Take a price away: the one before it holds again, or a less specific one. Operators only."""
    actor.require_operator()
    audit.record(actor, "drop price", row, workspace=row.workspace, before=audit.snapshot(row, AUDITED))
    row.delete()


def _same(row: TokenPrice) -> dict[str, object]:
    return {"model": row.model, "workspace": row.workspace, "public_name": row.public_name, "cluster": row.cluster}


def _before(row: TokenPrice) -> TokenPrice | None:
    """The price of the same subject that this one would end."""
    return TokenPrice.objects.until(row.valid_from).filter(**_same(row)).last()


def _follows(row: TokenPrice) -> bool:
    return TokenPrice.objects.filter(**_same(row), valid_from__gt=row.valid_from).exists()


def _amounts(row: TokenPrice) -> tuple[Decimal, Decimal, Decimal | None]:
    return row.prompt, row.completion, row.cached
