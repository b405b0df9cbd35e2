"""What the JSON API takes and shows of endpoints. Input is closed, output is listed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field, StringConstraints

from endpoints.models import Endpoint, Event, Revision
from endpoints.states import Affinity, Status, Wish
from portal.tenancy.pagination import PageIn
from portal.tenancy.schemas import Closed, Line, Printable, Ref

MAX_REPLICAS = 64
MAX_OPTIONS = 100
Replicas = Annotated[int, Field(ge=1, le=MAX_REPLICAS, strict=True)]
OptionName = Annotated[Printable, StringConstraints(min_length=1, max_length=100)]
OptionText = Annotated[Printable, StringConstraints(max_length=2000)]
OptionValue = bool | int | float | OptionText | list[bool | int | float | OptionText] | dict[str, Any] | None
Options = Annotated[dict[OptionName, OptionValue], Field(max_length=MAX_OPTIONS)]
Variables = Annotated[dict[OptionName, OptionText | None], Field(max_length=MAX_OPTIONS)]
# What only one kind of place knows, in that place's own names: see docs/hyperpod.md and docs/sagemaker-options.md.
PlaceOptions = Annotated[dict[OptionName, Any], Field(max_length=MAX_OPTIONS)]
Devices = Annotated[list[Annotated[int, Field(ge=0, le=127, strict=True)]], Field(max_length=64)]


class TriggerIn(Closed):
    """One signal of the autoscaler. `metadata` as KEDA's (on HyperPod the operator's), or `signal` of Prometheus;
    `authentication` is a TriggerAuthentication's name. See docs/autoscaling.md."""

    type: Annotated[Printable, StringConstraints(min_length=1, max_length=40)]
    metadata: Annotated[dict[OptionName, bool | int | float | OptionText], Field(max_length=MAX_OPTIONS)] = {}
    metric_type: Annotated[str, StringConstraints(max_length=20)] = ""
    authentication: Annotated[str, StringConstraints(max_length=253)] = ""


HOW_AFFINE = ("Which replica takes a call: \"\" the least busy one, \"session\" or \"prefix\" the one that has had this "
              "session or beginning of a prompt before, unless it is too busy.")
Bound = Annotated[int, Field(ge=0, le=MAX_REPLICAS, strict=True)]
Seconds = Annotated[int, Field(ge=0, le=86_400, strict=True)]


class AutoscaleIn(Closed):
    """The place's autoscaler owns the replicas between these bounds; times in seconds."""

    min_replicas: Bound = 1
    max_replicas: Replicas
    triggers: Annotated[list[TriggerIn], Field(min_length=1, max_length=8)]
    polling_seconds: Seconds = 30
    cooldown_seconds: Seconds = 300
    stabilisation_up_seconds: Seconds = 0
    stabilisation_down_seconds: Seconds = 300
    initial_cooldown_seconds: Seconds | None = Field(None, description="Of HyperPod only.")


class EndpointIn(Closed):
    """`place` and `profile` by short name or uid. Without `public_name` callers use `name` as the model."""

    workspace: Ref
    name: Annotated[str, StringConstraints(max_length=63)]
    place: Ref
    profile: Ref
    replicas: Replicas = 1
    public_name: Annotated[str, StringConstraints(max_length=128)] = ""
    arguments: Options = {}
    environment: Variables = {}
    devices: Devices = []
    options: PlaceOptions = {}
    autoscale: AutoscaleIn | None = None
    affinity: Affinity = Field(Affinity.NONE, description=HOW_AFFINE)
    note: Line = ""
    deploy: bool = True


class ScaleIn(Closed):
    replicas: Replicas


class AffinityIn(Closed):
    affinity: Affinity = Field(description=HOW_AFFINE)


class UpdateIn(Closed):
    """What is not sent stays as it was."""

    profile: Ref | None = None
    arguments: Options | None = None
    environment: Variables | None = None
    devices: Devices | None = None
    options: PlaceOptions | None = None
    note: Line = ""


class RollbackIn(Closed):
    revision: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]


class EndpointFilter(PageIn):
    """Every filter narrows the list; `status` may be given several times."""

    workspace: str = Field("", max_length=63)
    place: str = Field("", max_length=63)
    model: str = Field("", max_length=63)
    status: list[Status] = Field(default_factory=list, max_length=20)
    wish: Wish | None = None
    q: str = Field("", max_length=63, description="Part of the name or of the model name for callers")


class EndpointOut(Schema):
    """`status` is what was seen, `wish` what is wanted; they agree when the generations do."""

    uid: UUID
    workspace: str
    name: str
    public_name: str
    place: str
    model: str
    profile: str
    wish: Wish
    replicas: int
    affinity: Affinity
    autoscale: dict[str, Any]
    autoscaled_replicas: int | None
    notes: list[str]
    origin: dict[str, str]
    generation: int
    revision: int | None
    status: Status
    status_since: datetime
    cause: str
    message: str
    observed_generation: int
    serving_revision: int | None
    ready_replicas: int
    seen_at: datetime | None
    seen_by: str
    stale: bool
    created_at: datetime
    created_by: str | None
    etag: str

    @staticmethod
    def resolve_workspace(obj: Endpoint) -> str:
        return obj.workspace.slug

    @staticmethod
    def resolve_place(obj: Endpoint) -> str:
        return obj.cluster.name

    @staticmethod
    def resolve_model(obj: Endpoint) -> str:
        return obj.wanted.profile.model.slug if obj.wanted else ""

    @staticmethod
    def resolve_profile(obj: Endpoint) -> str:
        return obj.wanted.profile.slug if obj.wanted else ""

    @staticmethod
    def resolve_revision(obj: Endpoint) -> int | None:
        return obj.wanted.number if obj.wanted else None

    @staticmethod
    def resolve_serving_revision(obj: Endpoint) -> int | None:
        return obj.serving.number if obj.serving else None

    @staticmethod
    def resolve_stale(obj: Endpoint) -> bool:
        return obj.is_stale()

    @staticmethod
    def resolve_created_by(obj: Endpoint) -> str | None:
        return obj.created_by.get_username() if obj.created_by else None


class AutoscaleOut(Schema):
    """`wish` is empty where people choose the replicas; `sentences` say what it does."""

    wish: dict[str, Any]
    sentences: list[str]
    notes: list[str]
    replicas_now: int


class RevisionOut(Schema):
    number: int
    profile: str
    spec: dict[str, Any]
    note: str
    created_at: datetime
    created_by: str | None
    served_at: datetime | None
    failed_at: datetime | None
    failure: str

    @staticmethod
    def resolve_profile(obj: Revision) -> str:
        return obj.profile.slug

    @staticmethod
    def resolve_created_by(obj: Revision) -> str | None:
        return obj.created_by.get_username() if obj.created_by else None


class EventOut(Schema):
    id: int
    at: datetime
    kind: str
    was: str
    now: str
    cause: str
    message: str
    by: str
    generation: int

    @staticmethod
    def resolve_by(obj: Event) -> str:
        return obj.actor_label


class EngineOut(Schema):
    """One engine process of the endpoint, as its agent reported it."""

    uid: UUID
    replica: int
    revision: int
    node: str
    phase: str
    message: str
    restarts: int
    exit_code: int | None
    stopping: bool
    reported_at: datetime | None


class EndpointPage(Schema):
    items: list[EndpointOut]
    next: str | None


class RevisionPage(Schema):
    items: list[RevisionOut]
    next: str | None


class EventPage(Schema):
    items: list[EventOut]
    next: str | None


class EngineList(Schema):
    items: list[EngineOut]
