"""The regular look at AWS: what it says of a HyperPod cluster and its machines, and whether SageMaker can be reached."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from clusters import hyperpod
from clusters.drivers.aws import Aws, AwsError, AwsProblem
from clusters.hyperpod import Described
from clusters.models import AwsPlace, Cluster
from clusters.states import ClusterKind, Reach
from portal.tenancy.actor import PORTAL
from portal.tenancy.db import retry_tx
from portal.tenancy.queue import after_commit
from portal.tenancy.text import clean

from .asking import aws_of, named, reach_of
from .eks import describe_eks, follow_eks
from .machines import write_machines

LOOK = "clusters.tasks.look_at_aws_place"
LOOK_LEASE = timedelta(seconds=120)  # who dies on the way is followed after this long
A_PAGE = 100


def look_at_all() -> int:
    """Ring the bell for each place in AWS, so that a slow one holds no other up; how many places."""
    pks = list(AwsPlace.objects.values_list("pk", flat=True))
    for pk in pks:
        after_commit(LOOK, pk)
    return len(pks)


def look_at_place(side: AwsPlace) -> bool:
    """Ask AWS and keep what it says; False where another worker is just doing so. Not inside a transaction.

    Never raises for what AWS does: the row says how the look ended, and what was found before stays.
    """
    if not _begin(side):
        return False
    failure: AwsError | None = None
    try:
        aws = aws_of(side)
        if side.cluster.kind == ClusterKind.HYPERPOD:
            _look_at_hyperpod(aws, side)
        else:
            aws.call("sagemaker", "list_endpoints", MaxResults=1)
    except AwsError as error:
        failure = error
    finally:
        _end(side)
    note_aws(side, failure)
    return True


def _look_at_hyperpod(aws: Aws, side: AwsPlace) -> None:
    """Each part is written before the next is asked: a right that is missing for one hides no other. Raises AwsError."""
    try:
        found = hyperpod.described(aws.call("sagemaker", "describe_cluster", ClusterName=named(side)))
    except AwsError as error:
        if error.problem is AwsProblem.NOT_FOUND:
            _write(side, status=hyperpod.GONE, status_message=clean(error.message, 1000))
        raise
    _write(side, **values_of(found))
    if found.eks_name:
        follow_eks(PORTAL, side.cluster, describe_eks(side.account, found))
    summaries = list(aws.pages("sagemaker", "list_cluster_nodes", "ClusterNodeSummaries", ClusterName=named(side),
                               MaxResults=A_PAGE))
    write_machines(side.cluster, hyperpod.machines(summaries), whole=bool(summaries) or not found.instances)


def values_of(found: Described) -> dict[str, Any]:
    """The columns of an `AwsPlace` that AWS fills."""
    return {"hyperpod_arn": found.arn, "hyperpod_name": found.name, "eks_name": found.eks_name[:100],
            "status": found.status, "status_message": found.message, "instance_groups": found.groups,
            "features": found.features}


@retry_tx
def _write(side: AwsPlace, **values: Any) -> None:
    new = {name: value for name, value in values.items() if getattr(side, name) != value}
    if new:
        AwsPlace.objects.filter(pk=side.pk).update(**new)
        for name, value in new.items():
            setattr(side, name, value)


@retry_tx
def _begin(side: AwsPlace) -> bool:
    free = Q(look_until=None) | Q(look_until__lt=Now())
    return bool(AwsPlace.objects.filter(free, pk=side.pk).update(look_until=Now() + LOOK_LEASE))


@retry_tx
def _end(side: AwsPlace) -> None:
    AwsPlace.objects.filter(pk=side.pk).update(look_until=None)


@retry_tx
def note_aws(side: AwsPlace, error: AwsError | None) -> None:
    """Keep how the look ended; one that failed leaves the time of the last good one, so that its age shows."""
    reach = reach_of(error)
    values: dict[str, Any] = {"reach": reach, "message": clean(error.message, 500) if error else "",
                              "reach_since": Case(When(reach=Value(reach), then=F("reach_since")), default=Now())}
    if error is None:
        values["looked_at"] = Now()
        # Of a cluster the inventory says when it was seen.
        Cluster.objects.filter(pk=side.cluster_id, kind=ClusterKind.SAGEMAKER).update(seen_at=Now())
    AwsPlace.objects.filter(pk=side.pk).update(**values)
    side.reach, side.message = Reach(reach), values["message"]
