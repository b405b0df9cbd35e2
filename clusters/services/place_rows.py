"""The row of a place, whatever kind it is."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from clusters.models import AwsAccount, AwsPlace, Cluster
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid

AUDITED = ("name", "kind", "workspace", "description", "paused")


@retry_tx
def put_place(actor: Actor, row: Cluster) -> Cluster:
    """Create or change a place. Its kind never changes. Raises NotAllowed, Invalid with the field, Conflict."""
    actor.require_operator()
    old = Cluster.objects.filter(pk=row.pk).first() if row.pk else None
    if old is not None and (old.kind, old.name) != (row.kind, row.name):
        raise Invalid(_("The name and the kind of a place can't be changed."), field="name")
    if old is not None and row.workspace_id not in (None, old.workspace_id):
        _require_no_strangers(row)
    if old is not None and row.workspace_id != old.workspace_id:
        for side in AwsPlace.objects.filter(cluster=row).select_related("account"):
            require_usable(side.account, row, field="workspace")
    try:
        row.clean_fields()
        with transaction.atomic():
            row.save()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error
    except IntegrityError as error:
        raise Conflict(_("There is already a place with this name."), field="name") from error
    audit.record(actor, "change" if old else "create", row, workspace=row.workspace,
                 before=audit.snapshot(old, AUDITED) if old else None, after=audit.snapshot(row, AUDITED))
    return row


def require_usable(account: AwsAccount, row: Cluster, *, field: str = "account") -> None:
    """A workspace's own AWS account serves this workspace's places only. Raises Invalid."""
    if account.workspace_id is not None and account.workspace_id != row.workspace_id:
        raise Invalid(_("This AWS account belongs to another workspace than the place."), field=field)


def endpoints_of(row: Cluster) -> Any:
    """The endpoints of a place, which a room above knows; Django's reverse relation reaches them."""
    return row.endpoints.all()


def _require_no_strangers(row: Cluster) -> None:
    if endpoints_of(row).exclude(workspace=row.workspace_id).exists():
        raise Conflict(_("Other workspaces have endpoints here."), code="in_use", field="workspace")
