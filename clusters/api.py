"""Routes for places, their nodes, accelerators and hosts, and for enrolling agents."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Router, Status

from clusters import services
from clusters.models import AwsAccount, Cluster, EnrolmentToken, Host, Node
from clusters.schemas import (
    EnrolmentIn,
    EnrolmentPage,
    HostOut,
    HostPage,
    NewEnrolmentOut,
    NodePage,
    PlaceIn,
    PlaceOut,
    PlacePage,
    PlacePatch,
    node_outs,
)
from portal.tenancy.actor import Actor
from portal.tenancy.answers import created, edited, etag_of, find, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.models import Workspace
from portal.tenancy.pagination import Page, PageQuery, page_of

router = Router(tags=["places"])


def places(actor: Actor) -> QuerySet[Cluster]:
    rows = Cluster.objects.for_workspaces(actor.scope())
    return rows.select_related("workspace", "access__imports_to", "aws__account").defer(
        "access__ca", "access__client_certificate", "aws__account__secret_access_key")


def place_of(actor: Actor, uid: UUID) -> Cluster:
    return find(places(actor), uid=uid)


def host_of(actor: Actor, uid: UUID) -> Host:
    """A host of a place in the caller's scope. Raises NotFound."""
    places = Cluster.objects.for_workspaces(actor.scope())
    return find(Host.objects.filter(node__cluster__in=places).select_related("node__cluster__workspace"), uid=uid)


@router.get("/places", response=PlacePage, summary="List places")
def list_places(request: ApiRequest, page: PageQuery) -> Page[Cluster]:
    return page_of(places(request.auth), page)


@router.get("/places/{uid}", response=PlaceOut, summary="Show a place")
def get_place(request: ApiRequest, response: HttpResponse, uid: UUID) -> Cluster:
    place = place_of(request.auth, uid)
    response["ETag"] = etag_of(place)
    return place


def _workspace_of(actor: Actor, text: str | None) -> Workspace | None:
    return None if text is None else pick(actor.scope(), text, field="workspace", what="workspace")


@router.post("/places", response={201: PlaceOut}, summary="Add a place (operators)")
def create_place(request: ApiRequest, data: PlaceIn) -> HttpResponse:
    request.auth.require_operator()
    values = data.model_dump(exclude={"workspace", "kubernetes", "aws"})
    values |= {"workspace": _workspace_of(request.auth, data.workspace), "kubernetes": _connection(request.auth, data),
               "aws": _aws(request.auth, data)}
    return created(request, PlaceOut, lambda: services.create_place(request.auth, **values))


def _connection(actor: Actor, data: PlaceIn | PlacePatch) -> dict[str, object] | None:
    """What was sent of a connection; None where nothing was."""
    if data.kubernetes is None:
        return None
    given = data.kubernetes.model_dump(exclude_unset=True)
    if "imports_to" in given:
        given["imports_to"] = _workspace_of(actor, data.kubernetes.imports_to)
    return given


def _aws(actor: Actor, data: PlaceIn | PlacePatch) -> dict[str, object] | None:
    """What was sent of the AWS side; None where nothing was."""
    if data.aws is None:
        return None
    given = data.aws.model_dump(exclude_unset=True)
    if data.aws.account is not None:
        accounts = AwsAccount.objects.for_workspaces(actor.scope())
        given["account"] = pick(accounts, data.aws.account, field="account", what="AWS account", by="name")
    return given


@router.patch("/places/{uid}", response=PlaceOut, summary="Change or pause a place (operators)")
def change_place(request: ApiRequest, response: HttpResponse, uid: UUID, data: PlacePatch) -> Cluster:
    place = place_of(request.auth, uid)
    values = data.model_dump(exclude_unset=True, exclude={"kubernetes", "aws"})
    if "workspace" in values:
        values["workspace"] = _workspace_of(request.auth, data.workspace)
    values |= {"kubernetes": _connection(request.auth, data), "aws": _aws(request.auth, data)}
    place = edited(request, place, lambda: services.change_place(request.auth, place, **values))
    response["ETag"] = etag_of(place)
    return place


