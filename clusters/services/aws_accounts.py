"""Verbs on AWS accounts: operators make, change, test and delete them. Secrets go in and never come out."""

from __future__ import annotations

import re
import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.drivers import aws
from clusters.drivers.aws_places import REGION, partition_of
from clusters.models import AwsAccount
from clusters.states import Reach, SignIn
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.queue import after_commit

CHECK = "clusters.tasks.check_aws_account"
WAY_IN = ("region", "sign_in", "role_arn", "external_id", "access_key_id")
AUDITED = ("name", "workspace", *WAY_IN)
# What each way to sign in uses; the rest is emptied, so that nothing is kept that nobody uses.
_USES: dict[str, frozenset[str]] = {
    SignIn.ROLE: frozenset({"role_arn", "external_id", "access_key_id"}),
    SignIn.KEYS: frozenset({"access_key_id"}),
    SignIn.MACHINE: frozenset(),
}
_NEEDS = {SignIn.ROLE: "role_arn", SignIn.KEYS: "access_key_id"}
# As IAM's and STS's API references have them.
_FORMS: dict[str, tuple[re.Pattern[str], Any]] = {
    "region": (REGION, gettext_lazy("Name an AWS region, such as us-west-2.")),
    "role_arn": (re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,150}", re.ASCII), gettext_lazy(
        "Give the role's ARN, such as arn:aws:iam::123456789012:role/inference-portal.")),
    "external_id": (re.compile(r"[\w+=,.@:/-]{2,200}", re.ASCII), gettext_lazy(
        "An external ID has letters, digits and + = , . @ : / - _ only.")),
    "access_key_id": (re.compile(r"(?!ASIA)[A-Z0-9]{16,128}"), gettext_lazy(
        "Give the ID of a lasting access key, such as AKIA…; one that starts with ASIA ends within hours.")),
}
_SECRET = re.compile(r"[\x21-\x7e]{16,200}")


@retry_tx
def put_account(actor: Actor, row: AwsAccount, *, secret_access_key: str = "") -> AwsAccount:
    """Create or change an account; an empty secret keeps the stored one, as long as its key id stays the same.

    A role without an external ID is given one. Raises NotAllowed, Invalid with the field, Conflict.
    """
    actor.require_operator()
    stored = AwsAccount.objects.filter(pk=row.pk).first() if row.pk else None
    _tidy(row)
    if row.sign_in == SignIn.ROLE and not row.external_id and stored is None:
        row.external_id = f"portal-{secrets.token_hex(8)}"
    _check(row)
    _require_same_account(row, stored)
    _take_secret(row, stored, secret_access_key.strip())
    if secret_access_key or stored is None or _seen(stored, WAY_IN) != _seen(row, WAY_IN):
        row.reach, row.reach_since, row.message, row.checked_at = Reach.UNKNOWN, timezone.now(), "", None
        after_commit(CHECK, str(row.uid))
    _save(row)
    audit.record(actor, "change" if stored else "create", row, before=_audited(stored) if stored else None,
                 after=_audited(row, is_new=bool(secret_access_key)))
    return row


def create_account(actor: Actor, *, secret_access_key: str = "", **values: Any) -> AwsAccount:
    return put_account(actor, AwsAccount(**values), secret_access_key=secret_access_key)


def change_account(actor: Actor, row: AwsAccount, *, secret_access_key: str = "", **values: Any) -> AwsAccount:
    for name, value in values.items():
        setattr(row, name, value)
    return put_account(actor, row, secret_access_key=secret_access_key)


@retry_tx
def delete_account(actor: Actor, row: AwsAccount) -> None:
    """Forget an account and its secret. Raises NotAllowed, Conflict while places are reached by it."""
    actor.require_operator()
    if row.places.exists():
        raise Conflict(_("%(name)s is still used by places: delete them first.") % {"name": row.name}, code="in_use")
    audit.record(actor, "delete", row, before=_audited(row))
    aws.forget(row)
    row.delete()


def _tidy(row: AwsAccount) -> None:
    for name in WAY_IN:
        setattr(row, name, str(getattr(row, name)).strip())
    for name in {"role_arn", "external_id", "access_key_id"} - _USES.get(row.sign_in, frozenset()):
        setattr(row, name, "")


def _check(row: AwsAccount) -> None:
    if row.sign_in not in _USES:
        raise Invalid(_("Choose how the portal signs in."), field="sign_in")
    needed = _NEEDS.get(SignIn(row.sign_in), "")
    if needed and not getattr(row, needed):
        raise Invalid(str(_FORMS[needed][1]), field=needed)
    for name, (pattern, hint) in _FORMS.items():
        value = getattr(row, name)
        if (value or name == "region") and not pattern.fullmatch(value):
            raise Invalid(str(hint), field=name)
    partition = partition_of(row.region)
    if row.role_arn and row.role_arn.split(":")[1] != partition:
        raise Invalid(_("The region's roles have ARNs that begin with arn:%(partition)s:.") % {"partition": partition},
                      field="role_arn")


def _require_same_account(row: AwsAccount, stored: AwsAccount | None) -> None:
    """Endpoints live in one AWS account; behind another one they would look deleted, and be made a second time."""
    if stored is None or not stored.places.exists():
        return
    if stored.account_id and row.role_arn and row.role_arn.split(":")[4] != stored.account_id:
        raise Conflict(_("Places are reached by this account, and they are in %(account)s. Add another account for the "
                         "other role.") % {"account": stored.account_id}, code="in_use", field="role_arn")
    if row.workspace_id and stored.places.filter(~Q(cluster__workspace=row.workspace_id)).exists():
        raise Conflict(_("Places of other workspaces are reached by this account."), code="in_use", field="workspace")


def _take_secret(row: AwsAccount, stored: AwsAccount | None, secret: str) -> None:
    if not row.access_key_id:
        if secret:
            raise Invalid(_("Give the access key ID that the secret key belongs to."), field="access_key_id")
        row.put_secret("secret_access_key", "")
    elif secret:
        if not _SECRET.fullmatch(secret):
            raise Invalid(_("This is no secret access key."), field="secret_access_key")
        row.put_secret("secret_access_key", secret)
    elif stored is None or stored.access_key_id != row.access_key_id or not stored.secret_access_key:
        raise Invalid(_("Enter the secret access key of this key ID."), field="secret_access_key")


def _save(row: AwsAccount) -> None:
    try:
        row.clean_fields()
        with transaction.atomic():
            row.save()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error
    except IntegrityError as error:
        raise Conflict(_("There is already an AWS account with this name."), field="name") from error


def _seen(row: AwsAccount, names: tuple[str, ...]) -> dict[str, Any]:
    return audit.snapshot(row, names)


def _audited(row: AwsAccount, *, is_new: bool = False) -> dict[str, Any]:
    """What the audit keeps: of the secret only whether there is one, and that it was entered.

    It belongs to no workspace, not even where the account does: how the portal signs in is the operators' to read.
    """
    kind = "entered now" if is_new else "kept" if row.secret_access_key else ""
    return {**_seen(row, AUDITED), "credential": kind}
