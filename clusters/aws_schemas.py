"""What the JSON API shows of AWS accounts: no secret to anybody, and how the portal signs in to operators only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import StringConstraints

from clusters.models import AwsAccount
from clusters.states import Reach, SignIn
from portal.tenancy.answers import etag_of
from portal.tenancy.schemas import Closed, Line, Ref

Region = Annotated[str, StringConstraints(max_length=30)]
Secret = Annotated[str, StringConstraints(max_length=200)]


class AwsAccountIn(Closed):
    """Without a workspace the account is shared by all. A role without an external ID is given one."""

    name: Annotated[str, StringConstraints(max_length=63)]
    workspace: Ref | None = None
    region: Region
    sign_in: SignIn = SignIn.ROLE
    role_arn: Line = ""
    external_id: Line = ""
    access_key_id: Annotated[str, StringConstraints(max_length=128)] = ""
    secret_access_key: Secret = ""


class AwsAccountPatch(Closed):
    """Only what is sent is changed. With another key ID its secret key must be sent too."""

    workspace: Ref | None = None
    region: Region = ""
    sign_in: SignIn = SignIn.ROLE
    role_arn: Line = ""
    external_id: Line = ""
    access_key_id: Annotated[str, StringConstraints(max_length=128)] = ""
    secret_access_key: Secret = ""


class AwsAccountOut(Schema):
    """`role_arn`, `external_id`, `access_key_id` and `arn` are empty for everybody but operators."""

    uid: UUID
    name: str
    workspace: str | None
    region: str
    sign_in: SignIn
    role_arn: str
    external_id: str
    access_key_id: str
    account_id: str
    arn: str
    reach: Reach
    reach_since: datetime
    message: str
    checked_at: datetime | None
    created_at: datetime
    etag: str

    @staticmethod
    def resolve_workspace(obj: AwsAccount) -> str | None:
        return obj.workspace.slug if obj.workspace else None

    @staticmethod
    def resolve_role_arn(obj: AwsAccount, context: dict[str, Any]) -> str:
        return obj.role_arn if _operates(context) else ""

    @staticmethod
    def resolve_external_id(obj: AwsAccount, context: dict[str, Any]) -> str:
        return obj.external_id if _operates(context) else ""

    @staticmethod
    def resolve_access_key_id(obj: AwsAccount, context: dict[str, Any]) -> str:
        return obj.access_key_id if _operates(context) else ""

    @staticmethod
    def resolve_arn(obj: AwsAccount, context: dict[str, Any]) -> str:
        return obj.arn if _operates(context) else ""

    @staticmethod
    def resolve_message(obj: AwsAccount, context: dict[str, Any]) -> str:
        return obj.message if _operates(context) else ""  # AWS's words name roles and users

    @staticmethod
    def resolve_etag(obj: AwsAccount) -> str:
        return etag_of(obj)


class AwsAccountPage(Schema):
    items: list[AwsAccountOut]
    next: str | None


class AwsCheckOut(Schema):
    """`missing` are rights as IAM policies name them."""

    reach: Reach
    message: str
    account_id: str
    arn: str
    missing: list[str]


def _operates(context: dict[str, Any]) -> bool:
    return bool(context["request"].auth.operates)
