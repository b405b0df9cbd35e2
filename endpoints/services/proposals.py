"""What a new revision would be: the same settings for a wish and for its plan, refused for the same reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from clusters.models import Cluster
from clusters.services import require_deployable
from endpoints.models import Endpoint
from endpoints.options import check_change, check_options, check_reserved
from endpoints.states import Wish
from endpoints.targets import KINDS
from models_catalog.choices import ArtifactKind
from models_catalog.models import Profile
from models_catalog.services import has_accepted, revision_spec
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.models import Workspace

from .governance import governance_for
from .registered import require_free_name
from .weights import with_weights


def next_spec(
    endpoint: Endpoint, profile: Profile | None, *, arguments: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None, devices: Sequence[int] | None, options: Mapping[str, Any] | None,
    make: bool = True, operates: bool = False,
) -> tuple[Profile, dict[str, Any]]:
    """Profile and settings of the next revision; what is None stays as it was. `make` false is for plans; `operates` says
    that an operator asks.

    Raises Invalid, and Conflict where there is no revision yet.
    """
    before = endpoint.wanted
    if before is None:
        raise Conflict(_("%(name)s has no revision yet.") % {"name": endpoint.name})
    chosen = profile or before.profile
    _require_usable(endpoint.workspace, endpoint.cluster, chosen)
    same = before.spec if profile is None else {}
    spec = revision_spec(
        chosen,
        arguments=same.get("arguments") if arguments is None else arguments,
        environment=same.get("environment") if environment is None else environment,
        devices=same.get("resources", {}).get("devices", ()) if devices is None else devices)
    _require_place(spec, endpoint.cluster)
    there = before.spec.get("options", {})
    spec = _for_place(endpoint.workspace, endpoint.cluster, chosen, spec, there if options is None else options)
    if not operates:
        check_reserved(endpoint.cluster, spec, spec.get("options", {}), there)
    require_free_name(endpoint.cluster, spec.get("options", {}), endpoint)
    if endpoint.wish == Wish.RUNNING:
        check_change(before.spec, spec)
    return chosen, with_weights(endpoint, chosen, spec, make=make)


def first_spec(
    workspace: Workspace, cluster: Cluster, profile: Profile, *, arguments: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None, devices: Sequence[int], options: Mapping[str, Any] | None,
    operates: bool = False,
) -> dict[str, Any]:
    """Settings of an endpoint's first revision, without the copy that it mounts. Raises Invalid."""
    _require_usable(workspace, cluster, profile)
    spec = revision_spec(profile, arguments=arguments, environment=environment, devices=devices)
    _require_place(spec, cluster)
    spec = _for_place(workspace, cluster, profile, spec, options or {})
    if not operates:
        check_reserved(cluster, spec, spec.get("options", {}), {})
    require_free_name(cluster, spec.get("options", {}), None)
    return spec


def _for_place(
    workspace: Workspace, cluster: Cluster, profile: Profile, spec: dict[str, Any], options: Mapping[str, Any],
) -> dict[str, Any]:
    """The settings with what only some kinds of place know: licence, options, queue. Raises Invalid."""
    spec = _with_licence(workspace, profile, spec)
    parts = {"options": check_options(cluster, spec, options), "governance": governance_for(workspace, cluster)}
    return {**spec, **{name: part for name, part in parts.items() if part}}


def _with_licence(workspace: Workspace, profile: Profile, spec: dict[str, Any]) -> dict[str, Any]:
    """The settings with the word that the licence was accepted. Raises Invalid for a gated model where it was not."""
    artifact = profile.artifact
    if artifact.kind != ArtifactKind.JUMPSTART:
        return spec
    accepted = has_accepted(workspace, artifact)
    if profile.model.gated and not accepted:
        raise Invalid(_("The licence of %(model)s was not accepted for this workspace yet: an admin of it does so on the "
                        "model's page.") % {"model": profile.model}, field="profile")
    return {**spec, "artifact": {**spec["artifact"], "eula_accepted": accepted}}


def _require_usable(workspace: Workspace, cluster: Cluster, profile: Profile) -> None:
    """The place and the profile are shared or this workspace's own; a stranger's look like missing ones."""
    own = Workspace.objects.filter(pk=workspace.pk)
    if not Cluster.objects.for_workspaces(own).filter(pk=cluster.pk).exists():
        raise Invalid(_("There is no such place."), field="cluster")
    if not Profile.objects.for_workspaces(own).filter(pk=profile.pk).exists():
        raise Invalid(_("There is no such profile on the shelf."), field="profile")
    if cluster.kind not in KINDS:
        raise Invalid(_("Places of this kind can't be deployed to yet."), field="cluster")
    require_deployable(cluster)


def _require_place(spec: dict[str, Any], cluster: Cluster) -> None:
    places = spec.get("places") or []
    if places and cluster.kind not in places:
        raise Invalid(_("This profile is not made for places of this kind."), field="profile")
