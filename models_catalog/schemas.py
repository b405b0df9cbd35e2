"""What the JSON API shows of the catalogue. Memory in bytes, CPU in thousandths, both for each replica."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema

from models_catalog.choices import ArtifactKind, Device, EngineKind, Task
from models_catalog.models import CatalogModel, EngineRelease, Profile
from portal.tenancy.answers import etag_of


class VendorOut(Schema):
    uid: UUID
    slug: str
    name: str
    names: dict[str, str]
    homepage: str


class ArtifactOut(Schema):
    uid: UUID
    kind: ArtifactKind
    location: str
    revision: str
    size_bytes: int | None


class ModelOut(Schema):
    uid: UUID
    slug: str
    name: str
    vendor: str
    workspace: str | None
    task: Task
    category: str
    description: str
    licence: str
    gated: bool
    shelved: bool
    languages: list[Any]
    released: str
    parameters: int | None
    parameters_active: int | None
    context_tokens: int | None
    weights_bytes: int | None
    architecture: str
    dtype: str
    quantisation: str
    shape: dict[str, Any]
    artifacts: list[ArtifactOut]
    created_at: datetime
    etag: str

    @staticmethod
    def resolve_vendor(obj: CatalogModel) -> str:
        return obj.vendor.slug

    @staticmethod
    def resolve_workspace(obj: CatalogModel) -> str | None:
        return obj.workspace.slug if obj.workspace else None

    @staticmethod
    def resolve_etag(obj: CatalogModel) -> str:
        return etag_of(obj)


class ReleaseOut(Schema):
    uid: UUID
    slug: str
    engine: EngineKind
    version: str
    device: Device
    image: str
    enabled: bool

    @staticmethod
    def resolve_engine(obj: EngineRelease) -> str:
        return obj.kind


class ProfileOut(Schema):
    uid: UUID
    slug: str
    name: str
    model: str
    artifact: ArtifactOut
    release: str
    engine: EngineKind
    device: Device
    places: list[str]
    arguments: dict[str, Any]
    environment: dict[str, Any]
    cpu_millis: int
    memory_bytes: int
    gpus: int
    gpu_memory_bytes: int
    start_seconds: int
    etag: str

    @staticmethod
    def resolve_model(obj: Profile) -> str:
        return obj.model.slug

    @staticmethod
    def resolve_release(obj: Profile) -> str:
        return obj.release.slug

    @staticmethod
    def resolve_engine(obj: Profile) -> str:
        return obj.release.kind

    @staticmethod
    def resolve_device(obj: Profile) -> str:
        return obj.release.device

    @staticmethod
    def resolve_etag(obj: Profile) -> str:
        return etag_of(obj)


class VendorPage(Schema):
    items: list[VendorOut]
    next: str | None


class ModelPage(Schema):
    items: list[ModelOut]
    next: str | None


class ProfilePage(Schema):
    items: list[ProfileOut]
    next: str | None


class ReleasePage(Schema):
    items: list[ReleaseOut]
    next: str | None
