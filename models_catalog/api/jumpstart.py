"""SageMaker's hub of models, browsed by the portal with one of its accounts."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from ninja import Query, Schema, Status
from pydantic import Field

from clusters.models import AwsAccount
from models_catalog import services
from models_catalog.jumpstart import HubDetails, HubModel
from models_catalog.models import Artifact
from models_catalog.schemas import ModelOut
from portal.tenancy.actor import Actor
from portal.tenancy.answers import created, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.pagination import ClosedQuery
from portal.tenancy.roles import Verb
from portal.tenancy.schemas import Closed, Ref

from .reads import router
from .writes import own_model


class HubQuery(ClosedQuery):
    """`account` by name or uid; without a region its own is asked."""

    account: str = Field(max_length=63)
    region: str = Field("", max_length=30)


class BrowseQuery(HubQuery):
    q: str = Field("", max_length=63, description="Part of the model ID")
    cursor: str = Field("", max_length=8192)


class HubModelOut(Schema):
    model_id: str
    version: str
    name: str
    description: str
    keywords: list[str]
    status: str


class HubPageOut(Schema):
    items: list[HubModelOut]
    next: str


class HubDetailsOut(Schema):
    """`licence` is the text that is accepted, where the hub keeps one; `asks_for_acceptance` that it must be."""

    model: HubModelOut
    asks_for_acceptance: bool
    eula: str
    licence: str
    default_instance_type: str
    instance_types: list[str]


class ShelveIn(Closed):
    """Without a version the newest one; without a workspace the model is shared by all (operators)."""

    account: Ref
    region: str = Field("", max_length=30)
    version: str = Field("", max_length=14)
    workspace: Ref | None = None


class AcceptIn(Closed):
    """`account` reads the licence, so that the record has the digest of its text."""

    workspace: Ref
    account: Ref
    region: str = Field("", max_length=30)


def account_of(actor: Actor, text: str) -> AwsAccount:
    return pick(AwsAccount.objects.for_workspaces(actor.scope()), text, field="account", what="AWS account", by="name")


def _shown(model: HubModel) -> HubModelOut:
    return HubModelOut(model_id=model.model_id, version=model.version, name=model.name, description=model.description,
                       keywords=list(model.keywords), status=model.status)


@router.get("/jumpstart/models", response=HubPageOut, summary="Browse the models of SageMaker JumpStart")
def browse_hub(request: ApiRequest, wanted: Query[BrowseQuery]) -> HubPageOut:
    page = services.browse(account_of(request.auth, wanted.account), wanted.region, text=wanted.q, token=wanted.cursor)
    return HubPageOut(items=[_shown(one) for one in page.items], next=page.next)


@router.get("/jumpstart/models/{model_id}", response=HubDetailsOut, summary="Show a model of JumpStart and its licence")
def show_hub_model(request: ApiRequest, model_id: str, wanted: Query[HubQuery]) -> HubDetailsOut:
    account = account_of(request.auth, wanted.account)
    found: HubDetails = services.hub_details(account, wanted.region, model_id)
    return HubDetailsOut(
        model=_shown(found.model), asks_for_acceptance=found.asks_for_acceptance, eula=found.eula,
        licence=services.licence_text(account, wanted.region, found), default_instance_type=found.default_instance_type,
        instance_types=list(found.instance_types))


@router.post("/jumpstart/models/{model_id}/shelve", response={201: ModelOut}, summary="Put a model of JumpStart on the shelf")
def shelve_hub_model(request: ApiRequest, model_id: str, data: ShelveIn) -> HttpResponse:
    actor = request.auth
    workspace = None
    if data.workspace is not None:
        workspace = pick(actor.scope(Verb.MANAGE), data.workspace, field="workspace", what="workspace")
    account = account_of(actor, data.account)
    return created(request, ModelOut, lambda: services.shelve_hub_model(
        actor, account, data.region, model_id, version=data.version, workspace=workspace))


@router.post("/models/{slug}/artifacts/{uid}/accept-licence", response={204: None},
             summary="Accept the licence of a model for a workspace")
def accept_licence(request: ApiRequest, slug: str, uid: UUID, data: AcceptIn) -> Status[None]:
    actor = request.auth
    rows = Artifact.objects.filter(model=own_model(actor, slug)).select_related("model")
    workspace = pick(actor.scope(), data.workspace, field="workspace", what="workspace")
    services.read_and_accept(actor, find(rows, uid=uid), workspace, account_of(actor, data.account), data.region)
    return Status(204, None)
