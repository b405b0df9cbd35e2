"""The test of an AWS account: who the portal is there, and which rights it lacks, asked for by calls that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import ngettext

from clusters.drivers import aws
from clusters.drivers.aws import Aws, AwsError, AwsProblem
from clusters.models import AwsAccount
from clusters.states import Reach
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.queue import after_commit
from portal.tenancy.text import clean

from .aws_accounts import CHECK
from .aws_places.asking import reach_of


@dataclass(frozen=True)
class AccountCheck:
    """`missing` are rights as policies name them."""

    reach: Reach
    message: str = ""
    account_id: str = ""
    arn: str = ""
    missing: tuple[str, ...] = ()


# One harmless look for each part of AWS that the portal uses.
LOOKS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("sagemaker", "list_clusters", {"MaxResults": 1}),
    ("sagemaker", "list_endpoints", {"MaxResults": 1}),
    ("sagemaker", "list_endpoint_configs", {"MaxResults": 1}),
    ("sagemaker", "list_models", {"MaxResults": 1}),
    ("sagemaker", "list_inference_components", {"MaxResults": 1}),
    ("eks", "list_clusters", {"maxResults": 1}),
    ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "sagemaker", "MaxResults": 1}),
)


def check_account(actor: Actor, row: AwsAccount) -> AccountCheck:
    """Ask AWS now, whatever failed before, and keep what it says. Raises NotAllowed; not inside a transaction."""
    actor.require_operator()
    aws.forget(row)
    return look_at_account(row)


def look_at_accounts() -> int:
    """Ring the bell for each account, so that a badge doesn't stay green for weeks; how many."""
    uids = list(AwsAccount.objects.values_list("uid", flat=True))
    for uid in uids:
        after_commit(CHECK, str(uid))
    return len(uids)


def look_at_account(row: AwsAccount) -> AccountCheck:
    """Ask AWS with the session that there is, and keep what it says. Not inside a transaction."""
    if not row.places.exists():
        row.account_id = ""  # with nothing there yet, it may be any
    try:
        found = _look(aws.aws_for(row))
    except AwsError as error:
        reach = reach_of(error)
        found = AccountCheck(reach if reach != Reach.OK else Reach.UNREACHABLE, clean(error.message, 500))
    _keep(row, found)
    return found


def _look(door: Aws) -> AccountCheck:
    """Raises AwsError where AWS can't be asked at all."""
    account_id, arn = door.whoami()
    missing = tuple(dict.fromkeys(_missing(door)))
    if not missing:
        return AccountCheck(Reach.OK, "", account_id, arn)
    message = ngettext("A right is missing: %(rights)s.", "Rights are missing: %(rights)s.", len(missing)) % {
        "rights": ", ".join(missing)}
    return AccountCheck(Reach.FORBIDDEN, clean(message, 500), account_id, arn, missing)


def _missing(door: Aws) -> Iterator[str]:
    for service, operation, params in LOOKS:
        try:
            door.call(service, operation, **params)
        except AwsError as error:
            if error.problem is AwsProblem.FORBIDDEN:
                yield error.action
            elif error.is_of_the_place:
                raise


@retry_tx
def _keep(row: AwsAccount, found: AccountCheck) -> None:
    """Write the result, unless the account was changed meanwhile: then another test is on its way."""
    values: dict[str, Any] = {"reach": found.reach, "message": clean(found.message, 500), "checked_at": Now()}
    if found.account_id:
        values |= {"account_id": found.account_id, "arn": found.arn}
    since = Case(When(reach=Value(found.reach), then=F("reach_since")), default=Now())
    same = Q(pk=row.pk, region=row.region, sign_in=row.sign_in, role_arn=row.role_arn, external_id=row.external_id,
             access_key_id=row.access_key_id, secret_access_key=row.secret_access_key)
    AwsAccount.objects.filter(same).update(reach_since=since, **values)
