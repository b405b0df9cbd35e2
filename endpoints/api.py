"""Routes for endpoints. A verb answers 202 as soon as the wish is written; the status follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Query, Router, Status

from clusters.models import Cluster, Engine
from endpoints import services
from endpoints.approval import approve, uid_of_plan
from endpoints.evidence_schemas import (
    ExplanationOut,
    HappeningList,
    HappeningOut,
    LogOut,
    LogQuery,
    ReplicaList,
    ReplicaOut,
    explanation_out,
)
from endpoints.models import Endpoint, Event, Revision
from endpoints.schemas import (
    AffinityIn,
    EndpointFilter,
    EndpointIn,
    EndpointOut,
    EndpointPage,
    EngineList,
    EngineOut,
    EventPage,
    RevisionPage,
    RollbackIn,
    ScaleIn,
    UpdateIn,
)
from models_catalog.models import Profile
from portal.tenancy.actor import Actor
from portal.tenancy.answers import changed_meanwhile, created, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Stale
from portal.tenancy.models import Workspace
from portal.tenancy.pagination import Page, PageQuery, page_of
from portal.tenancy.presence import still_sees
from portal.tenancy.roles import Verb

router = Router(tags=["endpoints"])
# A log is text and nothing else, whatever stands in it.
PLAIN = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
SHOWN = ("workspace", "cluster", "wanted__profile__model", "serving", "created_by")


def endpoints_of(actor: Actor) -> QuerySet[Endpoint]:
    return Endpoint.objects.for_workspaces(actor.scope()).select_related(*SHOWN)


def endpoint_of(request: ApiRequest, uid: UUID) -> Endpoint:
    return find(endpoints_of(request.auth), uid=uid)


def expected_generation(request: ApiRequest, endpoint: Endpoint) -> int | None:
    """What If-Match asks for; None where the caller doesn't care. Raises Stale for another version."""
    wanted = request.headers.get("If-Match", "*")
    if wanted == "*":
        return None
    if wanted != endpoint.etag:
        raise Stale(changed_meanwhile())
    return endpoint.generation


def _accepted(endpoint: Endpoint, response: HttpResponse) -> Status[Endpoint]:
    response["ETag"] = endpoint.etag
    return Status(202, endpoint)


@router.get("/endpoints", response=EndpointPage, summary="List endpoints, the newest first")
def list_endpoints(request: ApiRequest, page: Query[EndpointFilter]) -> Page[Endpoint]:
    return page_of(_filtered(_listed(request.auth, page.workspace), page), page)


def _listed(actor: Actor, workspace: str) -> QuerySet[Endpoint]:
    """As `endpoints_of`, with the scope as plain ids: a subquery or a join makes databases sort all rows for a page."""
    mine = actor.scope()
    rows = Endpoint.objects.select_related(*SHOWN)
    if actor.operates and not workspace:
        return rows
    chosen = mine.filter(slug=workspace) if workspace else mine
    return rows.filter(workspace__in=list(chosen.values_list("pk", flat=True)))


def _filtered(rows: QuerySet[Endpoint], wanted: EndpointFilter) -> QuerySet[Endpoint]:
    if wanted.place:
        rows = rows.filter(cluster__in=list(Cluster.objects.filter(name=wanted.place)))
    if wanted.model:
        rows = rows.filter(wanted__profile__in=list(Profile.objects.filter(model__slug=wanted.model)))
    if wanted.wish:
        rows = rows.filter(wish=wanted.wish)
    if wanted.status:
        rows = rows.filter(status__in=wanted.status)
    if wanted.q:
        rows = rows.filter(Q(name__icontains=wanted.q) | Q(public_key__contains=wanted.q.lower()))
    return rows


@router.post("/endpoints", response={202: EndpointOut}, summary="Deploy a model")
def create_endpoint(request: ApiRequest, data: EndpointIn) -> HttpResponse:
    actor = request.auth
    workspace = pick(actor.workspaces, data.workspace, field="workspace", what="workspace")
    actor.require(Verb.DEPLOY, workspace)
    values = data.model_dump(exclude={"workspace", "place", "profile"})
    place, profile, uid = place_of(workspace, data.place), profile_of(workspace, data.profile), uid_of_plan(request)
    planned = {name: value for name, value in values.items() if name not in ("affinity", "note", "deploy")}
    approve(request, lambda: services.plan_creation(actor, workspace, cluster=place, profile=profile, uid=uid, **planned))
    return created(request, EndpointOut, status=202, make=lambda: services.create(
        actor, workspace, cluster=place, profile=profile, uid=uid, **values))


