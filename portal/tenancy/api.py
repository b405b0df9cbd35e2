"""Routes for workspaces, members, keys and the audit."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from . import services
from .actor import Actor
from .answers import created, edited, etag_of, find
from .auth import ApiRequest
from .errors import Invalid
from .models import ApiKey, AuditEntry, Membership, User, Workspace
from .pagination import Page, PageQuery, page_of
from .roles import Verb
from .schemas import (
    AuditFilter,
    AuditPage,
    KeyIn,
    KeyPage,
    MemberIn,
    MemberOut,
    MemberPage,
    MemberPatch,
    NewKeyOut,
    WorkspaceIn,
    WorkspaceOut,
    WorkspacePage,
    WorkspacePatch,
)

router = Router(tags=["workspaces"])


def workspace_of(actor: Actor, slug: str, verb: Verb = Verb.VIEW) -> Workspace:
    """The workspace in the caller's scope. Raises NotFound to strangers, NotAllowed to members without the right."""
    workspace = find(actor.workspaces, slug=slug)
    actor.require(verb, workspace)
    return workspace


@router.get("/workspaces", response=WorkspacePage, summary="List workspaces")
def list_workspaces(request: ApiRequest, page: PageQuery) -> Page[Workspace]:
    return page_of(services.with_limits(request.auth.scope()), page)


@router.post("/workspaces", response={201: WorkspaceOut}, summary="Make a workspace (operators)")
def create_workspace(request: ApiRequest, data: WorkspaceIn) -> HttpResponse:
    return created(request, WorkspaceOut, lambda: services.create_workspace(request.auth, **data.model_dump()))


@router.get("/workspaces/{slug}", response=WorkspaceOut, summary="Show a workspace")
def get_workspace(request: ApiRequest, response: HttpResponse, slug: str) -> Workspace:
    workspace = workspace_of(request.auth, slug)
    response["ETag"] = etag_of(workspace)
    return workspace


@router.patch("/workspaces/{slug}", response=WorkspaceOut, summary="Rename a workspace or change its limits")
def change_workspace(request: ApiRequest, response: HttpResponse, slug: str, data: WorkspacePatch) -> Workspace:
    workspace = workspace_of(request.auth, slug, Verb.MANAGE)
    values = data.model_dump(exclude_unset=True)
    if values.get("name", "-") is None:
        raise Invalid(_("A workspace needs a name."), field="name")
    workspace = edited(request, workspace, lambda: services.change_workspace(request.auth, workspace, **values))
    response["ETag"] = etag_of(workspace)
    return workspace


@router.get("/workspaces/{slug}/members", response=MemberPage, summary="List members")
def list_members(request: ApiRequest, slug: str, page: PageQuery) -> Page[Membership]:
    workspace = workspace_of(request.auth, slug)
    return page_of(Membership.objects.filter(workspace=workspace).select_related("user"), page)


@router.post("/workspaces/{slug}/members", response={201: MemberOut}, summary="Add a member")
def add_member(request: ApiRequest, slug: str, data: MemberIn) -> HttpResponse:
    workspace = workspace_of(request.auth, slug, Verb.MANAGE)
    user = User.objects.filter(username=data.user, is_active=True).first()
    if user is None:
        raise Invalid(_("unknown %(what)s") % {"what": _("user")}, field="user")
    return created(request, MemberOut, lambda: services.set_member(request.auth, workspace, user, data.role))


@router.patch("/workspaces/{slug}/members/{uid}", response=MemberOut, summary="Change a member's role")
def change_member(request: ApiRequest, slug: str, uid: UUID, data: MemberPatch) -> Membership:
    workspace = workspace_of(request.auth, slug, Verb.MANAGE)
    member = find(Membership.objects.filter(workspace=workspace).select_related("user"), uid=uid)
    return services.set_member(request.auth, workspace, member.user, data.role)


@router.delete("/workspaces/{slug}/members/{uid}", response={204: None}, summary="Remove a member, or leave")
def remove_member(request: ApiRequest, slug: str, uid: UUID) -> Status[None]:
    workspace = workspace_of(request.auth, slug)
    rows = Membership.objects.filter(workspace=workspace).select_related("user", "workspace")
    services.remove_member(request.auth, find(rows, uid=uid))
    return Status(204, None)


@router.get("/workspaces/{slug}/keys", response=KeyPage, summary="List API keys")
def list_keys(request: ApiRequest, slug: str, page: PageQuery) -> Page[ApiKey]:
    workspace = workspace_of(request.auth, slug)
    return page_of(ApiKey.objects.filter(workspace=workspace).select_related("created_by"), page)


@router.post("/workspaces/{slug}/keys", response={201: NewKeyOut}, summary="Make an API key; it is shown this once")
def create_key(request: ApiRequest, slug: str, data: KeyIn) -> HttpResponse:
    workspace = workspace_of(request.auth, slug)

    def make() -> dict[str, object]:
        row, text = services.create_key(request.auth, workspace, name=data.name, scopes=[str(s) for s in data.scopes],
                                        model_names=data.models, expires_at=data.expires_at)
        return {"key": text, "api_key": row}

    return created(request, NewKeyOut, make, secret=True)


@router.delete("/workspaces/{slug}/keys/{uid}", response={204: None}, summary="Revoke an API key")
def revoke_key(request: ApiRequest, slug: str, uid: UUID) -> Status[None]:
    workspace = workspace_of(request.auth, slug)
    services.revoke_key(request.auth, find(ApiKey.objects.filter(workspace=workspace).select_related("workspace"), uid=uid))
    return Status(204, None)


@router.get("/audit", response=AuditPage, summary="Read the audit of the workspaces that you manage")
def list_audit(request: ApiRequest, page: Query[AuditFilter]) -> Page[AuditEntry]:
    return page_of(_audited(request.auth, page.workspace).select_related("workspace"), page)


def _audited(actor: Actor, slug: str) -> QuerySet[AuditEntry]:
    if slug:
        return AuditEntry.objects.filter(workspace=workspace_of(actor, slug, Verb.MANAGE))
    if actor.operates:
        return AuditEntry.objects.all()
    return AuditEntry.objects.filter(workspace__in=actor.scope(Verb.MANAGE))
