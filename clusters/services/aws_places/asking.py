"""What asking AWS has in common here: the door of a place, and its refusals in the portal's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from clusters.drivers.aws import Aws, AwsError, AwsProblem, aws_for
from clusters.drivers.aws_places import REGION
from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import Reach
from portal.tenancy.errors import Conflict, Invalid, PortalError, Unavailable

_REACH = {AwsProblem.AUTH: Reach.AUTH_FAILED, AwsProblem.FORBIDDEN: Reach.FORBIDDEN,
          AwsProblem.UNREACHABLE: Reach.UNREACHABLE, AwsProblem.THROTTLED: Reach.UNREACHABLE}
_REFUSALS = frozenset({AwsProblem.NOT_FOUND, AwsProblem.TAKEN, AwsProblem.LIMIT, AwsProblem.INVALID})


def checked_region(text: str, account: AwsAccount) -> str:
    """The region, the account's own where none is given. Raises Invalid (`region`)."""
    region = text.strip() or account.region
    if not REGION.fullmatch(region):
        raise Invalid(_("Name an AWS region, such as us-west-2."), field="region")
    return region


def aws_of(side: AwsPlace) -> Aws:
    """The door to AWS for a place. Raises AwsError."""
    return aws_for(side.account, side.region)


def side_of(place: Cluster) -> AwsPlace:
    """The AWS side of a place, read anew with its account. Raises Conflict where it has none."""
    found = AwsPlace.objects.filter(cluster=place).select_related("account", "cluster").first()
    if found is None:
        raise Conflict(_("This place has no AWS side. Import the HyperPod cluster, or name an AWS account."),
                       code="not_connected")
    return found


def hyperpod_of(place: Cluster) -> AwsPlace:
    """The same for a HyperPod cluster. Raises Conflict."""
    found = side_of(place)
    if not found.hyperpod_name:
        raise Conflict(_("This place is no HyperPod cluster."), code="not_hyperpod")
    return found


def named(side: AwsPlace) -> str:
    """What `ClusterName` is called with: the ARN is never another cluster's, even after one is made anew."""
    return side.hyperpod_arn or side.hyperpod_name


def reach_of(error: AwsError | None) -> Reach:
    """What the outcome of a call says about the connection to AWS."""
    return Reach.OK if error is None else _REACH.get(error.problem, Reach.OK)


def refusal(error: AwsError) -> PortalError:
    """The same for a person or a program."""
    if error.problem is AwsProblem.FORBIDDEN:
        return Conflict(error.message, code="aws_refused")  # names the right already
    if error.problem in _REFUSALS:
        said = _("AWS refuses %(action)s: %(message)s") % {"action": error.action, "message": error.message}
        return Conflict(said, code="aws_refused")
    return Unavailable(error.message, code="aws_unavailable")


@contextmanager
def in_words() -> Iterator[None]:
    """AWS's refusals become the portal's: Conflict where it said no, Unavailable where asking failed."""
    try:
        yield
    except AwsError as error:
        raise refusal(error) from error
