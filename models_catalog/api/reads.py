"""Reads of the catalogue, each in the caller's scope."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from ninja import Query, Router
from pydantic import Field

from models_catalog.choices import Task
from models_catalog.models import CatalogModel, EngineRelease, Profile, Vendor
from models_catalog.schemas import (
    ModelOut,
    ModelPage,
    ProfileOut,
    ProfilePage,
    ReleaseOut,
    ReleasePage,
    VendorOut,
    VendorPage,
)
from portal.tenancy.actor import Actor
from portal.tenancy.answers import etag_of, find
from portal.tenancy.auth import ApiRequest
from portal.tenancy.pagination import Page, PageIn, PageQuery, page_of

router = Router(tags=["catalogue"])


class ModelFilter(PageIn):
    task: Task | None = None
    vendor: str = Field("", max_length=63)
    q: str = Field("", max_length=100, description="Part of the name or short name")


class ProfileFilter(PageIn):
    model: str = Field("", max_length=63)
    engine: str = Field("", max_length=8)
    device: str = Field("", max_length=5)


def shelf(actor: Actor) -> QuerySet[CatalogModel]:
    """The models that the caller may see; an operator sees those off the shelf too."""
    rows = CatalogModel.objects.all() if actor.operates else CatalogModel.objects.for_workspaces(actor.scope())
    return rows.select_related("vendor", "workspace").prefetch_related("artifacts")


def profiles(actor: Actor) -> QuerySet[Profile]:
    rows = Profile.objects.all() if actor.operates else Profile.objects.for_workspaces(actor.scope())
    return rows.select_related("model", "release", "artifact")


def vendors(actor: Actor) -> QuerySet[Vendor]:
    """The vendors of what the caller may see; all, for an operator."""
    return Vendor.objects.all() if actor.operates else Vendor.objects.filter(pk__in=shelf(actor).values("vendor"))


@router.get("/vendors", response=VendorPage, summary="List vendors")
def list_vendors(request: ApiRequest, page: PageQuery) -> Page[Vendor]:
    return page_of(vendors(request.auth), page)


@router.get("/vendors/{slug}", response=VendorOut, summary="Show a vendor")
def get_vendor(request: ApiRequest, slug: str) -> Vendor:
    return find(vendors(request.auth), slug=slug)


@router.get("/models", response=ModelPage, summary="List models on the shelf")
def list_models(request: ApiRequest, page: Query[ModelFilter]) -> Page[CatalogModel]:
    rows = shelf(request.auth)
    if page.task:
        rows = rows.filter(task=page.task)
    if page.vendor:
        rows = rows.filter(vendor__slug=page.vendor)
    if page.q:
        rows = rows.filter(Q(name__icontains=page.q) | Q(slug__icontains=page.q))
    return page_of(rows, page)


@router.get("/models/{slug}", response=ModelOut, summary="Show a model")
def get_model(request: ApiRequest, response: HttpResponse, slug: str) -> CatalogModel:
    model = find(shelf(request.auth), slug=slug)
    response["ETag"] = etag_of(model)
    return model


@router.get("/profiles", response=ProfilePage, summary="List tried ways to serve models")
def list_profiles(request: ApiRequest, page: Query[ProfileFilter]) -> Page[Profile]:
    rows = profiles(request.auth)
    if page.model:
        rows = rows.filter(model__slug=page.model)
    if page.engine:
        rows = rows.filter(release__kind=page.engine)
    if page.device:
        rows = rows.filter(release__device=page.device)
    return page_of(rows, page)


@router.get("/profiles/{slug}", response=ProfileOut, summary="Show a profile")
def get_profile(request: ApiRequest, response: HttpResponse, slug: str) -> Profile:
    profile = find(profiles(request.auth), slug=slug)
    response["ETag"] = etag_of(profile)
    return profile


@router.get("/releases", response=ReleasePage, summary="List engine releases")
def list_releases(request: ApiRequest, page: PageQuery) -> Page[EngineRelease]:
    return page_of(_releases(request.auth), page)


@router.get("/releases/{slug}", response=ReleaseOut, summary="Show an engine release")
def get_release(request: ApiRequest, slug: str) -> EngineRelease:
    return find(_releases(request.auth), slug=slug)


def _releases(actor: Actor) -> QuerySet[EngineRelease]:
    """Not a tenant's secret; a key still needs the right to read."""
    actor.scope()
    return EngineRelease.objects.all() if actor.operates else EngineRelease.objects.filter(enabled=True)