@router.delete("/places/{uid}", response={204: None}, summary="Delete an empty place (operators)")
def delete_place(request: ApiRequest, uid: UUID) -> Status[None]:
    services.delete_place(request.auth, place_of(request.auth, uid))
    return Status(204, None)


@router.post("/places/{uid}/forget", response={204: None}, summary="Forget a cluster that is gone (operators)")
def forget_place(request: ApiRequest, uid: UUID) -> Status[None]:
    """Its endpoints leave the portal with it; whatever runs over there goes on without the portal."""
    services.forget_place(request.auth, place_of(request.auth, uid))
    return Status(204, None)


@router.post("/places/{uid}/check", response=PlaceOut, summary="Test a place's connection now (operators)")
def check_place(request: ApiRequest, uid: UUID) -> Cluster:
    services.check_place(request.auth, place_of(request.auth, uid))
    return place_of(request.auth, uid)


@router.post("/places/{uid}/refresh", response=PlaceOut, summary="Look at a cluster's nodes now (operators)")
def refresh_place(request: ApiRequest, uid: UUID) -> Cluster:
    services.refresh_place(request.auth, place_of(request.auth, uid))
    return place_of(request.auth, uid)


@router.get("/places/{uid}/nodes", response=NodePage, summary="List nodes, their accelerators and what is free")
def list_nodes(request: ApiRequest, uid: UUID, page: PageQuery) -> dict[str, object]:
    place = place_of(request.auth, uid)
    found = page_of(Node.objects.filter(cluster=place).prefetch_related("accelerators"), page)
    return {"items": node_outs(place, found.items), "next": found.next}


@router.get("/places/{uid}/hosts", response=HostPage, summary="List hosts and their agents")
def list_hosts(request: ApiRequest, uid: UUID, page: PageQuery) -> Page[Host]:
    place = place_of(request.auth, uid)
    return page_of(Host.objects.filter(node__cluster=place).select_related("node"), page)


@router.get("/hosts/{uid}", response=HostOut, summary="Show a host")
def get_host(request: ApiRequest, uid: UUID) -> Host:
    return host_of(request.auth, uid)


@router.post("/hosts/{uid}/drain", response=HostOut, summary="Let a host take nothing new")
def drain_host(request: ApiRequest, uid: UUID) -> Host:
    return services.drain(request.auth, host_of(request.auth, uid))


@router.post("/hosts/{uid}/resume", response=HostOut, summary="Let a drained host take engines again")
def resume_host(request: ApiRequest, uid: UUID) -> Host:
    return services.undrain(request.auth, host_of(request.auth, uid))


@router.delete("/hosts/{uid}", response={204: None}, summary="Forget a host that is gone (operators)")
def forget_host(request: ApiRequest, uid: UUID) -> Status[None]:
    services.forget_host(request.auth, host_of(request.auth, uid))
    return Status(204, None)


@router.get("/places/{uid}/enrolment-tokens", response=EnrolmentPage, summary="List enrolment tokens (operators)")
def list_enrolments(request: ApiRequest, uid: UUID, page: PageQuery) -> Page[EnrolmentToken]:
    place = place_of(request.auth, uid)
    request.auth.require_operator()
    return page_of(EnrolmentToken.objects.filter(cluster=place).select_related("created_by", "host"), page)


@router.post("/places/{uid}/enrolment-tokens", response={201: NewEnrolmentOut},
             summary="Make a one-use token that lets an agent enrol (operators)")
def create_enrolment(request: ApiRequest, uid: UUID, data: EnrolmentIn) -> HttpResponse:
    place = place_of(request.auth, uid)

    def make() -> dict[str, object]:
        row, text = services.make_enrolment_token(request.auth, place, address=data.address)
        return {"token": text, "enrolment": row}

    return created(request, NewEnrolmentOut, make, secret=True)
