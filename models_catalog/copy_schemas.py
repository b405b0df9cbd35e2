"""What the JSON API shows of copies in clusters. Sizes in bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field, StringConstraints

from models_catalog.models import ModelCopy
from models_catalog.schemas import Count
from models_catalog.states import AccessMode, CopyMethod, CopyState
from portal.tenancy.pagination import PageIn
from portal.tenancy.schemas import Closed, Printable, Ref


class CopyFilter(PageIn):
    """Every filter narrows the list."""

    place: str = Field("", max_length=63)
    model: str = Field("", max_length=63)
    workspace: str = Field("", max_length=63)
    state: CopyState | None = None


class CopyIn(Closed):
    """`artifact` by uid or location, `model`, `place` and `workspace` by name; without a workspace the copy is shared,
    which only an operator may do. Without a size the volume follows from the weights."""

    model: Ref
    artifact: Annotated[Printable, StringConstraints(min_length=1, max_length=500)]
    place: Ref
    workspace: Ref | None = None
    size_bytes: Count | None = None
    storage_class: Annotated[Printable, StringConstraints(max_length=63)] = ""
    access_mode: AccessMode = AccessMode.MANY


class CopyOut(Schema):
    """`bytes_total` is 0 where nobody knows it yet; `notes` say what was understood otherwise than one may expect."""

    uid: UUID
    model: str
    artifact: UUID
    place: str
    workspace: str | None
    method: CopyMethod
    state: CopyState
    state_since: datetime
    cause: str
    message: str
    bytes_done: int
    bytes_total: int
    namespace: str
    claim: str
    round: int
    size_bytes: int
    storage_class: str
    access_mode: AccessMode
    notes: list[str]
    seen_at: datetime | None
    created_at: datetime

    @staticmethod
    def resolve_model(obj: ModelCopy) -> str:
        return obj.artifact.model.slug

    @staticmethod
    def resolve_artifact(obj: ModelCopy) -> UUID:
        return obj.artifact.uid

    @staticmethod
    def resolve_place(obj: ModelCopy) -> str:
        return obj.cluster.name

    @staticmethod
    def resolve_workspace(obj: ModelCopy) -> str | None:
        return obj.workspace.slug if obj.workspace else None


class CopyPage(Schema):
    items: list[CopyOut]
    next: str | None
