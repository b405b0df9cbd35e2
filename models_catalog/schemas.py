"""What the JSON API shows of the catalogue. Memory in bytes, CPU in thousandths, both for each replica."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field, StringConstraints

from models_catalog.choices import ArtifactKind, Device, EngineKind, Task
from models_catalog.models import CatalogModel, EngineRelease, Profile
from portal.tenancy.answers import etag_of
from portal.tenancy.schemas import Closed, Name, Printable, Ref

Slug = Annotated[str, StringConstraints(max_length=63)]
Word = Annotated[Printable, StringConstraints(max_length=80)]
LongText = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
Count = Annotated[int, Field(ge=0, le=2**62, strict=True)]
SmallCount = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True)]
Numbers = Annotated[dict[str, Any], Field(max_length=100)]
Names = Annotated[list[Word], Field(max_length=100)]


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
    has_registry_login: bool
    enabled: bool

    @staticmethod
    def resolve_engine(obj: EngineRelease) -> str:
        return obj.kind

    @staticmethod
    def resolve_has_registry_login(obj: EngineRelease) -> bool:
        return bool(obj.registry_password)


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
    nodes: int
    gpu_memory_bytes: int
    placement: dict[str, Any]
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


class VendorIn(Closed):
    """`names` by language, such as {"enUS": "Alibaba", "zhCN": "通义千问"}."""

    slug: Slug
    names: Annotated[dict[Word, Name], Field(min_length=1, max_length=50)]
    homepage: Annotated[str, StringConstraints(max_length=200)] = ""


class VendorPatch(Closed):
    """Only what is sent is changed."""

    names: Annotated[dict[Word, Name], Field(min_length=1, max_length=50)] = {}
    homepage: Annotated[str, StringConstraints(max_length=200)] = ""


class ReleasePatch(Closed):
    """Only what is sent is changed; a release that is not enabled can't be chosen any more."""

    image: Annotated[str, StringConstraints(max_length=300)] = ""
    enabled: bool = True


class ReleaseIn(Closed):
    slug: Slug
    engine: EngineKind
    version: Annotated[str, StringConstraints(max_length=20)]
    device: Device
    image: Annotated[str, StringConstraints(max_length=300)] = ""


class RegistryLogin(Closed):
    """For the registry of the release's image. Two empty texts forget the one that is kept; so does another registry."""

    user: Annotated[str, StringConstraints(max_length=200)]
    password: Annotated[str, StringConstraints(max_length=8192)]


class ModelPatch(Closed):
    """Only what is sent is changed."""

    name: Name | None = None
    task: Task | None = None
    category: Annotated[Printable, StringConstraints(max_length=20)] = ""
    description: LongText = ""
    licence: Word = ""
    gated: bool = False
    languages: Names = []
    released: Annotated[Printable, StringConstraints(max_length=10)] = ""
    parameters: Count | None = None
    parameters_active: Count | None = None
    context_tokens: SmallCount | None = None
    weights_bytes: Count | None = None
    architecture: Word = ""
    dtype: Annotated[Printable, StringConstraints(max_length=12)] = ""
    quantisation: Annotated[Printable, StringConstraints(max_length=40)] = ""
    shape: Numbers = {}
    sources: Annotated[list[Annotated[Printable, StringConstraints(max_length=500)]], Field(max_length=50)] = []


class ModelIn(ModelPatch):
    """Without a workspace the model is shared by all, which only an operator may do."""

    slug: Slug
    name: Name
    vendor: Ref
    task: Task
    workspace: Ref | None = None
    shelved: bool = True


class ArtifactIn(Closed):
    kind: ArtifactKind
    location: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    revision: Annotated[str, StringConstraints(max_length=80)] = ""
    size_bytes: Count | None = None


class ArtifactToken(Closed):
    """An empty token forgets the one that is kept."""

    token: Annotated[str, StringConstraints(max_length=500)]


Label = Annotated[Printable, StringConstraints(min_length=1, max_length=317)]


class TolerationIn(Closed):
    """As in a pod. Exists fits any value of the taint, Equal its own only."""

    key: Label
    operator: Word = "Exists"
    value: Annotated[Printable, StringConstraints(max_length=63)] = ""
    effect: Annotated[Printable, StringConstraints(max_length=20)] = ""
    tolerationSeconds: Annotated[int, Field(ge=0, strict=True)] | None = None  # noqa: N815  Kubernetes' own spelling


class PlacementIn(Closed):
    """On which nodes of a cluster: labels of the nodes, taints that are tolerated, classes by name."""

    node_selector: Annotated[dict[Label, Annotated[Printable, StringConstraints(max_length=63)]], Field(max_length=16)] = {}
    tolerations: Annotated[list[TolerationIn], Field(max_length=16)] = []
    priority_class: Annotated[Printable, StringConstraints(max_length=253)] = ""
    runtime_class: Annotated[Printable, StringConstraints(max_length=253)] = ""


class ProfilePatch(Closed):
    """Only what is sent is changed."""

    name: Name | None = None
    places: Annotated[list[Word], Field(max_length=10)] = []
    arguments: Numbers = {}
    environment: Numbers = {}
    cpu_millis: SmallCount = 1000
    memory_bytes: Count = 0
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] = 0
    nodes: Annotated[int, Field(ge=1, le=16, strict=True)] = 1
    gpu_memory_bytes: Count = 0
    placement: PlacementIn = PlacementIn()
    start_seconds: SmallCount = 900


class ProfileIn(ProfilePatch):
    """`artifact` by uid or location, `model` and `release` by short name."""

    slug: Slug
    name: Name
    model: Ref
    artifact: Annotated[Printable, StringConstraints(min_length=1, max_length=500)]
    release: Ref
    memory_bytes: Count
