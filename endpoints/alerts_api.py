"""Routes for alert channels and what went through them (docs/alerts.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.http import HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field, StringConstraints

from endpoints.alerts import ChannelKind, DeliveryState
from endpoints.models import AlertChannel, AlertChannelQuerySet, Delivery
from endpoints.services import alert_channels, alert_sending
from portal.tenancy.actor import Actor
from portal.tenancy.answers import created, edited, etag_of, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.pagination import Page, PageIn, PageQuery, page_of
from portal.tenancy.roles import Verb
from portal.tenancy.schemas import Closed, Name, Ref

router = Router(tags=["alerts"])
Addresses = Annotated[list[Annotated[str, StringConstraints(max_length=254)]], Field(max_length=alert_channels.MOST_ADDRESSES)]
Url = Annotated[str, StringConstraints(max_length=300)]


class AlertIn(Closed):
    """`addresses` go with the kind mail, `url` with webhook."""

    workspace: Ref
    name: Name
    kind: ChannelKind
    addresses: Addresses = []
    url: Url = ""
    is_enabled: bool = True


class AlertPatch(Closed):
    """Only what is sent is changed."""

    name: Name | None = None
    addresses: Addresses | None = None
    url: Url | None = None
    is_enabled: bool | None = None


class AlertOut(Schema):
    uid: UUID
    workspace: str = Field(alias="workspace.slug")
    name: str
    kind: ChannelKind
    addresses: list[str]
    url: str
    is_enabled: bool
    created_at: datetime
    etag: str

    @staticmethod
    def resolve_etag(obj: AlertChannel) -> str:
        return etag_of(obj)


class AlertWithSecretOut(Schema):
    """`secret` is empty where nothing made a new one. It is shown this once."""

    channel: AlertOut
    secret: str


class SecretOut(Schema):
    secret: str


class AlertPage(Schema):
    items: list[AlertOut]
    next: str | None


class AlertFilter(PageIn):
    workspace: str = Field("", max_length=63)


class DeliveryOut(Schema):
    """An alert on its way. Money is decimal text; a test has no limit and no month."""

    uid: UUID
    is_test: bool
    limit: str = Field(alias="subject")
    quantity: str
    month: str
    threshold: int
    used: int | str
    most: int | str
    state: DeliveryState
    tries: int
    next_try_at: datetime | None
    sent_at: datetime | None
    error: str
    created_at: datetime

    @staticmethod
    def resolve_month(obj: Delivery) -> str:
        return "" if obj.is_test else obj.window

    @staticmethod
    def resolve_used(obj: Delivery) -> int | str:
        return alert_sending.amount(obj.quantity, obj.used)

    @staticmethod
    def resolve_most(obj: Delivery) -> int | str:
        return alert_sending.amount(obj.quantity, obj.most)

    @staticmethod
    def resolve_next_try_at(obj: Delivery) -> datetime | None:
        return obj.next_try_at if obj.state == DeliveryState.WAITING else None


class DeliveryPage(Schema):
    items: list[DeliveryOut]
    next: str | None


def _channels(actor: Actor) -> AlertChannelQuerySet:
    return AlertChannel.objects.for_workspaces(actor.scope(Verb.MANAGE)).select_related("workspace")


def _channel_of(actor: Actor, uid: UUID) -> AlertChannel:
    """Raises NotFound to strangers, NotAllowed to members who don't manage the workspace."""
    channel = find(AlertChannel.objects.for_workspaces(actor.workspaces).select_related("workspace"), uid=uid)
    actor.require(Verb.MANAGE, channel.workspace)
    return channel


@router.get("/alerts", response=AlertPage, summary="List the alert channels of the workspaces that you manage")
def list_alerts(request: ApiRequest, page: Query[AlertFilter]) -> Page[AlertChannel]:
    rows = _channels(request.auth)
    return page_of(rows.filter(workspace__slug=page.workspace) if page.workspace else rows, page)


@router.post("/alerts", response={201: AlertWithSecretOut}, summary="Make an alert channel; its secret is shown this once")
def create_alert(request: ApiRequest, data: AlertIn) -> HttpResponse:
    workspace = pick(request.auth.workspaces, data.workspace, field="workspace", what="workspace")
    request.auth.require(Verb.MANAGE, workspace)

    def make() -> dict[str, object]:
        row, secret = alert_channels.create_channel(
            request.auth, workspace, **data.model_dump(exclude={"workspace"}))
        return {"channel": row, "secret": secret}

    return created(request, AlertWithSecretOut, make, secret=True)


@router.get("/alerts/{uid}", response=AlertOut, summary="Show an alert channel")
def get_alert(request: ApiRequest, response: HttpResponse, uid: UUID) -> AlertChannel:
    channel = _channel_of(request.auth, uid)
    response["ETag"] = etag_of(channel)
    return channel


@router.patch("/alerts/{uid}", response=AlertWithSecretOut, summary="Change an alert channel; another URL has another secret")
def change_alert(request: ApiRequest, response: HttpResponse, uid: UUID, data: AlertPatch) -> dict[str, object]:
    channel, secrets = _channel_of(request.auth, uid), [""]

    def change() -> AlertChannel:
        row, secrets[0] = alert_channels.change_channel(request.auth, channel, **data.model_dump(exclude_unset=True))
        return row

    row = edited(request, channel, change)
    response["ETag"] = etag_of(row)
    return {"channel": row, "secret": secrets[0]}


@router.delete("/alerts/{uid}", response={204: None}, summary="Take an alert channel and its log away")
def delete_alert(request: ApiRequest, uid: UUID) -> Status[None]:
    alert_channels.delete_channel(request.auth, _channel_of(request.auth, uid))
    return Status(204, None)


@router.post("/alerts/{uid}/secret", response={201: SecretOut}, summary="Give a webhook another secret, shown this once")
def renew_secret(request: ApiRequest, uid: UUID) -> HttpResponse:
    channel = _channel_of(request.auth, uid)
    return created(request, SecretOut, lambda: {"secret": alert_channels.renew_secret(request.auth, channel)}, secret=True)


@router.post("/alerts/{uid}/test", response={202: DeliveryOut}, summary="Send a test")
def send_test(request: ApiRequest, uid: UUID) -> HttpResponse:
    channel = _channel_of(request.auth, uid)
    return created(request, DeliveryOut, lambda: alert_channels.send_test(request.auth, channel), status=202)


@router.get("/alerts/{uid}/deliveries", response=DeliveryPage, summary="List what went through an alert channel")
def list_deliveries(request: ApiRequest, uid: UUID, page: PageQuery) -> Page[Delivery]:
    return page_of(Delivery.objects.filter(channel=_channel_of(request.auth, uid)), page)


@router.post("/alerts/{uid}/deliveries/{delivery}/resend", response={202: DeliveryOut}, summary="Send an alert again")
def resend(request: ApiRequest, uid: UUID, delivery: UUID) -> HttpResponse:
    channel = _channel_of(request.auth, uid)
    row = find(Delivery.objects.filter(channel=channel).select_related("channel__workspace"), uid=delivery)
    return created(request, DeliveryOut, lambda: alert_channels.send_again(request.auth, row), status=202)
