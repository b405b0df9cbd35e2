"""deepinfer's calls, answered by the portal: the same bodies and words, over endpoints on hosts.

A deployment is an endpoint whose model name for callers is the name that was sent, so that the same name
works in /v1/chat/completions. Unlike deepinfer, a key is needed and only shelved models are run.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field, StringConstraints

from clusters.models import Accelerator, Cluster, Host
from clusters.states import ClusterKind, HostState
from endpoints import services
from endpoints.models import Endpoint
from endpoints.states import Status as State
from endpoints.states import Wish
from models_catalog.choices import ON_HOSTS, Device
from models_catalog.models import Profile
from portal.tenancy.actor import Actor
from portal.tenancy.answers import find
from portal.tenancy.auth import ApiRequest
from portal.tenancy.errors import Conflict, Invalid, NotFound, Unavailable
from portal.tenancy.models import Workspace
from portal.tenancy.pagination import MAX_LIMIT
from portal.tenancy.roles import Verb
from portal.tenancy.schemas import Closed
from portal.tenancy.text import slug_of

router = Router(tags=["deepinfer"])
DEVICES = re.compile(r"\A(?:cuda:)?([0-9]{1,3}(?:,[0-9]{1,3}){0,15})\Z")
NAME_CHARS = 56

WORDS: dict[str, str] = {
    State.PENDING: "pending", State.CREATING: "starting", State.INSERVICE: "running", State.UPDATING: "running",
    State.DEGRADED: "running", State.STALLED: "failed", State.FAILED: "failed", State.STOPPING: "stopping",
    State.STOPPED: "stopped", State.DELETING: "stopping", State.DELETED: "stopped",
}


class DeploymentIn(Closed):
    """deepinfer's request. What the portal can't keep is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    engine: Literal["vllm"] = "vllm"
    device: Annotated[str, StringConstraints(max_length=80)] | None = None
    tensor_parallel_size: Annotated[int, Field(ge=1, le=16, strict=True)] | None = None
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=16, strict=True)] | None = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    max_model_len: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] | None = None
    max_num_seqs: Annotated[int, Field(ge=1, le=65536, strict=True)] | None = None
    dtype: Annotated[str, StringConstraints(max_length=20)] | None = None
    quantization: Annotated[str, StringConstraints(max_length=40)] | None = None
    kv_cache_dtype: Annotated[str, StringConstraints(max_length=20)] | None = None
    enforce_eager: bool | None = None
    backend: Literal["native"] = "native"
    restart_policy: Literal["always", "on_failure"] = "always"
    max_restarts: Annotated[int, Field(ge=0, le=1000, strict=True)] | None = None


class AcceptedOut(Schema):
    status: str = "accepted"
    message: str
    model: str
    engine_id: UUID


class DeploymentOut(Schema):
    engine_id: UUID
    model: str
    engine: str
    status: str
    device: str
    restart_count: int = 0
    error_message: str
    started_at: Any


class DeploymentList(Schema):
    object: str = "list"
    data: list[DeploymentOut]


@dataclass(frozen=True)
class Wanted:
    """What `device` means: a kind of engine, and the GPU numbers that are pinned."""

    device: str
    indices: tuple[int, ...] = ()


@router.post("/deployments", response={202: AcceptedOut}, summary="Deploy a shelved model on a host")
def create_deployment(request: ApiRequest, data: DeploymentIn) -> Status[AcceptedOut]:
    actor = request.auth
    workspace = workspace_of(actor)
    endpoint = Endpoint.objects.filter(workspace=workspace, public_key=data.model.lower()).first()
    if endpoint is None:
        return _accepted(_create(actor, workspace, data), data.model, _("Model deployment has been accepted."))
    if endpoint.wish == Wish.DELETED:
        raise Conflict(_("The deployment of this model is being deleted. Try again in a moment."))
    if endpoint.wish == Wish.STOPPED:
        services.start(actor, endpoint)
        return _accepted(endpoint, data.model, _("The deployment is started again, with its own settings."))
    return _accepted(endpoint, data.model, _("This model is deployed already, with its own settings."))


