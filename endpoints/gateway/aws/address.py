"""How the gateway's table names what is reached by AWS.

`sagemaker://<account uid hex>/<region>/<endpoint>[/<inference component>][?async=<bucket>]`, and
`eks+https://<cluster uid hex>@<address of the cluster's API>/…` where the bearer is made from an account.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from clusters.drivers.aws_places import REGION

SAGEMAKER, EKS = "sagemaker", "eks+https"

_UID = r"[0-9a-f]{32}"
_NAME = r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}"
# A region becomes part of a host name; a bucket is S3's own rule, without the old names with capitals.
_ADDRESS = re.compile(
    rf"sagemaker://(?P<account>{_UID})/(?P<region>{REGION.pattern})/(?P<endpoint>{_NAME})"
    rf"(?:/(?P<component>{_NAME}))?(?:\?async=(?P<bucket>[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]))?\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """An endpoint of SageMaker. `component` is an inference component on it, `bucket` says that it answers into S3."""

    account: UUID
    region: str
    endpoint: str
    component: str = ""
    bucket: str = ""


def place_in(url: str) -> Place:
    """Raises ValueError for an address that is not whole, and for a component with a bucket, which AWS has not."""
    match = _ADDRESS.match(url)
    if match is None or (match["component"] and match["bucket"]):
        raise ValueError("not the address of an endpoint of SageMaker")
    return Place(UUID(match["account"]), match["region"], match["endpoint"], match["component"] or "", match["bucket"] or "")


def cluster_in(url: str) -> UUID:
    """Whose bearer an `eks+https` address wants. Raises ValueError where it does not say."""
    user, at, _host = urlsplit(url).netloc.rpartition("@")
    if not at or re.fullmatch(_UID, user) is None:
        raise ValueError("not an address of a cluster in EKS")
    return UUID(user)


def is_whole(url: str, scheme: str) -> bool:
    """Whether an address of this scheme says all that it must."""
    try:
        if scheme == SAGEMAKER:
            place_in(url)
        elif scheme == EKS:
            cluster_in(url)
    except ValueError:
        return False
    return True
