"""What rendering needs to know of one place, as frozen values: nothing here asks AWS or the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from clusters.models import AwsPlace, Cluster
from endpoints.states import Cause
from endpoints.targets.base import TargetError


@dataclass(frozen=True)
class PlaceView:
    """Where endpoints are made, and as whom and in which network they run. `account` is the row's uid in hex."""

    account: str
    region: str
    execution_role: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    network_isolation: bool = False
    kms_key: str = ""
    bucket: str = ""

    @property
    def runs_as(self) -> dict[str, Any]:
        """Role and network, as models have them, and configurations for components."""
        network = {"SecurityGroupIds": list(self.security_groups), "Subnets": list(self.subnets)}
        return {
            "ExecutionRoleArn": self.execution_role,
            **({"VpcConfig": network} if self.subnets else {}),
            **({"EnableNetworkIsolation": True} if self.network_isolation else {}),
        }


def row_of(cluster: Cluster) -> AwsPlace:
    """The AWS side of a place. Raises TargetError where nobody has entered it."""
    row = AwsPlace.objects.filter(cluster=cluster).select_related("account").first()
    if row is None:
        raise TargetError(Cause.AUTH, _("The place has no AWS account yet. Choose one on its page."), of_the_place=True)
    return row


def view_of(row: AwsPlace) -> PlaceView:
    return PlaceView(
        account=row.account.uid.hex, region=row.region, execution_role=row.execution_role, subnets=tuple(row.subnets),
        security_groups=tuple(row.security_groups), network_isolation=row.network_isolation, kms_key=row.kms_key,
        bucket=row.bucket)
