"""Routes for places in AWS: HyperPod clusters found and imported, their machines and groups."""

from __future__ import annotations

from uuid import UUID

from ninja import Router, Status

from clusters import services
from clusters.api import place_of
from clusters.aws_api import account_of
from clusters.aws_places_schemas import (
    FoundPage,
    ImportIn,
    Region,
    RepairIn,
    RepairOut,
    ResizeIn,
    found_out,
)
from clusters.models import Cluster, Node
from clusters.schemas import PlaceOut
from portal.tenancy.answers import pick
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Invalid

router = Router(tags=["places"])


@router.get("/aws-accounts/{uid}/hyperpod-clusters", response=FoundPage,
            summary="Ask AWS which HyperPod clusters an account has (operators)")
def discover(request: ApiRequest, uid: UUID, region: Region = "") -> FoundPage:
    """An empty region is the account's own."""
    found = services.discover(request.auth, account_of(request.auth, uid), region)
    return FoundPage(items=[found_out(one) for one in found])


@router.post("/aws-accounts/{uid}/hyperpod-clusters", response={201: PlaceOut},
             summary="Import a HyperPod cluster as a place (operators)")
def import_hyperpod(request: ApiRequest, uid: UUID, data: ImportIn) -> Status[Cluster]:
    """Its connection is tested in the background. Sent again it is refused, since the place is there."""
    account = account_of(request.auth, uid)
    request.auth.require_operator()
    workspace = None
    if data.workspace is not None:
        workspace = pick(request.auth.scope(), data.workspace, field="workspace", what="workspace")
    made = services.import_hyperpod(request.auth, account, data.region, data.cluster, name=data.name, workspace=workspace,
                                    description=data.description)
    return Status(201, place_of(request.auth, made.uid))


@router.post("/places/{uid}/repair", response=RepairOut, summary="Reboot or replace machines of a HyperPod cluster (operators)")
def repair(request: ApiRequest, uid: UUID, data: RepairIn) -> dict[str, object]:
    """AWS answers for each machine by itself: look at every `problem`."""
    place = place_of(request.auth, uid)
    request.auth.require_operator()
    nodes = list(Node.objects.filter(cluster=place, uid__in=data.nodes))
    if len(nodes) != len(set(data.nodes)):
        raise Invalid("unknown node", field="nodes")
    return {"items": services.repair(request.auth, place, nodes, data.how)}


@router.post("/places/{uid}/resize", response=PlaceOut,
             summary="Change the size of an instance group of a HyperPod cluster (operators)")
def resize(request: ApiRequest, uid: UUID, data: ResizeIn) -> Cluster:
    """AWS adds or takes away machines within minutes; the place shows how far it is."""
    services.resize(request.auth, place_of(request.auth, uid), data.group, data.count)
    return place_of(request.auth, uid)
