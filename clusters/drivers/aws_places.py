"""Regions of AWS, the partitions that they belong to, and where their services listen."""

from __future__ import annotations

import re

from django.conf import settings

# Such as us-west-2, us-gov-east-1, cn-north-1. It becomes part of a host name, so nothing else gets through.
REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,9}){1,2}-[0-9]{1,2}")

# By the first part of a region: partition and DNS suffix. Only `aws` and `aws-cn` are named by the portal's documents;
# the others are as botocore's partitions.json has them.
_PARTITIONS = {
    "cn-": ("aws-cn", "amazonaws.com.cn"), "us-gov-": ("aws-us-gov", "amazonaws.com"), "us-iso-": ("aws-iso", "c2s.ic.gov"),
    "us-isob-": ("aws-iso-b", "sc2s.sgov.gov"), "eusc-": ("aws-eusc", "amazonaws.eu"),
}
# Services whose host name is not their own name.
_HOSTS = {"sagemaker": "api.sagemaker", "sagemaker-runtime": "runtime.sagemaker"}


def partition_of(region: str) -> str:
    """aws, aws-cn, aws-us-gov, …: the second part of every ARN there."""
    return _partition(region)[0]


def suffix_of(region: str) -> str:
    """The domain of the region's services."""
    return _partition(region)[1]


def _partition(region: str) -> tuple[str, str]:
    return next((found for prefix, found in _PARTITIONS.items() if region.startswith(prefix)), ("aws", "amazonaws.com"))


def endpoint_of(service: str, region: str) -> str:
    """Where SageMaker, its runtime, STS or EKS listens in a region; the address of the setting where one is given."""
    return str(settings.PORTAL_AWS_ENDPOINT) or f"https://{_HOSTS.get(service, service)}.{region}.{suffix_of(region)}"