def place_of(workspace: Workspace, text: str) -> Cluster:
    return pick(Cluster.objects.for_workspaces(_only(workspace)), text, field="place", what="place", by="name")


def profile_of(workspace: Workspace, text: str) -> Profile:
    rows = Profile.objects.for_workspaces(_only(workspace)).select_related("model", "artifact", "release")
    return pick(rows, text, field="profile", what="profile")


def _only(workspace: Workspace) -> QuerySet[Workspace]:
    return Workspace.objects.filter(pk=workspace.pk)


@router.get("/endpoints/{uid}", response=EndpointOut, summary="Show an endpoint")
def get_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID) -> Endpoint:
    endpoint = endpoint_of(request, uid)
    response["ETag"] = endpoint.etag
    return endpoint


def act(
    request: ApiRequest, response: HttpResponse, uid: UUID, verb: Callable[..., Any], *args: Any, **planned: Any,
) -> Status[Endpoint]:
    """Run a verb that takes no more than `args`, at the version and by the plan that the caller looked at."""
    endpoint = endpoint_of(request, uid)
    approve(request, lambda: _plan_of(request.auth, endpoint, **planned))
    verb(request.auth, endpoint, *args, expected_generation=expected_generation(request, endpoint))
    return _accepted(endpoint_of(request, uid), response)


def _plan_of(actor: Actor, endpoint: Endpoint, **planned: Any) -> services.Planned:
    return services.plan_change(actor, endpoint, **planned) if planned else services.plan(endpoint)


@router.post("/endpoints/{uid}/deploy", response={202: EndpointOut}, summary="Bring the wanted revision into service")
def deploy_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID) -> Status[Endpoint]:
    return act(request, response, uid, services.deploy)


@router.post("/endpoints/{uid}/stop", response={202: EndpointOut}, summary="Stop every replica, keep the endpoint")
def stop_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID) -> Status[Endpoint]:
    return act(request, response, uid, services.stop)


@router.post("/endpoints/{uid}/start", response={202: EndpointOut}, summary="Start a stopped endpoint")
def start_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID) -> Status[Endpoint]:
    return act(request, response, uid, services.start)


@router.post("/endpoints/{uid}/retry", response={202: EndpointOut}, summary="Forget failures and try again")
def retry_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID) -> Status[Endpoint]:
    return act(request, response, uid, services.retry)


@router.post("/endpoints/{uid}/scale", response={202: EndpointOut}, summary="Change the number of replicas")
def scale_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID, data: ScaleIn) -> Status[Endpoint]:
    return act(request, response, uid, services.scale, data.replicas, replicas=data.replicas)


@router.post("/endpoints/{uid}/affinity", response={202: EndpointOut}, summary="Choose how calls find their replica")
def set_affinity(request: ApiRequest, response: HttpResponse, uid: UUID, data: AffinityIn) -> Status[Endpoint]:
    return act(request, response, uid, services.set_affinity, data.affinity.value)


@router.post("/endpoints/{uid}/rollback", response={202: EndpointOut}, summary="Go back to an earlier revision")
def roll_back_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID, data: RollbackIn) -> Status[Endpoint]:
    return act(request, response, uid, services.roll_back, data.revision, number=data.revision)


@router.post("/endpoints/{uid}/update", response={202: EndpointOut}, summary="Replace the replicas by a new revision")
def update_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID, data: UpdateIn) -> Status[Endpoint]:
    endpoint = endpoint_of(request, uid)
    request.auth.require(Verb.DEPLOY, endpoint.workspace)
    values = data.model_dump(exclude_unset=True, exclude={"profile"})
    profile = profile_of(endpoint.workspace, data.profile) if data.profile else None
    planned = {name: value for name, value in values.items() if name != "note"}
    approve(request, lambda: services.plan_change(request.auth, endpoint, profile=profile, **planned))
    services.update(request.auth, endpoint, profile=profile, expected_generation=expected_generation(request, endpoint),
                    **values)
    return _accepted(endpoint_of(request, uid), response)


