"""Verbs on places: operators make, change and delete them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from clusters.models import Cluster, KubernetesAccess
from clusters.namespaces import workspace_namespace
from clusters.states import KUBERNETES_KINDS, Reach
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid

from .connect import set_up

MOST_ORPHANS = 1000  # kept in the audit
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


@retry_tx
def create_place(actor: Actor, *, kubernetes: Mapping[str, Any] | None = None, **values: Any) -> Cluster:
    """`kubernetes` is what `set_up` takes, for places with a Kubernetes API: all of it is done, or nothing."""
    return _set_up(actor, put_place(actor, Cluster(**values)), kubernetes)


@retry_tx
def change_place(actor: Actor, row: Cluster, *, kubernetes: Mapping[str, Any] | None = None, **values: Any) -> Cluster:
    for name, value in values.items():
        setattr(row, name, value)
    return _set_up(actor, put_place(actor, row), kubernetes)


def _set_up(actor: Actor, row: Cluster, kubernetes: Mapping[str, Any] | None) -> Cluster:
    if kubernetes is not None:
        set_up(actor, row, kubernetes)
    return row


@retry_tx
def delete_place(actor: Actor, row: Cluster) -> None:
    """Delete an empty place. Raises Conflict while hosts, endpoints or copies of models belong to it."""
    actor.require_operator()
    if not is_empty(row):
        raise Conflict(_("%(name)s still has hosts, endpoints or copies of models.") % {"name": row.name}, code="not_empty")
    audit.record(actor, "delete", row, workspace=row.workspace, before=audit.snapshot(row, AUDITED))
    row.delete()


def is_empty(row: Cluster) -> bool:
    """Whether nothing would lose its home. The nodes of a Kubernetes cluster are only what was last seen there."""
    used = _endpoints(row).exists() or _copies(row).exists()
    return not used and (row.kind in KUBERNETES_KINDS or not row.nodes.exists())


def orphans(row: Cluster) -> list[str]:
    """Where the objects of a place's endpoints are in its cluster: namespace and name, one for each endpoint."""
    endpoints = _endpoints(row).select_related("workspace").order_by("workspace__slug", "name")
    return [f"{workspace_namespace(endpoint.workspace)}/{endpoint.external_name}" for endpoint in endpoints]


@retry_tx
def forget_place(actor: Actor, row: Cluster) -> None:
    """Take a Kubernetes cluster that is gone out of the portal, with its endpoints; nothing is deleted over there.

    Raises Conflict while the cluster can be reached: then its endpoints are deleted in order.
    """
    actor.require_operator()
    access = KubernetesAccess.objects.filter(cluster=row).first()
    if row.kind not in KUBERNETES_KINDS:
        raise Invalid(_("This place has no Kubernetes API."), field="kind")
    if access is not None and access.reach in (Reach.OK, Reach.FORBIDDEN):
        raise Conflict(_("%(name)s can be reached. Delete its endpoints, then the place.") % {"name": row.name},
                       code="in_use")
    left = orphans(row)
    _endpoints(row).update(wanted=None, serving=None)  # they protect their revisions
    for endpoint in _endpoints(row).select_related("workspace"):
        audit.record(actor, "forget", endpoint, workspace=endpoint.workspace, before=audit.snapshot(endpoint))
        endpoint.delete()
    audit.record(actor, "forget", row, workspace=row.workspace,
                 before={**audit.snapshot(row, AUDITED), "orphans": left[:MOST_ORPHANS]})
    row.delete()


def _require_no_strangers(row: Cluster) -> None:
    if _endpoints(row).exclude(workspace=row.workspace_id).exists():
        raise Conflict(_("Other workspaces have endpoints here."), code="in_use", field="workspace")


def _endpoints(row: Cluster) -> Any:
    """The endpoints of a place, which a room above knows; Django's reverse relation reaches them."""
    return row.endpoints.all()


def _copies(row: Cluster) -> Any:
    """The copies of models in a place, of a room above as well."""
    return row.copies.all()
