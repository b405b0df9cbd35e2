"""What goes in and out of the JSON API for workspaces, members, keys and the audit. Input is closed, output is listed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, StringConstraints

from .answers import etag_of
from .models import ApiKey, AuditEntry, Membership, Workspace
from .pagination import PageIn
from .roles import Role, Scope
from .text import printable

MAX_COUNT = 1_000_000

Printable = Annotated[str, AfterValidator(printable)]
Name = Annotated[Printable, StringConstraints(min_length=1, max_length=100)]
Line = Annotated[Printable, StringConstraints(max_length=200)]
# A short name, a uid or a user's name; the row decides whether it exists.
Ref = Annotated[Printable, StringConstraints(min_length=1, max_length=150)]
Limit = Annotated[int, Field(ge=0, le=MAX_COUNT, strict=True)]


class Closed(Schema):
    """Input: an unknown field is refused, never ignored."""

    model_config = ConfigDict(extra="forbid")


class WorkspaceIn(Closed):
    name: Name
    slug: Annotated[str, StringConstraints(max_length=63)]
    max_endpoints: Limit | None = None
    max_replicas: Limit | None = None
    max_gpus: Limit | None = None


class WorkspacePatch(Closed):
    """Only what is sent is changed; null takes a limit away."""

    name: Name | None = None
    max_endpoints: Limit | None = None
    max_replicas: Limit | None = None
    max_gpus: Limit | None = None


class WorkspaceOut(Schema):
    uid: UUID
    slug: str
    name: str
    max_endpoints: int | None
    max_replicas: int | None
    max_gpus: int | None
    created_at: datetime
    etag: str

    @staticmethod
    def resolve_etag(obj: Workspace) -> str:
        return etag_of(obj)


class MemberIn(Closed):
    user: Ref
    role: Role


class MemberPatch(Closed):
    role: Role


class MemberOut(Schema):
    uid: UUID
    user: str
    role: Role
    created_at: datetime

    @staticmethod
    def resolve_user(obj: Membership) -> str:
        return obj.user.get_username()


class KeyIn(Closed):
    """`models` are the names that the key may call; none means all of the workspace."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=10)] = [Scope.INFERENCE]
    models: Annotated[list[Annotated[str, StringConstraints(max_length=128)]], Field(max_length=100)] = []
    expires_at: AwareDatetime | None = None


class KeyOut(Schema):
    uid: UUID
    name: str
    public_id: str
    last4: str
    scopes: list[str]
    models: list[str] = Field(alias="model_names")
    state: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @staticmethod
    def resolve_created_by(obj: ApiKey) -> str:
        return obj.created_by.get_username()


class NewKeyOut(Schema):
    """`key` is shown this once; the portal keeps only its digest."""

    key: str
    api_key: KeyOut


class AuditFilter(PageIn):
    workspace: str = Field("", max_length=63)


class AuditOut(Schema):
    id: int
    at: datetime
    actor: str = Field(alias="actor_label")
    workspace: str | None
    verb: str
    kind: str
    object_uid: str
    object: str = Field(alias="object_label")
    before: dict[str, Any]
    after: dict[str, Any]
    request_id: str

    @staticmethod
    def resolve_workspace(obj: AuditEntry) -> str | None:
        return obj.workspace.slug if obj.workspace else None


class WorkspacePage(Schema):
    items: list[WorkspaceOut]
    next: str | None


class MemberPage(Schema):
    items: list[MemberOut]
    next: str | None


class KeyPage(Schema):
    items: list[KeyOut]
    next: str | None


class AuditPage(Schema):
    items: list[AuditOut]
    next: str | None
