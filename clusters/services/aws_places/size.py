"""Change how many machines an instance group of a HyperPod cluster has."""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters import hyperpod
from clusters.drivers.aws import AwsError, check_params
from clusters.models import Cluster
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.queue import after_commit

from .asking import aws_of, hyperpod_of, in_words, named, refusal
from .looks import LOOK


def resize(actor: Actor, place: Cluster, group: str, count: int) -> bool:
    """Wish `count` machines in a group; False where it has this wish already. Not inside a transaction.

    All groups are described just before and sent as they are, with the one count changed: an update takes the whole
    list. Raises NotAllowed, Invalid (`group`, `count`), Conflict where AWS refuses or the cluster is busy, Unavailable.
    """
    actor.require_operator()
    side = hyperpod_of(place)
    with in_words():
        aws = aws_of(side)
        answer = aws.call("sagemaker", "describe_cluster", ClusterName=named(side))
    _require_quiet(answer.get("ClusterStatus", ""))
    details = answer.get("InstanceGroups") or []
    params = {"ClusterName": named(side), "InstanceGroups": hyperpod.resized(details, group, count)}
    was = next(one.get("TargetCount") for one in details if one.get("InstanceGroupName") == group)
    if was == count:
        return False
    if wrong := check_params("sagemaker", "update_cluster", params):
        raise Invalid(_("The groups can't be sent back as AWS describes them: %(why)s") % {"why": "; ".join(wrong[:3])},
                      field="group")
    _note(actor, place, "resize", {group: was}, {group: count})
    try:
        aws.call("sagemaker", "update_cluster", **params)
    except AwsError as error:
        _note(actor, place, "resize refused", {}, {group: error.message})
        raise refusal(error) from error
    after_commit(LOOK, side.pk)
    return True


def _require_quiet(status: str) -> None:
    """AWS takes one update at a time (a ConflictException else); its own answer would not say of what."""
    if status != hyperpod.IN_SERVICE:
        raise Conflict(_("AWS calls the state of this cluster “%(state)s”. A group can be resized when it is InService.") % {
            "state": status}, code="busy")


@retry_tx
def _note(actor: Actor, place: Cluster, verb: str, before: dict[str, object], after: dict[str, object]) -> None:
    audit.record(actor, verb, place, workspace=place.workspace, before=before, after=after)
