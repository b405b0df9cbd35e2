"""Reading rows and asking AWS for the lenders: in their threads, never in a request."""

from __future__ import annotations

import time
from uuid import UUID

from clusters.drivers.aws import Aws, Credentials, aws_for, eks_token
from clusters.models import AwsAccount, AwsPlace

from ..loader import in_own_connection
from .lender import Lent

# How long keys without an end are used while nobody can say whether the account still has them.
KEYS_SECONDS = 300.0
# A bearer is made anew after 10 minutes and good for 15: this is what the oldest one has left.
BEARER_SECONDS = 240.0

Account = tuple[UUID, str]  # and the region


@in_own_connection
def door_to(account: Account) -> Aws:
    """Raises AwsError, AwsAccount.DoesNotExist, DatabaseAway."""
    uid, region = account
    return aws_for(AwsAccount.objects.get(uid=uid), region)


def credentials_of(account: Account, fresh: bool) -> Lent[Credentials]:
    """Raises as `door_to`."""
    found = door_to(account).credentials(fresh=fresh)
    ends_at = found.expires_at.timestamp() if found.expires_at else time.time() + KEYS_SECONDS
    return Lent(found, ends_at)


@in_own_connection
def bearer_of(cluster: UUID, fresh: bool) -> Lent[str]:
    """Raises AwsError, AwsPlace.DoesNotExist, DatabaseAway."""
    place = AwsPlace.objects.select_related("account").get(cluster__uid=cluster)
    bearer = eks_token(aws_for(place.account, place.region), place.eks_name, fresh=fresh)
    return Lent(bearer, time.time() + BEARER_SECONDS)
