"""The test of a SageMaker place: what endpoints need there is asked for by calls that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.drivers.aws import Aws, AwsError, AwsProblem
from clusters.models import AwsPlace
from clusters.states import Reach
from portal.tenancy.text import clean

from ..check import Check
from .asking import aws_of, reach_of
from .looks import note_aws

Question = tuple[str, Any, Callable[[Aws, AwsPlace], object]]

# In the order of what matters. The first must pass; the others are asked where something is set.
_NEEDED: tuple[Callable[[Aws], object], ...] = (
    lambda aws: aws.call("sagemaker", "list_endpoints", MaxResults=1),
    lambda aws: aws.call("sagemaker", "list_endpoint_configs", MaxResults=1),
    lambda aws: aws.call("sagemaker", "list_models", MaxResults=1),
)
_ASKED: tuple[Question, ...] = (
    ("execution_role", gettext_lazy("execution role"), lambda aws, side: aws.call("iam", "get_role", RoleName=side.execution_role.rpartition("/")[2])),
    ("bucket", gettext_lazy("bucket"), lambda aws, side: aws.call("s3", "head_bucket", Bucket=side.bucket)),
    ("kms_key", gettext_lazy("KMS key"), lambda aws, side: aws.call("kms", "describe_key", KeyId=side.kms_key)),
    ("subnets", gettext_lazy("subnets"), lambda aws, side: aws.call("ec2", "describe_subnets", SubnetIds=side.subnets)),
    ("security_groups", gettext_lazy("security groups"), lambda aws, side: aws.call("ec2", "describe_security_groups", GroupIds=side.security_groups)),
)


def check_sagemaker(side: AwsPlace) -> Check:
    """Ask AWS and keep how it ended. Never raises for what AWS does; not inside a transaction."""
    try:
        aws = aws_of(side)
        account, arn = aws.whoami()
        for question in _NEEDED:
            question(aws)
        message = " ".join(_complaints(aws, side, account))
    except AwsError as error:
        note_aws(side, error)
        return Check(reach_of(error) if reach_of(error) != Reach.OK else Reach.UNREACHABLE, error.message)
    note_aws(side, None)
    AwsPlace.objects.filter(pk=side.pk).update(status_message=clean(message, 1000))  # the regular look leaves it there
    return Check(Reach.FORBIDDEN if message else Reach.OK, message, user=arn)


def _complaints(aws: Aws, side: AwsPlace, account: str) -> Iterator[str]:
    """What is missing or wrong, in sentences. Raises AwsError where AWS can't be asked at all."""
    if not side.execution_role:
        yield _("Give an execution role: endpoints can't be made without one.")
    elif side.execution_role.split(":")[4] != account:
        yield _("The execution role belongs to another AWS account than %(account)s.") % {"account": account}
    for name, label, question in _ASKED:
        if not getattr(side, name):
            continue
        try:
            question(aws, side)
        except AwsError as error:
            if error.is_of_the_place:
                raise
            # A right to look is not needed to deploy: what can't be looked at may well be right.
            if error.problem is not AwsProblem.FORBIDDEN or name == "bucket":
                yield f"{label}: {error.message}"
