"""The catalogue's side of a VLLMCluster: what is known of its model, and the profile that stands for its wish."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from clusters.states import ClusterKind
from endpoints.vllmclusters import ModelFacts, Wished
from models_catalog import services as catalogue
from models_catalog.choices import ArtifactKind, Device, EngineKind, Task
from models_catalog.engine_args.table import load_table
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
from models_catalog.sizing import Shape
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace
from portal.tenancy.text import external_name, slug_of

START_SECONDS = 1800
# What a workspace's own model takes over from the shared one with the same weights.
COPIED = ("name", "vendor", "task", "category", "licence", "gated", "languages", "released", "parameters",
          "parameters_active", "context_tokens", "weights_bytes", "architecture", "dtype", "quantisation", "shape", "sources")
UNLISTED = "unlisted"
# Given where the engine knows it; older releases don't.
OPTIONAL = ("shutdown-timeout",)


def known_model(workspace: Workspace, kind: str, location: str) -> CatalogModel | None:
    """The model with these weights: the shared one first, then the workspace's own."""
    found = Artifact.objects.filter(kind=kind, location__iexact=location, model__workspace=None)
    own = Artifact.objects.filter(kind=kind, location__iexact=location, model__workspace=workspace)
    artifact = (found.select_related("model").order_by("pk").first() or own.select_related("model").order_by("pk").first())
    return artifact.model if artifact else None


def facts_of(model: CatalogModel | None) -> ModelFacts:
    if model is None:
        return ModelFacts()
    return ModelFacts(context_tokens=model.context_tokens, quantisation=model.quantisation, gated=model.gated,
                      weights_bytes=model.weights_bytes or 0, shape=Shape.of(model.shape) if model.shape else None)


def put_wished(
    actor: Actor, workspace: Workspace, wished: Wished, key: str, *, label: str = "", release: EngineRelease | None = None,
    places: Sequence[str] = (), like: CatalogModel | None = None, called: str = "",
) -> Profile:
    """The workspace's own profile for this wish, found by `key` or made, and brought up to date.

    A model that is made for it takes the facts of `like` over, or is `called` so where nobody knows it. Raises
    NotAllowed to whom may not manage the workspace, Invalid where no engine release fits.
    """
    artifact = _own_artifact(workspace, wished)
    if artifact is None:
        model = _own_model(actor, workspace, wished, like, called)
        artifact = catalogue.create_artifact(actor, model, kind=wished.artifact_kind, location=wished.location,
                                             revision=wished.revision)
    release = release or _release(wished.device)
    slug = external_name(wished.name or artifact.model.slug, uuid.uuid5(workspace.uid, key))
    profile = Profile.objects.filter(slug=slug, model__workspace=workspace).first()
    if profile is not None and profile.model_id != artifact.model_id:
        # Another model is another profile: revisions keep the one that they were made from.
        slug = external_name(slug, artifact.uid)
        profile = Profile.objects.filter(slug=slug, model=artifact.model).first()
    profile = profile or Profile(slug=slug, model=artifact.model)
    values = _values(wished, artifact, release) | {"name": (label or f"VLLMCluster {wished.name}").strip()[:120]}
    for name, value in {**values, "places": list(places)}.items():
        setattr(profile, name, value)
    return catalogue.put_profile(actor, profile)


def _values(wished: Wished, artifact: Artifact, release: EngineRelease) -> dict[str, Any]:
    needs = wished.needs
    table = load_table(release.kind, release.version)
    known = table.options if table else {}
    arguments = {name: value for name, value in wished.arguments.items() if name not in OPTIONAL or name in known}
    return {
        "artifact": artifact, "release": release, "arguments": arguments,
        "environment": dict(wished.environment), "cpu_millis": needs.cpu_millis, "memory_bytes": needs.memory_bytes,
        "gpus": needs.gpus, "nodes": needs.nodes, "placement": dict(wished.placement), "start_seconds": START_SECONDS,
    }


def _own_artifact(workspace: Workspace, wished: Wished) -> Artifact | None:
    own = Artifact.objects.filter(kind=wished.artifact_kind, location__iexact=wished.location, revision=wished.revision,
                                  model__workspace=workspace).select_related("model").order_by("pk")
    return next((row for row in own if is_same_place(row, wished.location)), None)


def is_same_place(artifact: Artifact, location: str) -> bool:
    """Hubs fold the case of names, folders don't, whatever a database makes of it."""
    return artifact.kind == ArtifactKind.HUGGING_FACE or artifact.location == location


def _own_model(
    actor: Actor, workspace: Workspace, wished: Wished, like: CatalogModel | None, called: str,
) -> CatalogModel:
    """The workspace's own model: another workspace must not see its profiles."""
    name = wished.location.rstrip("/").rpartition("/")[2]
    slug = external_name(name, uuid.uuid5(workspace.uid, f"{wished.artifact_kind}:{wished.location.lower()}"))
    there = CatalogModel.objects.filter(slug=slug, workspace=workspace).first()
    if there is not None:
        return there
    shared = known_model(workspace, wished.artifact_kind, wished.location) or like
    if shared is not None:
        values = {field: getattr(shared, field) for field in COPIED}
    else:
        values = {"name": (called or wished.location)[:120], "vendor": _vendor(wished.location), "task": Task.CHAT}
    return catalogue.create_model(actor, slug=slug, workspace=workspace, **values)


def _vendor(location: str) -> Vendor:
    """The organisation at the hub if we list it, else one for all that we don't."""
    listed = Vendor.objects.filter(slug=slug_of(location.partition("/")[0])).first()
    unlisted = listed or Vendor.objects.filter(slug=UNLISTED).first()
    return unlisted or catalogue.create_vendor(PORTAL, slug=UNLISTED, names={"enUS": "Not listed"})


def _release(device: str) -> EngineRelease:
    """The newest vLLM for this device that a cluster can pull."""
    found = EngineRelease.objects.filter(kind=EngineKind.VLLM, device=device, enabled=True).exclude(image="")
    rows = [row for row in found if load_table(row.kind, row.version) is not None and not is_of_sagemaker(row)]
    if not rows:
        raise Invalid(_("There is no vLLM release for %(device)s that a cluster could pull: give one an image under "
                        "engine releases.") % {"device": device.upper()}, field="release")
    return _newest(rows)


def release_for(engine: EngineKind, place: str) -> EngineRelease:
    """The newest release of this engine whose image fits the kind of place: SageMaker's containers start by themselves.

    Raises Invalid where there is none.
    """
    found = EngineRelease.objects.filter(kind=engine, device=Device.CUDA, enabled=True).exclude(image="")
    rows = [row for row in found if fits_place(row, place)]
    if not rows:
        raise Invalid(_("There is no release of %(engine)s with an image for this kind of place: add one under engine "
                        "releases.") % {"engine": engine.label}, field="engine")
    return _newest(rows)


def fits_place(release: EngineRelease, place: str) -> bool:
    """Whether the release's image is made for this kind of place; the containers of LMI are the same everywhere."""
    return release.kind == EngineKind.LMI or is_of_sagemaker(release) == (place == ClusterKind.SAGEMAKER)


def is_of_sagemaker(release: EngineRelease) -> bool:
    """Whether the image is one of AWS's containers for SageMaker endpoints, as their tags say."""
    return "-sagemaker" in release.image


def _newest(rows: Sequence[EngineRelease]) -> EngineRelease:
    return max(rows, key=lambda row: [int(part) for part in re.findall(r"\d+", row.version)])
