"""The test of a SageMaker place: what endpoints need there is asked for by calls that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Question:
    """A look at what one field of the place names: `param` is what the operation calls it."""

    field: str
    label: Any
    service: str
    operation: str
    param: str

    def ask(self, aws: Aws, side: AwsPlace) -> None:
        value = getattr(side, self.field)
        aws.call(self.service, self.operation, **{self.param: value.rpartition("/")[2] if self.param == "RoleName" else value})


# These must pass, with or without anything to list; what a place names is asked for where it names something.
_NEEDED = ("list_endpoints", "list_endpoint_configs", "list_models")
_ASKED = (
    Question("execution_role", gettext_lazy("execution role"), "iam", "get_role", "RoleName"),
    Question("bucket", gettext_lazy("bucket"), "s3", "head_bucket", "Bucket"),
    Question("kms_key", gettext_lazy("KMS key"), "kms", "describe_key", "KeyId"),
    Question("subnets", gettext_lazy("subnets"), "ec2", "describe_subnets", "SubnetIds"),
    Question("security_groups", gettext_lazy("security groups"), "ec2", "describe_security_groups", "GroupIds"),
)


def check_sagemaker(side: AwsPlace) -> Check:
    """Ask AWS and keep how it ended. Never raises for what AWS does; not inside a transaction."""
    try:
        aws = aws_of(side)
        account, arn = aws.whoami()
        for operation in _NEEDED:
            aws.call("sagemaker", operation, MaxResults=1)
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
    for question in _ASKED:
        if not getattr(side, question.field):
            continue
        try:
            question.ask(aws, side)
        except AwsError as error:
            if error.is_of_the_place:
                raise
            # A right to look is not needed to deploy: what can't be looked at may well be right.
            if error.problem is not AwsProblem.FORBIDDEN or question.field == "bucket":
                yield f"{question.label}: {error.message}"
