"""Verbs on places: operators make, change and delete them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from clusters.models import AwsPlace, Cluster, KubernetesAccess
from clusters.namespaces import workspace_namespace
from clusters.states import AWS_KINDS, KUBERNETES_KINDS, Reach
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid

from .aws_places.choices import set_up_aws
from .connect import set_up
from .place_rows import AUDITED, endpoints_of, put_place

MOST_ORPHANS = 1000  # kept in the audit


@retry_tx
def create_place(
    actor: Actor, *, kubernetes: Mapping[str, Any] | None = None, aws: Mapping[str, Any] | None = None, **values: Any,
) -> Cluster:
    """`kubernetes` is what `set_up` takes and `aws` what `set_up_aws` does: all of it is done, or nothing."""
    return _set_up(actor, put_place(actor, Cluster(**values)), kubernetes, aws)


@retry_tx
def change_place(
    actor: Actor, row: Cluster, *, kubernetes: Mapping[str, Any] | None = None, aws: Mapping[str, Any] | None = None,
    **values: Any,
) -> Cluster:
    for name, value in values.items():
        setattr(row, name, value)
    return _set_up(actor, put_place(actor, row), kubernetes, aws)


def _set_up(
    actor: Actor, row: Cluster, kubernetes: Mapping[str, Any] | None, aws: Mapping[str, Any] | None,
) -> Cluster:
    if kubernetes is not None:
        set_up(actor, row, kubernetes)
    if aws is not None:
        set_up_aws(actor, row, aws)
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
    used = endpoints_of(row).exists() or _copies(row).exists()
    return not used and (row.kind in KUBERNETES_KINDS or not row.nodes.exists())


def orphans(row: Cluster) -> list[str]:
    """What a place's endpoints are called over there, in a cluster with their namespace."""
    endpoints = endpoints_of(row).select_related("workspace").order_by("workspace__slug", "name")
    if row.kind not in KUBERNETES_KINDS:
        return [str(endpoint.external_name) for endpoint in endpoints]
    return [f"{workspace_namespace(endpoint.workspace)}/{endpoint.external_name}" for endpoint in endpoints]


@retry_tx
def forget_place(actor: Actor, row: Cluster) -> None:
    """Take a place that is gone out of the portal, with its endpoints; nothing is deleted over there.

    Raises Conflict while it can be reached: then its endpoints are deleted in order.
    """
    actor.require_operator()
    if row.kind not in KUBERNETES_KINDS | AWS_KINDS:
        raise Invalid(_("This place has no Kubernetes API."), field="kind")
    rows: Any = KubernetesAccess.objects if row.kind in KUBERNETES_KINDS else AwsPlace.objects
    if rows.filter(cluster=row, reach__in=(Reach.OK, Reach.FORBIDDEN)).exists():
        raise Conflict(_("%(name)s can be reached. Delete its endpoints, then the place.") % {"name": row.name},
                       code="in_use")
    left = orphans(row)
    endpoints_of(row).update(wanted=None, serving=None)  # they protect their revisions
    for endpoint in endpoints_of(row).select_related("workspace"):
        audit.record(actor, "forget", endpoint, workspace=endpoint.workspace, before=audit.snapshot(endpoint))
        endpoint.delete()
    audit.record(actor, "forget", row, workspace=row.workspace,
                 before={**audit.snapshot(row, AUDITED), "orphans": left[:MOST_ORPHANS]})
    row.delete()


def _copies(row: Cluster) -> Any:
    """The copies of models in a place, of a room above as well."""
    return row.copies.all()