@router.delete("/endpoints/{uid}", response={202: EndpointOut}, summary="Delete an endpoint; its row goes last")
def delete_endpoint(request: ApiRequest, response: HttpResponse, uid: UUID) -> Status[Endpoint]:
    return act(request, response, uid, services.delete)


@router.get("/endpoints/{uid}/revisions", response=RevisionPage, summary="List revisions")
def list_revisions(request: ApiRequest, uid: UUID, page: PageQuery) -> Page[Revision]:
    endpoint = endpoint_of(request, uid)
    return page_of(Revision.objects.filter(endpoint=endpoint).select_related("profile", "created_by"), page)


@router.get("/endpoints/{uid}/events", response=EventPage, summary="List what happened, the newest first")
def list_events(request: ApiRequest, uid: UUID, page: PageQuery) -> Page[Event]:
    return page_of(Event.objects.filter(endpoint=endpoint_of(request, uid)), page)


@router.get("/endpoints/{uid}/engines", response=EngineList, summary="List engine processes on hosts")
def list_engines(request: ApiRequest, uid: UUID) -> dict[str, list[EngineOut]]:
    rows = Engine.objects.of_endpoints([endpoint_of(request, uid).uid]).select_related("node")
    return {"items": [_engine_out(row) for row in rows.defer("log", "previous_log").order_by("index", "revision")]}


def _engine_out(row: Engine) -> EngineOut:
    return EngineOut(
        uid=row.uid, replica=row.index, revision=row.revision, node=row.node.name, phase=row.phase, message=row.message,
        restarts=row.restarts, exit_code=row.exit_code, stopping=row.stop, reported_at=row.reported_at)


@router.get("/endpoints/{uid}/logs", response=LogOut, summary="Read the last lines of a replica's engine")
def get_logs(request: ApiRequest, uid: UUID, wanted: Query[LogQuery]) -> LogOut | HttpResponseBase:
    """The last lines, of this run or the one before. `follow` goes on for some minutes and needs plain text."""
    endpoint = endpoint_of(request, uid)
    if wanted.follow:
        may_look = partial(still_sees, request.auth, endpoint.workspace_id, request.session.session_key)
        return StreamingHttpResponse(headers=PLAIN, streaming_content=services.follow_log(
            endpoint, may_look, replica=wanted.replica, previous=wanted.previous, lines=wanted.lines))
    text = services.logs(endpoint, replica=wanted.replica, previous=wanted.previous, lines=wanted.lines)
    if wanted.form == "plain":
        return HttpResponse(text, headers=PLAIN)
    return LogOut(replica=wanted.replica, previous=wanted.previous, text=text)


@router.get("/endpoints/{uid}/explain", response=ExplanationOut, summary="Say why it is not as wished")
def explain_endpoint(request: ApiRequest, uid: UUID) -> ExplanationOut:
    return explanation_out(services.explain(endpoint_of(request, uid)))


@router.get("/endpoints/{uid}/replicas", response=ReplicaList, summary="List its pods, or its engines on hosts, as seen now")
def list_replicas(request: ApiRequest, uid: UUID) -> ReplicaList:
    seen = services.evidence(endpoint_of(request, uid), deep=False)
    return ReplicaList(looked_at=seen.looked_at, items=[ReplicaOut(
        name=one.name, replica=one.index, revision=one.revision, node=one.node, phase=one.phase, ready=one.ready,
        restarts=one.restarts, exit_code=one.exit_code, message=one.unplaced or one.message or one.ended_because,
        since=one.since) for one in seen.replicas])


@router.get("/endpoints/{uid}/cluster-events", response=HappeningList, summary="List the cluster's events of its objects")
def list_cluster_events(request: ApiRequest, uid: UUID) -> HappeningList:
    """Places without events of their own, such as hosts, have none here."""
    seen = services.evidence(endpoint_of(request, uid), deep=False)
    return HappeningList(looked_at=seen.looked_at, items=[HappeningOut(**asdict(event)) for event in seen.events])
