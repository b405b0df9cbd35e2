"""Which HyperPod clusters an account has in a region, and which of them can become places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from clusters import hyperpod
from clusters.drivers.aws import Aws, AwsError, aws_for
from clusters.hyperpod import Described
from clusters.models import AwsAccount, AwsPlace
from portal.tenancy.actor import Actor

from .asking import checked_region, in_words

AT_ONCE = 8   # descriptions asked side by side: AWS throttles an account that asks faster
A_PAGE = 100  # the most that AWS gives


@dataclass(frozen=True)
class Found:
    """One cluster. `place` names the place that it is already; `why_not` says why it can't be brought in."""

    cluster: Described
    place: str = ""
    why_not: str = ""

    @property
    def can_import(self) -> bool:
        return not (self.place or self.why_not)

    @property
    def note(self) -> str:
        """What to know of one that can be brought in: why nothing can be deployed to it yet."""
        return hyperpod.why_not_deployable(self.cluster.status, self.cluster.message) if self.can_import else ""


def discover(actor: Actor, account: AwsAccount, region: str = "") -> list[Found]:
    """All clusters of the account in the region, by name. Not inside a transaction.

    Raises NotAllowed, Invalid (`region`), Conflict where AWS refuses, Unavailable where it can't be asked.
    """
    actor.require_operator()
    with in_words():
        aws = aws_for(account, checked_region(region, account))
        listed = list(aws.pages("sagemaker", "list_clusters", "ClusterSummaries", MaxResults=A_PAGE))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        described = list(pool.map(lambda one: _described(aws, one), listed))
    places = _places(found.arn for found, _problem in described)
    return sorted((Found(found, places.get(found.arn, ""), problem or hyperpod.why_not_importable(found))
                   for found, problem in described), key=lambda one: one.cluster.name)


def _described(aws: Aws, summary: Mapping[str, Any]) -> tuple[Described, str]:
    """The cluster, or what the list says of it and why there is no more; one that can't be read hides no other."""
    try:
        return hyperpod.described(aws.call("sagemaker", "describe_cluster", ClusterName=summary["ClusterArn"])), ""
    except AwsError as error:
        return hyperpod.described(summary), _("AWS does not describe it: %(message)s") % {"message": error.message}


def _places(arns: Iterable[str]) -> dict[str, str]:
    rows = AwsPlace.objects.filter(hyperpod_arn__in=list(arns)).values_list("hyperpod_arn", "cluster__name")
    return dict(rows)
