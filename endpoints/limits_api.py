"""Routes for limits (docs/limits.md)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema, Status
from pydantic import Field, StringConstraints

from endpoints.services import limits
from portal.tenancy.actor import Actor
from portal.tenancy.answers import created, edited, etag_of, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Invalid
from portal.tenancy.models import ApiKey, Limit, LimitKind, LimitQuerySet, User
from portal.tenancy.pagination import Page, PageIn, page_of
from portal.tenancy.schemas import Closed, Printable, Ref

router = Router(tags=["limits"])
Count = Annotated[int, Field(ge=0, le=limits.HIGHEST_COUNT, strict=True)]
Tokens = Annotated[int, Field(ge=0, le=limits.MOST, strict=True)]
Money = Annotated[Decimal, Field(ge=0, le=limits.HIGHEST["money_per_month"], decimal_places=2)]


class Quantities(Closed):
    """What may be used at most; null is no limit, 0 allows nothing. Money is decimal text, in the portal's currency."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Tokens | None = None
    concurrent_requests: Count | None = None
    tokens_per_month: Tokens | None = None
    money_per_month: Money | None = None
    gpus: Count | None = None
    endpoints: Count | None = None
    replicas: Count | None = None


class LimitIn(Quantities):
    """`member` is a user's name, `key` the uid of an API key, `model` a name as callers write it: the one that fits `kind`."""

    workspace: Ref
    kind: LimitKind
    member: Ref | None = None
    key: UUID | None = None
    model: Annotated[Printable, StringConstraints(max_length=128)] = ""


class LimitPatch(Quantities):
    """Only what is sent is changed; null takes a quantity's limit away."""


class LimitOut(Schema):
    uid: UUID
    workspace: str = Field(alias="workspace.slug")
    kind: LimitKind
    member: str | None
    key: UUID | None
    model: str = Field(alias="model_name")
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    tokens_per_month: int | None
    money_per_month: Decimal | None
    gpus: int | None
    endpoints: int | None
    replicas: int | None
    created_at: datetime
    etag: str

    @staticmethod
    def resolve_member(obj: Limit) -> str | None:
        return obj.member.get_username() if obj.member else None

    @staticmethod
    def resolve_key(obj: Limit) -> UUID | None:
        return obj.key.uid if obj.key else None

    @staticmethod
    def resolve_etag(obj: Limit) -> str:
        return etag_of(obj)


class UseOut(Schema):
    """`used` is null while what counts the calls of this minute can't be asked."""

    quantity: str
    used: int | Decimal | None
    limit: int | Decimal


class LimitPage(Schema):
    items: list[LimitOut]
    next: str | None


class LimitFilter(PageIn):
    workspace: str = Field("", max_length=63)
    kind: LimitKind | None = None


def _limits(actor: Actor) -> LimitQuerySet:
    return Limit.objects.filter(workspace__in=actor.scope()).select_related("workspace", "member", "key")


@router.get("/limits", response=LimitPage, summary="List limits")
def list_limits(request: ApiRequest, page: Query[LimitFilter]) -> Page[Limit]:
    rows = _limits(request.auth)
    rows = rows.filter(workspace__slug=page.workspace) if page.workspace else rows
    return page_of(rows.filter(kind=page.kind) if page.kind else rows, page)


@router.post("/limits", response={201: LimitOut}, summary="Limit a workspace (operators), a member, a key or a model")
def create_limit(request: ApiRequest, data: LimitIn) -> HttpResponse:
    actor = request.auth
    workspace = pick(actor.workspaces, data.workspace, field="workspace", what="workspace")
    member = key = None
    if data.member is not None:
        member = User.objects.filter(username=data.member, memberships__workspace=workspace).first()
        if member is None:
            raise Invalid(_("unknown %(what)s") % {"what": _("member")}, field="member")
    if data.key is not None:
        key = pick(ApiKey.objects.filter(workspace=workspace), str(data.key), field="key", what="key")
    return created(request, LimitOut, lambda: limits.create_limit(
        actor, workspace, kind=data.kind, member=member, key=key, model_name=data.model, **_quantities(data)))


@router.get("/limits/{uid}", response=LimitOut, summary="Show a limit")
def get_limit(request: ApiRequest, response: HttpResponse, uid: UUID) -> Limit:
    limit = find(_limits(request.auth), uid=uid)
    response["ETag"] = etag_of(limit)
    return limit


@router.get("/limits/{uid}/use", response=list[UseOut], summary="Show how far a limit is used now")
def get_use(request: ApiRequest, uid: UUID) -> list[limits.Use]:
    limit = find(_limits(request.auth), uid=uid)
    return limits.uses_of([limit])[limit.pk]


@router.patch("/limits/{uid}", response=LimitOut, summary="Change a limit")
def change_limit(request: ApiRequest, response: HttpResponse, uid: UUID, data: LimitPatch) -> Limit:
    limit = find(_limits(request.auth), uid=uid)
    row = edited(request, limit, lambda: limits.change_limit(request.auth, limit, **_quantities(data)))
    response["ETag"] = etag_of(row)
    return row


@router.delete("/limits/{uid}", response={204: None}, summary="Take a limit away")
def delete_limit(request: ApiRequest, uid: UUID) -> Status[None]:
    limits.delete_limit(request.auth, find(_limits(request.auth), uid=uid))
    return Status(204, None)


def _quantities(data: Quantities) -> dict[str, object]:
    return data.model_dump(include=set(Limit.QUANTITIES), exclude_unset=True)
