"""Routes for routes: model names of callers that lead to weighted endpoints. A change counts in gateways within seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from endpoints.models import Endpoint, Route, RouteChange
from endpoints.route_schemas import (
    CanaryIn,
    ChangePage,
    LaneOut,
    RestoreIn,
    RouteFilter,
    RouteIn,
    RouteOut,
    RoutePage,
    RoutePatch,
    TargetIn,
    TrafficOut,
    TrafficQuery,
)
from endpoints.services import routes as services
from endpoints.services.route_picture import picture
from endpoints.services.route_wish import RouteWish, Share, Trial
from portal.tenancy.actor import Actor
from portal.tenancy.answers import changed_meanwhile, created, find, is_uid, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Invalid, Stale
from portal.tenancy.models import Workspace
from portal.tenancy.pagination import Page, PageQuery, page_of
from portal.tenancy.roles import Verb

router = Router(tags=["routes"])


def routes_of(actor: Actor) -> QuerySet[Route]:
    return (Route.objects.for_workspaces(actor.scope()).select_related("workspace", "created_by", "canary__endpoint")
            .prefetch_related("targets__endpoint"))


def route_of(request: ApiRequest, uid: UUID) -> Route:
    return find(routes_of(request.auth), uid=uid)


@router.get("/routes", response=RoutePage, summary="List routes, the newest first")
def list_routes(request: ApiRequest, page: Query[RouteFilter]) -> Page[Route]:
    actor, mine = request.auth, request.auth.scope()
    rows = routes_of(actor)
    if page.workspace or not actor.operates:  # as plain ids: databases would sort all rows for a page of a subquery
        chosen = mine.filter(slug=page.workspace) if page.workspace else mine
        rows = rows.filter(workspace__in=list(chosen.values_list("pk", flat=True)))
    if page.q:
        rows = rows.filter(public_key__contains=page.q.lower())
    return page_of(rows, page)


@router.post("/routes", response={201: RouteOut}, summary="Make a route")
def create_route(request: ApiRequest, data: RouteIn) -> HttpResponse:
    actor = request.auth
    workspace = pick(actor.workspaces, data.workspace, field="workspace", what="workspace")
    actor.require(Verb.DEPLOY, workspace)
    values = data.model_dump(include={"public_name", "is_sticky", "description"})
    wish = RouteWish(**values, **_parts(workspace, data.targets, data.fallbacks),
                     canary=_trial(workspace, data.canary) if data.canary else None)
    return created(request, RouteOut, make=lambda: route_of_pk(actor, services.create_route(actor, workspace, wish).pk))


def route_of_pk(actor: Actor, pk: int) -> Route:
    """A route of the actor as its answer shows it, read anew."""
    return find(routes_of(actor), pk=pk)


@router.get("/routes/{uid}", response=RouteOut, summary="Show a route")
def get_route(request: ApiRequest, response: HttpResponse, uid: UUID) -> Route:
    route = route_of(request, uid)
    response["ETag"] = route.etag
    return route


@router.patch("/routes/{uid}", response=RouteOut, summary="Change a route")
def change_route(request: ApiRequest, response: HttpResponse, uid: UUID, data: RoutePatch) -> Route:
    route = route_of(request, uid)
    request.auth.require(Verb.DEPLOY, route.workspace)
    given = data.model_dump(exclude_none=True, exclude={"targets", "fallbacks"})
    return _act(request, response, route, services.change_route,
                **given, **_parts(route.workspace, data.targets, data.fallbacks))


@router.delete("/routes/{uid}", response={204: None}, summary="Delete a route; its endpoints stay")
def delete_route(request: ApiRequest, uid: UUID) -> Status[None]:
    route = route_of(request, uid)
    services.delete_route(request.auth, route, expected_generation=_expected(request, route))
    return Status(204, None)


@router.post("/routes/{uid}/canary", response=RouteOut, summary="Put an endpoint on trial for a share of the calls")
def start_canary(request: ApiRequest, response: HttpResponse, uid: UUID, data: CanaryIn) -> Route:
    route = route_of(request, uid)
    request.auth.require(Verb.DEPLOY, route.workspace)
    trial = _trial(route.workspace, data)
    return _act(request, response, route, services.start_canary, trial.endpoint, **trial.values)


@router.delete("/routes/{uid}/canary", response=RouteOut, summary="Take the endpoint on trial out of a route")
def end_canary(request: ApiRequest, response: HttpResponse, uid: UUID) -> Route:
    return _act(request, response, route_of(request, uid), services.end_canary)


@router.post("/routes/{uid}/promote", response=RouteOut, summary="Give all calls to the endpoint on trial")
def promote(request: ApiRequest, response: HttpResponse, uid: UUID) -> Route:
    return _act(request, response, route_of(request, uid), services.promote)


@router.post("/routes/{uid}/return", response=RouteOut, summary="Send no more calls to the endpoint on trial")
def return_canary(request: ApiRequest, response: HttpResponse, uid: UUID) -> Route:
    return _act(request, response, route_of(request, uid), services.return_canary)


@router.post("/routes/{uid}/resume", response=RouteOut, summary="Give a returned endpoint on trial its share again")
def resume_canary(request: ApiRequest, response: HttpResponse, uid: UUID) -> Route:
    return _act(request, response, route_of(request, uid), services.resume_canary)


@router.post("/routes/{uid}/restore", response=RouteOut, summary="Bring back an earlier version of a route")
def restore_route(request: ApiRequest, response: HttpResponse, uid: UUID, data: RestoreIn) -> Route:
    return _act(request, response, route_of(request, uid), services.restore_route, data.version)


@router.get("/routes/{uid}/changes", response=ChangePage, summary="List what was changed, the newest first")
def list_changes(request: ApiRequest, uid: UUID, page: PageQuery) -> Page[RouteChange]:
    return page_of(RouteChange.objects.filter(route=route_of(request, uid)), page)


@router.get("/routes/{uid}/traffic", response=TrafficOut, summary="Show what a route's calls did, by endpoint")
def show_traffic(request: ApiRequest, uid: UUID, wanted: Query[TrafficQuery]) -> TrafficOut:
    seen = picture(route_of(request, uid), minutes=wanted.minutes)
    return TrafficOut(minutes=seen.minutes, calls=seen.calls, endpoints=[LaneOut.of(lane) for lane in seen.lanes])


def _act(
    request: ApiRequest, response: HttpResponse, route: Route, verb: Callable[..., Any], *args: Any, **values: Any,
) -> Route:
    """Run a verb at the version that the caller looked at, and show what has become of the route."""
    verb(request.auth, route, *args, expected_generation=_expected(request, route), **values)
    return get_route(request, response, route.uid)


def _expected(request: ApiRequest, route: Route) -> int | None:
    wanted = request.headers.get("If-Match", "*")
    if wanted not in ("*", route.etag):
        raise Stale(changed_meanwhile())
    return None if wanted == "*" else route.generation


def _parts(workspace: Workspace, targets: Sequence[TargetIn] | None, fallbacks: Sequence[str] | None) -> dict[str, Any]:
    """The lists of a wish that were given."""
    found = _ends(workspace, [*[one.endpoint for one in targets or ()], *(fallbacks or ())])
    parts: dict[str, Any] = {}
    if targets is not None:
        parts["mains"] = tuple(Share(found[one.endpoint], one.weight) for one in targets)
    if fallbacks is not None:
        parts["fallbacks"] = tuple(found[text] for text in fallbacks)
    return parts


def _trial(workspace: Workspace, data: CanaryIn) -> Trial:
    return Trial(_ends(workspace, [data.endpoint])[data.endpoint], data.model_dump(exclude={"endpoint"}))


def _ends(workspace: Workspace, texts: Sequence[str]) -> dict[str, Endpoint]:
    """The workspace's endpoints that a body names by uid or name, in one query. Raises Invalid for an unknown one."""
    uids = [text for text in texts if is_uid(text)]
    rows = Endpoint.objects.filter(Q(uid__in=uids) | Q(name__in=set(texts)), workspace=workspace)
    found = {key: row for row in rows for key in (str(row.uid), row.name)}
    chosen = {text: found.get(text.lower() if is_uid(text) else text) for text in texts}
    if None in chosen.values():
        raise Invalid(_("unknown %(what)s") % {"what": "endpoint"}, field="targets")
    return {text: row for text, row in chosen.items() if row is not None}
