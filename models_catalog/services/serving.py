"""Artifacts and profiles: where weights lie, and the tried ways to serve them."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from clusters.states import ClusterKind
from clusters.units import GIB
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid

from ..arguments import check_arguments, check_environment
from ..choices import ON_HOSTS, ArtifactKind, Device
from ..locations import check_location, check_revision
from ..models import Artifact, CatalogModel, EngineRelease, Profile
from ..placement import check_placement
from .common import before_of, clean, display_name, remove, require_manage, save
from .spec import check_profile

MAX_TOKEN = 500
CPU_RANGE, START_RANGE, MOST_GPUS, MOST_NODES = (100, 1_000_000), (10, 86_400), 64, 16
MEMORY_RANGE = (GIB // 16, 64 * 1024 * GIB)


@retry_tx
def put_artifact(actor: Actor, row: Artifact) -> Artifact:
    """Create or change where a model's weights lie. A new location forgets the token of the old one."""
    require_manage(actor, row.model.workspace)
    if row.kind not in ArtifactKind.values:
        raise Invalid(_("There is no such kind of artifact."), field="kind")
    check_location(row.kind, row.location)
    check_revision(row.kind, row.revision)
    old = before_of(row)
    if old is not None and (old.model_id, old.location) != (row.model_id, row.location):
        row.token = ""
    if old is not None and old.model_id != row.model_id and row.profiles.exists():
        raise Conflict(_("Profiles use this artifact; it stays with its model."), field="model")
    # Databases differ in how they compare case, and so do hubs: folded here, the answer is the same everywhere.
    twins = Artifact.objects.alias(place=Lower("location"), commit=Lower("revision")).filter(
        model=row.model, kind=row.kind, place=row.location.lower(), commit=row.revision.lower()).exclude(pk=row.pk)
    taken = _("This model already has that artifact.")
    if twins.exists():
        raise Conflict(taken, field="location")
    clean(row, skip=["token"])
    return save(actor, row, old, workspace=row.model.workspace, taken=taken, field="location")


def create_artifact(actor: Actor, model: CatalogModel, **values: Any) -> Artifact:
    return put_artifact(actor, Artifact(model=model, **values))


@retry_tx
def set_artifact_token(actor: Actor, row: Artifact, token: str) -> None:
    """Keep a hub's token encrypted; an empty one forgets it. It is never shown again."""
    require_manage(actor, row.model.workspace)
    if len(token) > MAX_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise Invalid(_("A token has plain characters without spaces."), field="token")
    row.put_secret("token", token)
    row.save(update_fields=["token", "updated_at"])
    audit.record(actor, "set token" if token else "forget token", row, workspace=row.model.workspace)


@retry_tx
def delete_artifact(actor: Actor, row: Artifact) -> None:
    require_manage(actor, row.model.workspace)
    remove(actor, row, workspace=row.model.workspace)


@retry_tx
def put_profile(actor: Actor, row: Profile) -> Profile:
    """Create or change a way to serve a model; arguments, environment, places and resources are checked.

    Endpoints keep their frozen copies: a change reaches them with their next update only.
    """
    require_manage(actor, row.model.workspace)
    old = before_of(row)
    if old is not None and old.model_id != row.model_id:
        raise Invalid(_("A profile stays with its model."), field="model")
    row.name = display_name(row.name, most=120)
    _check_parts(row)
    _check_resources(row)
    row.arguments = check_arguments(row.release, row.arguments)
    row.environment = check_environment(row.environment)
    row.placement = check_placement(row.placement)
    check_profile(row)
    clean(row)
    return save(actor, row, old, workspace=row.model.workspace)


def create_profile(actor: Actor, model: CatalogModel, artifact: Artifact, release: EngineRelease,
                   **values: Any) -> Profile:
    return put_profile(actor, Profile(model=model, artifact=artifact, release=release, **values))


def change_profile(actor: Actor, row: Profile, **values: Any) -> Profile:
    for name, value in values.items():
        setattr(row, name, value)
    return put_profile(actor, row)


@retry_tx
def delete_profile(actor: Actor, row: Profile) -> None:
    require_manage(actor, row.model.workspace)
    remove(actor, row, workspace=row.model.workspace)


def _check_parts(row: Profile) -> None:
    if row.artifact.model_id != row.model_id:
        raise Invalid(_("The artifact belongs to another model."), field="artifact")
    if not isinstance(row.places, list) or not set(map(str, row.places)) <= set(ClusterKind.values):
        raise Invalid(_("Kinds of place are a list with some of: %(kinds)s.")
                      % {"kinds": ", ".join(ClusterKind.values)}, field="places")
    row.places = sorted(set(row.places))
    if row.places == [ClusterKind.HOSTS] and row.artifact.kind not in ON_HOSTS:
        raise Invalid(_("An agent on a host can't load weights of the kind “%(kind)s”.")
                      % {"kind": row.artifact.get_kind_display()}, field="artifact")


def _check_resources(row: Profile) -> None:
    for name, (low, high) in (("cpu_millis", CPU_RANGE), ("memory_bytes", MEMORY_RANGE), ("start_seconds", START_RANGE)):
        value = getattr(row, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Invalid(_("This lies between %(low)d and %(high)d.") % {"low": low, "high": high}, field=name)
    needs_gpu = row.release.device == Device.CUDA
    if needs_gpu != (row.gpus > 0) or row.gpus > MOST_GPUS:
        least = 1 if needs_gpu else 0
        raise Invalid(_("This engine release takes %(least)d to %(most)d GPUs.")
                      % {"least": least, "most": MOST_GPUS if needs_gpu else 0}, field="gpus")
    if isinstance(row.nodes, bool) or not isinstance(row.nodes, int) or not 1 <= row.nodes <= MOST_NODES:
        raise Invalid(_("A replica takes 1 to %(most)d nodes.") % {"most": MOST_NODES}, field="nodes")
    if row.nodes > 1 and not row.gpus:
        raise Invalid(_("Only replicas with GPUs span several nodes."), field="nodes")
    if row.gpu_memory_bytes and not row.gpus:
        raise Invalid(_("Memory of GPUs needs GPUs."), field="gpu_memory_bytes")
