"""Copies of models in clusters. A verb answers 202 as soon as the wish is written; the state follows."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Query, Status

from clusters.models import Cluster
from models_catalog import services
from models_catalog.copy_schemas import CopyFilter, CopyIn, CopyOut, CopyPage
from models_catalog.models import Artifact, ModelCopy
from portal.tenancy.actor import Actor
from portal.tenancy.answers import created, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.pagination import Page, page_of

from .reads import router, shelf


def copies_of(actor: Actor) -> QuerySet[ModelCopy]:
    rows = ModelCopy.objects.all() if actor.operates else ModelCopy.objects.for_workspaces(actor.scope())
    return rows.select_related("artifact__model", "cluster", "workspace")


@router.get("/copies", response=CopyPage, summary="List copies of models in clusters")
def list_copies(request: ApiRequest, page: Query[CopyFilter]) -> Page[ModelCopy]:
    rows = copies_of(request.auth)
    asked = {"cluster__name": page.place, "artifact__model__slug": page.model, "workspace__slug": page.workspace,
             "state": page.state}
    return page_of(rows.filter(**{name: value for name, value in asked.items() if value}), page)


@router.post("/copies", response={202: CopyOut}, summary="Put a model's weights onto a cluster")
def create_copy(request: ApiRequest, data: CopyIn) -> HttpResponse:
    actor = request.auth
    places = Cluster.objects.all() if actor.operates else Cluster.objects.for_workspaces(actor.scope())
    model = pick(shelf(actor), data.model, field="model", what="model")
    artifact = pick(Artifact.objects.filter(model=model).select_related("model"), data.artifact, field="artifact",
                    what="artifact", by="location")
    place = pick(places, data.place, field="place", what="place", by="name")
    workspace = None
    if data.workspace is not None:
        workspace = pick(actor.scope(), data.workspace, field="workspace", what="workspace")
    values = data.model_dump(include={"size_bytes", "storage_class", "access_mode"})
    return created(request, CopyOut, lambda: services.preheat(actor, artifact, place, workspace, **values), status=202)


@router.get("/copies/{uid}", response=CopyOut, summary="Show a copy and how far it is")
def get_copy(request: ApiRequest, uid: UUID) -> ModelCopy:
    return find(copies_of(request.auth), uid=uid)


@router.post("/copies/{uid}/retry", response={202: CopyOut}, summary="Load a copy once more")
def retry_copy(request: ApiRequest, uid: UUID) -> Status[ModelCopy]:
    return Status(202, services.retry_copy(request.auth, find(copies_of(request.auth), uid=uid)))


@router.delete("/copies/{uid}", response={202: CopyOut}, summary="Remove a copy that no endpoint uses")
def remove_copy(request: ApiRequest, uid: UUID) -> Status[ModelCopy]:
    return Status(202, services.remove_copy(request.auth, find(copies_of(request.auth), uid=uid)))
