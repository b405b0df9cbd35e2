"""Changes of the catalogue: shared rows by operators, a workspace's own models by its admins."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from ninja import Status

from models_catalog import services
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from models_catalog.schemas import (
    ArtifactIn,
    ArtifactOut,
    ArtifactToken,
    ModelIn,
    ModelOut,
    ModelPatch,
    ProfileIn,
    ProfileOut,
    ProfilePatch,
    RegistryLogin,
    ReleaseIn,
    ReleaseOut,
    ReleasePatch,
    VendorIn,
    VendorOut,
    VendorPatch,
)
from portal.tenancy.actor import Actor
from portal.tenancy.answers import created, edited, etag_of, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.roles import Verb

from .reads import profiles, router, shelf, vendors


@router.post("/vendors", response={201: VendorOut}, summary="Add a vendor (operators)")
def create_vendor(request: ApiRequest, data: VendorIn) -> HttpResponse:
    return created(request, VendorOut, lambda: services.create_vendor(request.auth, **data.model_dump()))


@router.post("/releases", response={201: ReleaseOut}, summary="Add an engine release (operators)")
def create_release(request: ApiRequest, data: ReleaseIn) -> HttpResponse:
    values = data.model_dump(by_alias=False)
    values["kind"] = values.pop("engine")
    return created(request, ReleaseOut, lambda: services.create_release(request.auth, **values))


@router.patch("/vendors/{slug}", response=VendorOut, summary="Change a vendor (operators)")
def change_vendor(request: ApiRequest, response: HttpResponse, slug: str, data: VendorPatch) -> Vendor:
    row = find(vendors(request.auth), slug=slug)
    values = data.model_dump(exclude_unset=True)
    row = edited(request, row, lambda: services.change_vendor(request.auth, row, **values))
    response["ETag"] = etag_of(row)
    return row


@router.delete("/vendors/{slug}", response={204: None}, summary="Delete a vendor without models (operators)")
def delete_vendor(request: ApiRequest, slug: str) -> Status[None]:
    services.delete_vendor(request.auth, find(vendors(request.auth), slug=slug))
    return Status(204, None)


@router.patch("/releases/{slug}", response=ReleaseOut, summary="Change an engine release (operators)")
def change_release(request: ApiRequest, response: HttpResponse, slug: str, data: ReleasePatch) -> EngineRelease:
    row = find(EngineRelease.objects.all(), slug=slug)
    values = data.model_dump(exclude_unset=True)
    row = edited(request, row, lambda: services.change_release(request.auth, row, **values))
    response["ETag"] = etag_of(row)
    return row


@router.put("/releases/{slug}/registry-login", response={204: None},
            summary="Keep the login of the image's registry; never shown again (operators)")
def set_registry_login(request: ApiRequest, slug: str, data: RegistryLogin) -> Status[None]:
    row = find(EngineRelease.objects.all(), slug=slug)
    services.set_registry_login(request.auth, row, data.user, data.password)
    return Status(204, None)


@router.delete("/releases/{slug}", response={204: None}, summary="Delete an engine release that nothing uses (operators)")
def delete_release(request: ApiRequest, slug: str) -> Status[None]:
    services.delete_release(request.auth, find(EngineRelease.objects.all(), slug=slug))
    return Status(204, None)


@router.post("/models", response={201: ModelOut}, summary="Add a model, shared or a workspace's own")
def create_model(request: ApiRequest, data: ModelIn) -> HttpResponse:
    actor = request.auth
    values = data.model_dump(exclude={"vendor", "workspace"})
    values["vendor"] = pick(Vendor.objects.all(), data.vendor, field="vendor", what="vendor")
    if data.workspace is not None:
        values["workspace"] = pick(actor.scope(Verb.MANAGE), data.workspace, field="workspace", what="workspace")
    return created(request, ModelOut, lambda: services.create_model(actor, **values))


@router.patch("/models/{slug}", response=ModelOut, summary="Change a model")
def change_model(request: ApiRequest, response: HttpResponse, slug: str, data: ModelPatch) -> CatalogModel:
    model = own_model(request.auth, slug)
    values = data.model_dump(exclude_unset=True)
    model = edited(request, model, lambda: services.change_model(request.auth, model, **values))
    response["ETag"] = etag_of(model)
    return model


@router.delete("/models/{slug}", response={204: None}, summary="Delete a model that nothing was made from")
def delete_model(request: ApiRequest, slug: str) -> Status[None]:
    services.delete_model(request.auth, own_model(request.auth, slug))
    return Status(204, None)


@router.post("/models/{slug}/shelve", response=ModelOut, summary="Put a model on the shelf")
def shelve_model(request: ApiRequest, slug: str) -> CatalogModel:
    services.shelve(request.auth, own_model(request.auth, slug))
    return own_model(request.auth, slug)


@router.post("/models/{slug}/unshelve", response=ModelOut, summary="Take a model off the shelf; what runs goes on")
def unshelve_model(request: ApiRequest, slug: str) -> CatalogModel:
    services.unshelve(request.auth, own_model(request.auth, slug))
    return own_model(request.auth, slug)


@router.post("/models/{slug}/artifacts", response={201: ArtifactOut}, summary="Say where a model's weights lie")
def create_artifact(request: ApiRequest, slug: str, data: ArtifactIn) -> HttpResponse:
    model = own_model(request.auth, slug)
    return created(request, ArtifactOut, lambda: services.create_artifact(request.auth, model, **data.model_dump()))


@router.put("/models/{slug}/artifacts/{uid}/token", response={204: None}, summary="Keep a hub's token; never shown again")
def set_artifact_token(request: ApiRequest, slug: str, uid: UUID, data: ArtifactToken) -> Status[None]:
    rows = Artifact.objects.filter(model=own_model(request.auth, slug)).select_related("model__workspace")
    services.set_artifact_token(request.auth, find(rows, uid=uid), data.token)
    return Status(204, None)


@router.delete("/models/{slug}/artifacts/{uid}", response={204: None}, summary="Delete an artifact without profiles")
def delete_artifact(request: ApiRequest, slug: str, uid: UUID) -> Status[None]:
    rows = Artifact.objects.filter(model=own_model(request.auth, slug)).select_related("model__workspace")
    services.delete_artifact(request.auth, find(rows, uid=uid))
    return Status(204, None)


@router.post("/profiles", response={201: ProfileOut}, summary="Add a way to serve a model")
def create_profile(request: ApiRequest, data: ProfileIn) -> HttpResponse:
    actor = request.auth
    model = pick(own_models(actor), data.model, field="model", what="model")
    artifact = pick(Artifact.objects.filter(model=model), str(data.artifact), field="artifact", what="artifact", by="location")
    release = pick(EngineRelease.objects.filter(enabled=True), data.release, field="release", what="release")
    values = data.model_dump(exclude={"model", "artifact", "release"})
    return created(request, ProfileOut, lambda: services.create_profile(actor, model, artifact, release, **values))


@router.patch("/profiles/{slug}", response=ProfileOut, summary="Change a profile; endpoints keep their copies")
def change_profile(request: ApiRequest, response: HttpResponse, slug: str, data: ProfilePatch) -> Profile:
    profile = own_profile(request.auth, slug)
    values: dict[str, Any] = data.model_dump(exclude_unset=True)
    profile = edited(request, profile, lambda: services.change_profile(request.auth, profile, **values))
    response["ETag"] = etag_of(profile)
    return profile


@router.delete("/profiles/{slug}", response={204: None}, summary="Delete a profile that nothing was made from")
def delete_profile(request: ApiRequest, slug: str) -> Status[None]:
    services.delete_profile(request.auth, own_profile(request.auth, slug))
    return Status(204, None)


def own_models(actor: Actor) -> QuerySet[CatalogModel]:
    """What the caller sees, and what a workspace keeps off the shelf; whether it may be changed is the service's to say."""
    seen = shelf(actor)
    if actor.operates:
        return seen
    mine = Q(workspace__in=actor.scope())
    rows = CatalogModel.objects.filter(mine | Q(pk__in=seen.values("pk")))
    return rows.select_related("vendor", "workspace").prefetch_related("artifacts")


def own_model(actor: Actor, slug: str) -> CatalogModel:
    return find(own_models(actor), slug=slug)


def own_profile(actor: Actor, slug: str) -> Profile:
    return find(profiles(actor).select_related("model__workspace"), slug=slug)