@router.get("/deployments", response=DeploymentList, summary="List deployments")
def list_deployments(request: ApiRequest) -> DeploymentList:
    rows = _deployments(request.auth).order_by("-pk")[:MAX_LIMIT]
    return DeploymentList(data=[_out(row) for row in rows])


@router.get("/deployments/{uuid:engine_id}", response=DeploymentOut, summary="Show a deployment")
def get_deployment(request: ApiRequest, engine_id: UUID) -> DeploymentOut:
    return _out(find(_deployments(request.auth), uid=engine_id))


@router.delete("/deployments/{uuid:engine_id}", response={202: AcceptedOut}, summary="Stop a deployment")
def stop_deployment(request: ApiRequest, engine_id: UUID) -> Status[AcceptedOut]:
    endpoint = find(_deployments(request.auth), uid=engine_id)
    request.auth.require(Verb.DEPLOY, endpoint.workspace)
    if endpoint.wish == Wish.RUNNING:
        services.stop(request.auth, endpoint)
    return _accepted(endpoint, endpoint.public_name, _("The deployment is being stopped."))


def workspace_of(actor: Actor) -> Workspace:
    """The key's workspace. Raises NotFound, NotAllowed."""
    workspace = find(actor.workspaces)
    actor.require(Verb.DEPLOY, workspace)
    return workspace


def _deployments(actor: Actor) -> QuerySet[Endpoint]:
    rows = Endpoint.objects.for_workspaces(actor.scope()).filter(cluster__kind=ClusterKind.HOSTS)
    return rows.select_related("workspace", "wanted")


def _accepted(endpoint: Endpoint, model: str, message: str) -> Status[AcceptedOut]:
    return Status(202, AcceptedOut(message=message, model=model, engine_id=endpoint.uid))


def _out(row: Endpoint) -> DeploymentOut:
    spec = row.wanted.spec if row.wanted else {}
    word = WORDS[row.status]
    devices = spec.get("resources", {}).get("devices", [])
    named = f"{spec.get('device', '')}:{','.join(map(str, devices))}" if devices else spec.get("device", "")
    return DeploymentOut(
        engine_id=row.uid, model=row.public_name, engine=spec.get("engine", ""), status=word, device=named,
        error_message=row.message if word == "failed" else "",
        started_at=row.status_since if word == "running" else None)


def _create(actor: Actor, workspace: Workspace, data: DeploymentIn) -> Endpoint:
    wanted = parse_device(data.device)
    only = Workspace.objects.filter(pk=workspace.pk)
    shelved = shelved_profiles(only, data)
    place = choose_place(only, wanted, said=data.device is not None)
    profile = choose_profile(shelved, data, wanted)
    values: dict[str, Any] = {
        "cluster": place, "profile": profile, "public_name": data.model, "arguments": arguments_of(data, wanted),
        "devices": wanted.indices, "note": "deepinfer",
    }
    slug = slug_of(data.model)[:NAME_CHARS].rstrip("-")
    try:
        return services.create(actor, workspace, name=slug, **values)
    except Conflict as error:
        if error.field != "name":
            raise
        # Another endpoint has taken the short name; the model's own digest makes a second one that stays the same.
        digest = hashlib.sha256(data.model.encode()).hexdigest()[:6]
        return services.create(actor, workspace, name=f"{slug}-{digest}", **values)


def parse_device(text: str | None) -> Wanted:
    """`cpu`, `cuda`, `cuda:0`, `cuda:0,1` or `0,1`; none means the first GPU, as in deepinfer. Raises Invalid."""
    if text is None:
        return Wanted(Device.CUDA, (0,))
    if text in (Device.CPU, Device.CUDA):
        return Wanted(text)
    match = DEVICES.match(text)
    if match is None:
        raise Invalid(_("Use “cpu”, “cuda:0”, “cuda:0,1” or “0,1”."), field="device")
    return Wanted(Device.CUDA, tuple(int(part) for part in match[1].split(",")))


