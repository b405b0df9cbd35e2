"""What a person asks of a place now, whatever failed before. Not inside a transaction."""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters.drivers import aws
from clusters.drivers.kube import forget
from clusters.models import AwsPlace, Cluster, KubernetesAccess
from clusters.states import ClusterKind, Reach
from portal.tenancy.actor import Actor
from portal.tenancy.errors import Conflict, Unavailable

from .aws_places.asking import side_of
from .aws_places.looks import look_at_place
from .aws_places.sagemaker import check_sagemaker
from .check import Check, check_access
from .connect import access_of
from .inventory_kube import refresh_inventory


def check_place(actor: Actor, place: Cluster) -> Check:
    """Test the connection; what is wrong is in the answer. Raises NotAllowed, Invalid (no API), Conflict."""
    actor.require_operator()
    if place.kind == ClusterKind.SAGEMAKER:
        return _check_sagemaker(side_of(place))
    _begin(place)
    side = _ask_aws(place)
    if side is not None and side.reach not in (Reach.OK, Reach.FORBIDDEN):
        return Check(Reach(side.reach), side.message)
    return check_access(place)


def _check_sagemaker(side: AwsPlace) -> Check:
    aws.forget(side.account)
    return check_sagemaker(side)


def refresh_place(actor: Actor, place: Cluster) -> None:
    """Look at the nodes again. Raises NotAllowed, Invalid, Conflict (somebody is just doing so), Unavailable."""
    actor.require_operator()
    if place.kind == ClusterKind.SAGEMAKER:
        _require_heard(_asked(side_of(place)))
        return
    _begin(place)
    side = _ask_aws(place)
    if not refresh_inventory(place):
        raise Conflict(_("Somebody is looking at this cluster just now. Try again in a moment."), code="busy")
    if side is not None:
        _require_heard(side)
    _require_heard(access_of(place))


def _begin(place: Cluster) -> None:
    """Breaker and connections begin anew: what failed before is no reason not to try now."""
    if not access_of(place).pk:
        raise Conflict(_("This place is not connected yet."), code="not_connected")
    forget(place)


def _ask_aws(place: Cluster) -> AwsPlace | None:
    """What AWS says of a HyperPod cluster now, and with it where its Kubernetes API is; None for other clusters."""
    side = AwsPlace.objects.filter(cluster=place).select_related("account", "cluster").first()
    return _asked(side) if side is not None else None


def _asked(side: AwsPlace) -> AwsPlace:
    aws.forget(side.account)
    if not look_at_place(side):
        raise Conflict(_("Somebody is looking at this place just now. Try again in a moment."), code="busy")
    return side


def _require_heard(row: AwsPlace | KubernetesAccess) -> None:
    if row.reach not in (Reach.OK, Reach.FORBIDDEN):
        raise Unavailable(f"{row.get_reach_display()}: {row.message}", code="cluster_unavailable")
