"""A deploy call of the hub becomes an endpoint: its place, its profile, its wish. Only rows are written here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from clusters.instances import InstanceType, instance_type
from clusters.models import Cluster
from clusters.namespaces import workspace_namespace
from clusters.services import why_not_deployable
from clusters.states import ClusterKind
from endpoints.hub.schemas import HYPERPOD, DeployIn
from endpoints.hub.wish import JOB, TENSOR, HubWish, read
from endpoints.models import Endpoint
from endpoints.vllmclusters import Wished
from endpoints.vllmclusters.needs import Needs
from models_catalog import services as catalogue
from models_catalog.choices import ArtifactKind, Device
from models_catalog.models import CatalogModel, Profile
from portal.tenancy.actor import Actor
from portal.tenancy.answers import is_uid
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid, NotAllowed
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb
from portal.tenancy.rows import new_uid
from portal.tenancy.text import external_name

from .wished import fits_place, is_same_place, known_model, put_wished, release_for
from .wishes import create

# Of a machine, an engine gets this much; the rest is for the system and the agents of the place.
SHARE = 0.8


@retry_tx
def deploy_hub(actor: Actor, workspace: Workspace, data: DeployIn) -> Endpoint:
    """Raises Invalid with the hub's field, NotAllowed, Conflict, QuotaExceeded."""
    actor.require(Verb.DEPLOY, workspace)
    uid = new_uid()
    wish, place = read(data, uid), place_of(workspace, data)
    _require_namespace(workspace, data)
    machine = _machine(data.instance_type)
    wish = with_gpus(wish, machine)
    profile = shelved(workspace, place, wish) or _own_profile(actor, workspace, place, wish, machine)
    values: dict[str, Any] = {
        "uid": uid, "cluster": place, "profile": profile, "replicas": wish.replicas, "arguments": dict(wish.arguments),
        "options": wish.options, "autoscale": wish.autoscale, "note": data.job_id[:200]}
    return _create(actor, workspace, wish.name, values)


def _create(actor: Actor, workspace: Workspace, name: str, values: dict[str, Any]) -> Endpoint:
    """By the name that the hub would make, or with a few digits of the endpoint's own where that is taken."""
    for choice in (name, external_name(name, values["uid"])):
        try:
            with transaction.atomic():
                return create(actor, workspace, name=choice, **values)
        except Conflict as error:
            if error.field not in ("name", "public_name") or choice != name:
                raise
    raise AssertionError("unreachable")


def place_of(workspace: Workspace, data: DeployIn) -> Cluster:
    """Raises Invalid: a HyperPod cluster must be named and InService, and a stranger's looks like a missing one."""
    own = Cluster.objects.for_workspaces(Workspace.objects.filter(pk=workspace.pk)).select_related("aws")
    if data.deployment_target == HYPERPOD:
        if not data.hyperpod_cluster_id:
            raise Invalid(_("hyperpod_cluster_id is required where deployment_target is hyperpod; list_clusters has them."),
                          field="hyperpod_cluster_id")
        found = next(named(own.filter(kind=ClusterKind.HYPERPOD), data.hyperpod_cluster_id), None)
        if found is None:
            raise Invalid(_("There is no such HyperPod cluster; list_clusters has them."), field="hyperpod_cluster_id")
        if reason := why_not_deployable(found):
            raise Invalid(reason, field="hyperpod_cluster_id")
        return found
    place = own.filter(kind=ClusterKind.SAGEMAKER, paused=False).order_by("name").first()
    if place is None:
        raise Invalid(_("The portal has no place for SageMaker endpoints yet: an operator adds one."),
                      field="deployment_target")
    return place


def _require_namespace(workspace: Workspace, data: DeployIn) -> None:
    """Each workspace has one namespace. “default” is what the hub's form sends by itself, so it stands for that one."""
    asked = data.hyperpod_config.namespace if data.hyperpod_config else ""
    own = workspace_namespace(workspace)
    if data.deployment_target == HYPERPOD and asked not in ("", "default", own):
        raise Invalid(_("Endpoints of this workspace are made in the namespace %(name)s: send that, or “default”.") % {
            "name": own}, field="hyperpod_config.namespace")


