"""Whether something new may go to a place, by what AWS last said of it. Asks nobody."""

from __future__ import annotations

from clusters import hyperpod
from clusters.models import AwsPlace, Cluster
from clusters.states import ClusterKind
from portal.tenancy.errors import Invalid


def why_not_deployable(place: Cluster) -> str:
    """Why nothing new may go there, in a sentence for a form; "" where it may.

    A HyperPod cluster that was connected by a kubeconfig alone has no state in AWS that the portal knows.
    """
    side = _side_of(place)
    if place.kind != ClusterKind.HYPERPOD or side is None:
        return ""
    return hyperpod.why_not_deployable(side.status, side.status_message)


def require_deployable(place: Cluster) -> None:
    """Raise Invalid (`cluster`) with the reason where a HyperPod cluster is not InService."""
    if reason := why_not_deployable(place):
        raise Invalid(reason, field="cluster")


def _side_of(place: Cluster) -> AwsPlace | None:
    """As it came with the row, or by one query."""
    return getattr(place, "aws", None)
