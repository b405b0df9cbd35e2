"""The routes of the hub's calls. Each is a POST with a JSON body and a portal API key, and answers in the hub's shape."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from ninja import Router

from clusters.models import Cluster, Node
from clusters.states import ClusterKind
from endpoints import services
from endpoints.models import Endpoint
from portal.tenancy.answers import find
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Invalid, NotFound, PortalError, Unavailable
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb

from .records import cluster_out, endpoint_out, node_out
from .schemas import (
    ClusterIn,
    ClustersOut,
    CommonOut,
    DeployIn,
    EndpointIn,
    EndpointsOut,
    ListIn,
    NodesOut,
    OneClusterOut,
)
from .words import CLUSTER, ENDPOINT, NOT_FOUND

router = Router(tags=["hub"])
MOST_NODES = 1000
# What `query_terms` may name, and the field that it means.
ENDPOINT_TERMS = {
    "endpoint_name": "name", "model_name": "wanted__profile__model__name", "engine": "wanted__profile__release__kind",
    "deployment_target": "cluster__kind",
}
CLUSTER_TERMS = {"cluster_name": "aws__hyperpod_name", "eks_cluster_name": "aws__eks_name"}


@router.post("/deploy_endpoint", response=CommonOut, summary="Deploy a model")
def deploy_endpoint(request: ApiRequest, data: DeployIn) -> CommonOut:
    """A refusal is told as the hub tells it: `result` false, the sentence in `endpoint_name`."""
    workspace: Workspace = find(request.auth.workspaces)
    try:
        endpoint = services.deploy_hub(request.auth, workspace, data)
    except Unavailable:
        raise
    except PortalError as error:
        return _common(request, result=False, endpoint_name=error.message, code=error.code, field=error.field)
    return _common(request, result=True, endpoint_name=endpoint.name)


@router.post("/delete_endpoint", response=CommonOut, summary="Delete an endpoint")
def delete_endpoint(request: ApiRequest, data: EndpointIn) -> CommonOut:
    endpoint = _endpoints(request).filter(name=data.endpoint_name).first()
    if endpoint is None:
        return _common(request, result=False, message=NotFound().message)
    services.delete(request.auth, endpoint)
    return _common(request, result=True)


@router.post("/get_endpoint_status", response=CommonOut, summary="Say how an endpoint is")
def get_endpoint_status(request: ApiRequest, data: EndpointIn) -> CommonOut:
    endpoint = _endpoints(request).filter(name=data.endpoint_name).first()
    if endpoint is None:
        return _common(request, status=NOT_FOUND)
    return _common(request, status=ENDPOINT[endpoint.status], message=endpoint.message)


@router.post("/list_endpoints", response=EndpointsOut, summary="List endpoints, the newest first")
def list_endpoints(request: ApiRequest, data: ListIn) -> EndpointsOut:
    terms = dict(data.query_terms or {})
    states = _states(terms.pop("endpoint_status", None), ENDPOINT, "endpoint_status")
    rows = _narrowed(_endpoints(request), terms, ENDPOINT_TERMS)
    rows = rows if states is None else rows.filter(status__in=states)
    found = [endpoint_out(row) for row in _page(rows.order_by("-pk"), data)]
    return EndpointsOut(response_id=request.request_id, endpoints=found, total_count=rows.count())


@router.post("/list_clusters", response=ClustersOut, summary="List HyperPod clusters")
def list_clusters(request: ApiRequest, data: ListIn) -> ClustersOut:
    terms = dict(data.query_terms or {})
    states = _states(terms.pop("cluster_status", None), CLUSTER, "cluster_status")
    rows = _narrowed(_clusters(request), terms, CLUSTER_TERMS)
    rows = rows if states is None else rows.filter(aws__status__in=states)
    found = [cluster_out(row) for row in _page(rows.order_by("name"), data)]
    return ClustersOut(response_id=request.request_id, clusters=found, total_count=rows.count())


@router.post("/get_cluster", response=OneClusterOut, summary="Show a HyperPod cluster")
def get_cluster(request: ApiRequest, data: ClusterIn) -> OneClusterOut:
    return OneClusterOut(response_id=request.request_id, body=cluster_out(_cluster(request, data.cluster_id)))


@router.post("/list_cluster_nodes", response=NodesOut, summary="List the machines of a HyperPod cluster")
def list_cluster_nodes(request: ApiRequest, data: ClusterIn) -> NodesOut:
    nodes = Node.objects.filter(cluster=_cluster(request, data.cluster_id)).select_related("cluster__aws").order_by(
        "instance_group", "name")
    found = [node_out(node) for node in nodes[:MOST_NODES]]
    return NodesOut(response_id=request.request_id, nodes=found, total_count=nodes.count())


def _common(request: ApiRequest, **response: Any) -> CommonOut:
    return CommonOut(response_id=request.request_id, response=response)


def _endpoints(request: ApiRequest) -> QuerySet[Endpoint]:
    rows = Endpoint.objects.for_workspaces(request.auth.scope(Verb.VIEW))
    return rows.select_related("workspace", "cluster__aws", "wanted__profile__model")


def _clusters(request: ApiRequest) -> QuerySet[Cluster]:
    rows = Cluster.objects.for_workspaces(request.auth.scope(Verb.VIEW)).filter(kind=ClusterKind.HYPERPOD)
    return rows.select_related("aws")


def _cluster(request: ApiRequest, text: str) -> Cluster:
    found = next(services.clusters_named(_clusters(request), text), None)
    if found is None:
        raise NotFound()
    return found


def _narrowed(rows: Any, terms: dict[str, str], known: dict[str, str]) -> Any:
    for name, value in terms.items():
        if name not in known:
            raise Invalid(_("query_terms knows %(names)s.") % {"names": ", ".join(sorted(known))}, field=f"query_terms.{name}")
        rows = rows.filter(**{known[name]: value})
    return rows


def _states(word: str | None, words: dict[str, str], name: str) -> list[str] | None:
    """The portal's states that the hub's word stands for; None where none was asked for."""
    if word is None:
        return None
    found = [state for state, said in words.items() if said == word]
    if not found:
        raise Invalid(_("There is no state %(word)s.") % {"word": word}, field=f"query_terms.{name}")
    return found


def _page(rows: Any, data: ListIn) -> Any:
    start = (data.page_index - 1) * data.page_size
    return rows[start:start + data.page_size]
