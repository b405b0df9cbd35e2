"""What operators choose for the AWS side of a place: account, region, and for SageMaker how endpoints run there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.models import AwsAccount, AwsPlace, Cluster, KubernetesAccess
from clusters.states import AWS_KINDS, ClusterKind, Reach, Through
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.queue import after_commit

from ..connect import CHECK, audited
from ..place_rows import endpoints_of, require_usable
from .asking import checked_region
from .looks import LOOK

OF_SAGEMAKER = ("execution_role", "subnets", "security_groups", "network_isolation", "kms_key", "bucket")
CHOICES = ("account", "region", "hyperpod_name", *OF_SAGEMAKER)  # and through_eks, which is the way to a HyperPod cluster
# As botocore's model of SageMaker has them, and for buckets as S3's naming rules.
_FORMS: dict[str, tuple[str, Any]] = {
    "execution_role": (r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,150}",
                       gettext_lazy("Give the role's ARN, such as arn:aws:iam::123456789012:role/endpoints.")),
    "kms_key": (r"[A-Za-z0-9:/_-]{1,300}", gettext_lazy("Give the key's ID or ARN.")),
    "bucket": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", gettext_lazy("Give the bucket's name alone, without s3://.")),
    "subnets": (r"subnet-[0-9a-f]{8,17}", gettext_lazy("Give subnets by ID, such as subnet-0abc12345678.")),
    "security_groups": (r"sg-[0-9a-f]{8,17}", gettext_lazy("Give security groups by ID, such as sg-0abc12345678.")),
    "hyperpod_name": (r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}", gettext_lazy("Give the HyperPod cluster's name.")),
}
MOST_NAMED = 16  # subnets, security groups


@retry_tx
def set_up_aws(actor: Actor, place: Cluster, given: Mapping[str, Any]) -> AwsPlace:
    """Write what a form or a body has of CHOICES; asks nobody, the next look does.

    Call it in one transaction with the change of the place itself. Raises NotAllowed, Invalid with the field, Conflict.
    """
    actor.require_operator()
    if place.kind not in AWS_KINDS:
        raise Invalid(_("This kind of place is not in AWS."), field="kind")
    side = AwsPlace.objects.filter(cluster=place).select_related("account").first() or AwsPlace(cluster=place)
    before = audited_side(side) if side.pk else {}
    _take_account(place, side, given)
    for name in OF_SAGEMAKER:
        if name in given:
            setattr(side, name, _checked(name, given[name]))
    if place.kind == ClusterKind.HYPERPOD:
        _take_cluster(actor, place, side, given)
    elif bool(side.subnets) != bool(side.security_groups):
        missing = "security_groups" if side.subnets else "subnets"
        raise Invalid(_("Give subnets and security groups, or neither."), field=missing)
    save_side(side, place)
    audit.record(actor, "connect to AWS", place, workspace=place.workspace, before=before, after=audited_side(side))
    after_commit(LOOK, side.pk)
    return side


def save_side(side: AwsPlace, place: Cluster) -> None:
    side.cluster = place  # and the other way round: whoever holds the place sees what is new
    try:
        side.clean_fields()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error
    with transaction.atomic():
        side.save()


def audited_side(side: AwsPlace) -> dict[str, Any]:
    return audit.snapshot(side, CHOICES) | {"account": side.account.name}


def _take_account(place: Cluster, side: AwsPlace, given: Mapping[str, Any]) -> None:
    before = side.region
    if given.get("account"):
        _require_same_account(place, side, given["account"])
        side.account = given["account"]
    if side.account_id is None:
        raise Invalid(_("Choose an AWS account."), field="account")
    if "region" in given or not side.region:
        side.region = checked_region(given.get("region") or side.region, side.account)
    require_usable(side.account, place)
    if side.pk and side.region != before:
        _require_unused(place)


def _require_same_account(place: Cluster, side: AwsPlace, account: AwsAccount) -> None:
    """Behind another AWS account its endpoints would look deleted, and be made and paid for again; another way into the
    same one is fine, once its number is known to be the same."""
    if not side.pk or account.pk == side.account_id or not (side.hyperpod_arn or endpoints_of(place).exists()):
        return
    here = side.hyperpod_arn.split(":")[4] if side.hyperpod_arn else side.account.account_id
    if not (here and account.account_id):
        unknown = account if here else side.account
        raise Conflict(_("It is not known yet whether %(account)s is in the same AWS account: test it first.") % {
            "account": unknown}, code="in_use", field="account")
    if here != account.account_id:
        raise Conflict(_("This place is in the AWS account %(account)s. Add another place for the other one.") % {
            "account": here}, code="in_use", field="account")


def _require_unused(place: Cluster) -> None:
    if place.kind == ClusterKind.HYPERPOD or endpoints_of(place).exists():
        raise Conflict(_("The region can't be changed: endpoints live there. Add another place."), code="in_use",
                       field="region")


def _take_cluster(actor: Actor, place: Cluster, side: AwsPlace, given: Mapping[str, Any]) -> None:
    """Name the cluster that the next look asks AWS for; the way to its Kubernetes API comes with the answer."""
    for name in OF_SAGEMAKER:
        if given.get(name) and name != "bucket":
            raise Invalid(_("This is for SageMaker endpoints only."), field=name)
    name = given.get("hyperpod_name") or side.hyperpod_name
    if not name:
        raise Invalid(_("Name the HyperPod cluster, or import it from the list of places."), field="hyperpod_name")
    if side.pk and name != side.hyperpod_name:
        raise Invalid(_("A place stays the same HyperPod cluster. Add another place."), field="hyperpod_name")
    side.hyperpod_name = str(_checked("hyperpod_name", name))
    access = KubernetesAccess.objects.filter(cluster=place).first()
    if access is None or (given.get("through_eks") and access.through != Through.EKS):
        reach_through_eks(actor, place)


def reach_through_eks(actor: Actor, place: Cluster, server: str = "", ca: str = "") -> KubernetesAccess:
    """A road whose token is made for each call; a credential kept until now is forgotten. The next look fills the rest."""
    access = KubernetesAccess.objects.filter(cluster=place).first() or KubernetesAccess(cluster=place)
    before = audited(access) if access.pk else {}
    access.through, access.server, access.ca, access.client_certificate = Through.EKS, server, ca, ""
    access.put_secret("token", "")
    access.put_secret("client_key", "")
    access.reach, access.reach_since, access.message = Reach.UNKNOWN, timezone.now(), ""
    access.cluster = place  # and the other way round: whoever holds the place sees what is new
    access.save()
    if before:
        audit.record(actor, "connect cluster", place, workspace=place.workspace, before=before, after=audited(access))
    if server:
        after_commit(CHECK, str(place.uid))
        after_commit("clusters.tasks.refresh_inventory", place.pk)
    return access


def _checked(name: str, value: Any) -> Any:
    """The value in its one spelling. Raises Invalid with the field."""
    if name not in _FORMS:
        return value
    pattern, hint = _FORMS[name]
    if isinstance(value, str):
        text = value.strip()
        if text and not re.fullmatch(pattern, text, re.ASCII):
            raise Invalid(str(hint), field=name)
        return text
    texts = list(dict.fromkeys(str(one).strip() for one in value if str(one).strip()))
    if len(texts) > MOST_NAMED or not all(re.fullmatch(pattern, text) for text in texts):
        raise Invalid(str(hint), field=name)
    return texts