def choose_place(workspaces: QuerySet[Workspace], wanted: Wanted, *, said: bool) -> Cluster:
    """The first place with a ready host that has the device. Raises Invalid with what to do."""
    hosts = Host.objects.filter(state=HostState.READY, node__ready=True)
    if wanted.device == Device.CUDA:
        for index in wanted.indices or (None,):
            which = Accelerator.objects.all() if index is None else Accelerator.objects.filter(index=index)
            hosts = hosts.filter(node__in=which.values("node"))
    places = Cluster.objects.for_workspaces(workspaces).filter(kind=ClusterKind.HOSTS, paused=False)
    place = places.filter(pk__in=hosts.values("node__cluster")).order_by("name").first()
    if place is not None:
        return place
    if wanted.device == Device.CPU:
        raise Unavailable(_("No host is ready to run models."))
    if not said:
        raise Invalid(_("No host here has a GPU. Send \"device\": \"cpu\" to run the model on CPUs."), field="device")
    names = ", ".join(f"cuda:{index}" for index in wanted.indices) or "cuda"
    raise Invalid(_("No host here has the GPU %(names)s. Send \"device\": \"cpu\" to run the model on CPUs.")
                  % {"names": names}, field="device")


def shelved_profiles(workspaces: QuerySet[Workspace], data: DeploymentIn) -> list[Profile]:
    """The profiles for this hub ID, short name or name that a host can run. Raises NotFound where there is none."""
    named = Q(artifact__location=data.model) | Q(model__slug=data.model) | Q(model__name=data.model)
    rows = Profile.objects.for_workspaces(workspaces).filter(named, artifact__kind__in=ON_HOSTS, release__kind=data.engine)
    rows = rows.select_related("model", "artifact", "release").order_by("model__slug", "slug")
    found = [row for row in rows if not row.places or ClusterKind.HOSTS in row.places]
    if not found:
        raise NotFound(_("The model “%(model)s” is not on the shelf of this portal.") % {"model": data.model})
    return found


def choose_profile(shelved: list[Profile], data: DeploymentIn, wanted: Wanted) -> Profile:
    """The first profile for this device and number of GPUs. Raises Invalid with what there is instead."""
    gpus = len(wanted.indices) or data.tensor_parallel_size or 1
    for row in shelved:
        if row.release.device == wanted.device and row.gpus in (0, gpus):
            return row
    offered = sorted({f"{row.gpus} x cuda" if row.gpus else row.release.device for row in shelved})
    raise Invalid(_("This model is not shelved for this device, but for: %(offered)s.")
                  % {"offered": ", ".join(offered)}, field="device")


def arguments_of(data: DeploymentIn, wanted: Wanted) -> dict[str, Any]:
    """deepinfer's fields as engine arguments. A CPU engine has no share of a GPU's memory to set."""
    names = ["tensor_parallel_size", "pipeline_parallel_size", "max_model_len", "max_num_seqs", "dtype", "quantization",
             "kv_cache_dtype", "enforce_eager"]
    if wanted.device != Device.CPU:
        names.append("gpu_memory_utilization")
    elif (data.tensor_parallel_size or 1) > 1:
        raise Invalid(_("On a CPU, tensor_parallel_size is 1."), field="tensor_parallel_size")
    given = {name: getattr(data, name) for name in names}
    if wanted.indices:
        given["tensor_parallel_size"] = _parallel(data, wanted)
    return {name.replace("_", "-"): value for name, value in given.items() if value is not None}


def _parallel(data: DeploymentIn, wanted: Wanted) -> int:
    size = len(wanted.indices) // (data.pipeline_parallel_size or 1)
    if data.tensor_parallel_size not in (None, size):
        raise Invalid(_("%(count)d GPUs are named, but the parallel sizes use another number.")
                      % {"count": len(wanted.indices)}, field="tensor_parallel_size")
    return size
