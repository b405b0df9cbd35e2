"""Routes for autoscaling, and for endpoints as YAML."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from django.http import HttpResponse
from ninja import Query, Router, Status
from pydantic import Field, StringConstraints

from endpoints import services
from endpoints.api import act, endpoint_of, place_of
from endpoints.autoscale import sentences
from endpoints.models import Endpoint
from endpoints.schemas import AutoscaleIn, AutoscaleOut, EndpointOut
from endpoints.services.exports import Form, export
from endpoints.services.imports import import_yaml
from portal.tenancy.answers import created, pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.pagination import ClosedQuery
from portal.tenancy.schemas import Closed, Ref

router = Router(tags=["endpoints"])


class ImportIn(Closed):
    """One VLLMCluster as YAML. Without `name` the endpoint gets the object's."""

    workspace: Ref
    place: Ref
    yaml: Annotated[str, StringConstraints(min_length=1, max_length=65_536)]
    name: Annotated[str, StringConstraints(max_length=63)] = ""
    deploy: bool = True


class ExportQuery(ClosedQuery):
    form: Form = Field(Form.VLLMCLUSTER, description="vllmcluster, manifests or helm")


@router.get("/endpoints/{uid}/autoscale", response=AutoscaleOut, summary="Show what scales an endpoint")
def show_autoscale(request: ApiRequest, uid: UUID) -> AutoscaleOut:
    endpoint = endpoint_of(request, uid)
    return AutoscaleOut(wish=endpoint.autoscale, sentences=sentences(endpoint.autoscale), notes=endpoint.notes,
                        replicas_now=endpoint.replicas_now)


@router.put("/endpoints/{uid}/autoscale", response={202: EndpointOut}, summary="Let an autoscaler own the replicas")
def put_autoscale(request: ApiRequest, response: HttpResponse, uid: UUID, data: AutoscaleIn) -> Status[Endpoint]:
    value = data.model_dump()
    return act(request, response, uid, services.set_autoscale, value, autoscale=value)


@router.delete("/endpoints/{uid}/autoscale", response={202: EndpointOut}, summary="Give the number of replicas back to people")
def delete_autoscale(request: ApiRequest, response: HttpResponse, uid: UUID) -> Status[Endpoint]:
    return act(request, response, uid, services.set_autoscale, {}, autoscale={})


@router.post("/endpoints/import", response={202: EndpointOut}, summary="Make an endpoint from a VLLMCluster")
def import_endpoint(request: ApiRequest, data: ImportIn) -> HttpResponse:
    workspace = pick(request.auth.workspaces, data.workspace, field="workspace", what="workspace")
    place = place_of(workspace, data.place)
    return created(request, EndpointOut, status=202, make=lambda: import_yaml(
        request.auth, workspace, place, data.yaml, name=data.name, deploy=data.deploy))


@router.get("/endpoints/{uid}/export", summary="An endpoint as YAML: a VLLMCluster, plain manifests or Helm values")
def export_endpoint(request: ApiRequest, uid: UUID, wanted: Query[ExportQuery]) -> HttpResponse:
    return HttpResponse(export(endpoint_of(request, uid), wanted.form), content_type="application/yaml; charset=utf-8")