def named(rows: Any, text: str) -> Iterator[Cluster]:
    """Clusters by the portal's ID, the ARN, the ARN's last part, the name in AWS or the place's name, in this order."""
    if is_uid(text):
        yield from rows.filter(uid=text)
    yield from rows.filter(Q(aws__hyperpod_arn=text) | Q(aws__hyperpod_arn__endswith=f":cluster/{text}")).order_by("pk")
    yield from rows.filter(aws__hyperpod_name=text).order_by("pk")
    yield from rows.filter(name=text)


def _machine(name: str) -> InstanceType:
    found = instance_type(name)
    if found is None:
        raise Invalid(_("The portal does not know the instance type %(name)s.") % {"name": name}, field="instance_type")
    return found


def with_gpus(wish: HubWish, machine: InstanceType) -> HubWish:
    """All GPUs of the machine are used, unless the call says how many; as the hub does. Raises Invalid."""
    key, most = TENSOR, machine.gpus
    wanted = wish.arguments.get(key, most or 1)
    if most and wanted > most:
        raise Invalid(_("%(machine)s has %(most)d GPUs.") % {"machine": machine.name, "most": most},
                      field="extra_params.tensor_parallel_size")
    return wish if wanted == 1 else replace(wish, arguments={**wish.arguments, key: wanted})


def shelved(workspace: Workspace, place: Cluster, wish: HubWish) -> Profile | None:
    """A profile on the shelf for these weights, this engine and this number of GPUs."""
    rows = Profile.objects.for_workspaces(Workspace.objects.filter(pk=workspace.pk)).filter(
        artifact__kind=wish.artifact_kind, artifact__location__iexact=wish.location, release__kind=wish.engine)
    fits = (row for row in rows.select_related("model", "artifact", "release").order_by("slug")
            if row.gpus * row.nodes == wish.gpus and place.kind in (row.places or [place.kind])
            and fits_place(row.release, place.kind) and is_same_place(row.artifact, wish.location))
    return next(fits, None)


def _own_profile(
    actor: Actor, workspace: Workspace, place: Cluster, wish: HubWish, machine: InstanceType,
) -> Profile:
    """One of the workspace's own, made from what the call says. Raises NotAllowed to whom may not manage its models."""
    if Verb.MANAGE not in actor.verbs(workspace):
        raise NotAllowed(_("%(source)s is not on the shelf. An admin of the workspace can shelve it, or deploy it with a key "
                           "that may manage.") % {"source": wish.location}, code="not_shelved")
    profile = put_wished(
        actor, workspace, _wished(wish, machine), f"hub/{wish.artifact_kind}:{wish.location}:{wish.engine}:{machine.name}",
        label=f"{wish.name} · {machine.name}", release=release_for(wish.engine, place.kind), places=(place.kind,),
        like=known_model(workspace, ArtifactKind.HUGGING_FACE, wish.model_name), called=wish.model_name)
    _remember(actor, profile.model, wish)
    return profile


def _wished(wish: HubWish, machine: InstanceType) -> Wished:
    gpus = wish.gpus if machine.gpus else 0
    part = SHARE * gpus / machine.gpus if machine.gpus else SHARE
    needs = Needs(cpu_millis=int(machine.vcpus * 1000 * part), memory_bytes=int(machine.memory_bytes * part), gpus=gpus,
                  nodes=1, tensor=max(1, gpus), pipeline=1)
    return Wished(
        namespace="", name=wish.name, uid="", generation=0, artifact_kind=wish.artifact_kind, location=wish.location,
        revision="", device=Device.CUDA if gpus else Device.CPU, replicas=wish.replicas, needs=needs,
        arguments=wish.arguments, environment={}, placement={}, autoscale={})


def _remember(actor: Actor, model: CatalogModel, wish: HubWish) -> None:
    """The model knows the fine-tuning job that it comes from."""
    if wish.job and f"{JOB}{wish.job}" not in model.sources:
        catalogue.change_model(actor, model, sources=[*model.sources, f"{JOB}{wish.job}"])
