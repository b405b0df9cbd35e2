"""Routes for AWS accounts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Router, Status

from clusters import services
from clusters.aws_schemas import AwsAccountIn, AwsAccountOut, AwsAccountPage, AwsAccountPatch, AwsCheckOut
from clusters.models import AwsAccount
from portal.tenancy.actor import Actor
from portal.tenancy.answers import created, edited, etag_of, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.models import Workspace
from portal.tenancy.pagination import Page, PageQuery, page_of

router = Router(tags=["AWS accounts"])


def accounts(actor: Actor) -> QuerySet[AwsAccount]:
    return AwsAccount.objects.for_workspaces(actor.scope()).select_related("workspace").defer("secret_access_key")


def account_of(actor: Actor, uid: UUID) -> AwsAccount:
    """One in the caller's scope. Raises NotFound."""
    return find(AwsAccount.objects.for_workspaces(actor.scope()).select_related("workspace"), uid=uid)


def _workspace_of(actor: Actor, text: str | None) -> Workspace | None:
    return None if text is None else pick(actor.scope(), text, field="workspace", what="workspace")


@router.get("/aws-accounts", response=AwsAccountPage, summary="List AWS accounts")
def list_accounts(request: ApiRequest, page: PageQuery) -> Page[AwsAccount]:
    return page_of(accounts(request.auth), page)


@router.get("/aws-accounts/{uid}", response=AwsAccountOut, summary="Show an AWS account")
def get_account(request: ApiRequest, response: HttpResponse, uid: UUID) -> AwsAccount:
    account = account_of(request.auth, uid)
    response["ETag"] = etag_of(account)
    return account


@router.post("/aws-accounts", response={201: AwsAccountOut}, summary="Add an AWS account (operators)")
def create_account(request: ApiRequest, data: AwsAccountIn) -> HttpResponse:
    request.auth.require_operator()
    values = data.model_dump() | {"workspace": _workspace_of(request.auth, data.workspace)}
    return created(request, AwsAccountOut, lambda: services.create_account(request.auth, **values))


@router.patch("/aws-accounts/{uid}", response=AwsAccountOut, summary="Change an AWS account (operators)")
def change_account(request: ApiRequest, response: HttpResponse, uid: UUID, data: AwsAccountPatch) -> AwsAccount:
    account = account_of(request.auth, uid)
    values = data.model_dump(exclude_unset=True)
    if "workspace" in values:
        values["workspace"] = _workspace_of(request.auth, data.workspace)
    account = edited(request, account, lambda: services.change_account(request.auth, account, **values))
    response["ETag"] = etag_of(account)
    return account


@router.delete("/aws-accounts/{uid}", response={204: None}, summary="Forget an AWS account without places (operators)")
def delete_account(request: ApiRequest, uid: UUID) -> Status[None]:
    services.delete_account(request.auth, account_of(request.auth, uid))
    return Status(204, None)


@router.post("/aws-accounts/{uid}/check", response=AwsCheckOut, summary="Test an AWS account and its rights (operators)")
def check_account(request: ApiRequest, uid: UUID) -> services.AccountCheck:
    return services.check_account(request.auth, account_of(request.auth, uid))
