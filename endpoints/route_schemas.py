"""What the JSON API takes and shows of routes. Input is closed, output is listed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field, StringConstraints

from endpoints.models import Canary, CanaryState, Route, RouteTarget, TargetRole
from endpoints.services.route_picture import HISTORY_MINUTES, WINDOW_MINUTES, Lane
from endpoints.services.route_wish import MOST_STEPS, MOST_TARGETS
from portal.tenancy.pagination import ClosedQuery, PageIn
from portal.tenancy.schemas import Closed, Line, Printable, Ref

PublicName = Annotated[Printable, StringConstraints(min_length=1, max_length=128)]
Weight = Annotated[int, Field(ge=0, le=100, strict=True)]
Percent = Annotated[int, Field(ge=1, le=100, strict=True)]
Minutes = Annotated[int, Field(ge=1, le=1440, strict=True)]


class TargetIn(Closed):
    """An endpoint of the workspace by name or uid; its share is its weight of the sum of all."""

    endpoint: Ref
    weight: Weight = 100


Targets = Annotated[list[TargetIn], Field(min_length=1, max_length=MOST_TARGETS)]
Fallbacks = Annotated[list[Ref], Field(max_length=MOST_TARGETS)]


class CanaryIn(Closed):
    """An endpoint on trial. It returns to 0 % when a limit is broken (null: no such limit); see docs/routes.md."""

    endpoint: Ref
    percent: Annotated[int, Field(ge=1, le=99, strict=True)] = 5
    steps: Annotated[list[Percent], Field(max_length=MOST_STEPS, description="Next shares in %; 100 promotes.")] = []
    step_minutes: Minutes = 10
    min_calls: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 20
    window_minutes: Annotated[int, Field(ge=1, le=60, strict=True)] = 5
    max_error_percent: Annotated[float, Field(ge=0, le=100)] | None = 10.0
    max_error_points: Annotated[float, Field(ge=0, le=100)] | None = 5.0
    max_first_byte_ms: Annotated[int, Field(ge=1, le=86_400_000, strict=True)] | None = None
    max_first_byte_ratio: Annotated[float, Field(ge=1, le=100)] | None = 2.0


class RouteIn(Closed):
    """`public_name` is what callers write as “model”. `fallbacks` stand in, in this order, where no target is ready."""

    workspace: Ref
    public_name: PublicName
    targets: Targets
    fallbacks: Fallbacks = []
    is_sticky: bool = False
    description: Line = ""
    canary: CanaryIn | None = None


class RoutePatch(Closed):
    """Only what is sent is changed; `targets` and `fallbacks` are whole lists."""

    public_name: PublicName | None = None
    targets: Targets | None = None
    fallbacks: Fallbacks | None = None
    is_sticky: bool | None = None
    description: Line | None = None


class RestoreIn(Closed):
    version: Annotated[int, Field(ge=1, strict=True)]


class RouteFilter(PageIn):
    workspace: str = Field("", max_length=63)
    q: str = Field("", max_length=63, description="Part of the model name for callers")


class TrafficQuery(ClosedQuery):
    minutes: int = Field(WINDOW_MINUTES, ge=1, le=HISTORY_MINUTES)


class TargetOut(Schema):
    endpoint: str
    endpoint_uid: UUID
    weight: int

    @staticmethod
    def resolve_endpoint(obj: RouteTarget) -> str:
        return obj.endpoint.name

    @staticmethod
    def resolve_endpoint_uid(obj: RouteTarget) -> UUID:
        return obj.endpoint.uid


class CanaryOut(Schema):
    """In state “returned” it gets no calls; `percent` is what it gets when it is resumed."""

    endpoint: str
    endpoint_uid: UUID
    state: CanaryState
    reason: str
    since: datetime
    percent: int
    steps: list[int]
    step_minutes: int
    min_calls: int
    window_minutes: int
    max_error_percent: float | None
    max_error_points: float | None
    max_first_byte_ms: int | None
    max_first_byte_ratio: float | None

    @staticmethod
    def resolve_endpoint(obj: Canary) -> str:
        return obj.endpoint.name

    @staticmethod
    def resolve_endpoint_uid(obj: Canary) -> UUID:
        return obj.endpoint.uid


class RouteOut(Schema):
    uid: UUID
    workspace: str
    public_name: str
    description: str
    is_sticky: bool
    targets: list[TargetOut]
    fallbacks: list[str]
    canary: CanaryOut | None
    version: int = Field(alias="generation")
    created_at: datetime
    created_by: str
    etag: str

    @staticmethod
    def resolve_workspace(obj: Route) -> str:
        return obj.workspace.slug

    @staticmethod
    def resolve_targets(obj: Route) -> list[RouteTarget]:
        return [one for one in obj.targets.all() if one.role == TargetRole.MAIN]

    @staticmethod
    def resolve_fallbacks(obj: Route) -> list[str]:
        return [one.endpoint.name for one in obj.targets.all() if one.role == TargetRole.FALLBACK]

    @staticmethod
    def resolve_canary(obj: Any) -> Canary | None:
        return getattr(obj, "canary", None)

    @staticmethod
    def resolve_created_by(obj: Route) -> str:
        return obj.created_by.get_username() if obj.created_by else ""


class RoutePage(Schema):
    items: list[RouteOut]
    next: str | None


class ChangeOut(Schema):
    """A line of history; `wish` is the route as it was from then on, until the next one."""

    version: int = Field(alias="generation")
    at: datetime
    verb: str
    message: str
    actor: str = Field(alias="actor_label")
    wish: dict[str, Any]


class ChangePage(Schema):
    items: list[ChangeOut]
    next: str | None


class LaneOut(Schema):
    """What an endpoint did of the route's calls; null where there were none. Times are of the first token."""

    endpoint: str
    role: str
    wished_percent: float
    calls: int
    errors: int
    error_percent: float | None
    first_token_p95_ms: float | None

    @staticmethod
    def of(lane: Lane) -> LaneOut:
        time = lane.first_token
        return LaneOut(
            endpoint=lane.endpoint.name, role=lane.role, wished_percent=round(lane.percent, 2), calls=lane.seen.calls,
            errors=lane.seen.errors, error_percent=lane.seen.error_percent,
            first_token_p95_ms=None if time is None else round(1000 * time, 1))


class TrafficOut(Schema):
    minutes: int
    calls: int
    endpoints: list[LaneOut]

