"""Reading rows and asking AWS for the lenders: in their threads, never in a request."""

from __future__ import annotations

import time
from uuid import UUID

from clusters.drivers.aws import Aws, Credentials, aws_for
from clusters.drivers.eks import bearer_for
from clusters.models import AwsAccount

from ..loader import in_own_connection
from .lender import Lent

# How long keys without an end are used while nobody can say whether the account still has them.
KEYS_SECONDS = 300.0
# A bearer is good for about 15 minutes and made anew after 10: this is what it has left then.
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
    """Raises AwsError, DatabaseAway."""
    bearer = bearer_for(cluster, fresh=fresh)
    return Lent(bearer.token, bearer.renew_at.timestamp() + BEARER_SECONDS)
