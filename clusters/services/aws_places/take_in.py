"""Bring a HyperPod cluster in as a place: asked first, then written in one transaction."""

from __future__ import annotations

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters import hyperpod
from clusters.drivers.aws import aws_for
from clusters.hyperpod import Described
from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind, Reach
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict
from portal.tenancy.models import Workspace
from portal.tenancy.queue import after_commit
from portal.tenancy.text import slug_of

from ..place_rows import put_place, require_usable
from .asking import checked_region, in_words
from .choices import audited_side, reach_through_eks, save_side
from .eks import Eks, describe_eks
from .looks import LOOK, values_of


def import_hyperpod(
    actor: Actor, account: AwsAccount, region: str, cluster: str, *, name: str = "", workspace: Workspace | None = None,
    description: str = "",
) -> Cluster:
    """Make a place of the cluster with this name or ARN; its name is the cluster's own unless `name` is given.

    The test of the connection, the inventory and the look at its machines follow at once. Not inside a transaction.
    Raises NotAllowed, Invalid, Conflict (there already, Slurm, refused by AWS), Unavailable where AWS can't be asked.
    """
    actor.require_operator()
    region = checked_region(region, account)
    with in_words():
        found = hyperpod.described(aws_for(account, region).call("sagemaker", "describe_cluster", ClusterName=cluster))
        if why := hyperpod.why_not_importable(found):
            raise Conflict(why, code="not_importable")
        eks = describe_eks(account, found)
    place = Cluster(name=name or slug_of(found.name), kind=ClusterKind.HYPERPOD, workspace=workspace,
                    description=description)
    return _write(actor, place, AwsPlace(account=account, region=region), found, eks)


@retry_tx
def _write(actor: Actor, place: Cluster, side: AwsPlace, found: Described, eks: Eks) -> Cluster:
    # Imports by one account follow each other on every database: the second sees what the first has made.
    AwsAccount.objects.filter(pk=side.account_id).update(account_id=F("account_id"))
    there = AwsPlace.objects.filter(hyperpod_arn=found.arn).select_related("cluster").first()
    if there is not None:
        raise Conflict(_("This cluster is the place %(name)s already.") % {"name": there.cluster}, code="imported")
    require_usable(side.account, place)
    place.pk = side.pk = None  # the transaction may be repeated
    put_place(actor, place)
    now = timezone.now()
    for name, value in {**values_of(found), "reach": Reach.OK, "reach_since": now, "looked_at": now}.items():
        setattr(side, name, value)
    save_side(side, place)
    reach_through_eks(actor, place, eks.server, eks.ca)
    audit.record(actor, "import from AWS", place, workspace=place.workspace,
                 after={**audited_side(side), "arn": found.arn})
    after_commit(LOOK, side.pk)
    return place
