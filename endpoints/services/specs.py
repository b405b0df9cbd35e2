"""From rows to the frozen values that targets and the judgement see."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from clusters.namespaces import workspace_namespace
from endpoints.judge import RowView
from endpoints.models import Endpoint, Revision
from endpoints.states import Cause, DriftPolicy
from endpoints.targets.base import (
    Autoscale,
    FieldChange,
    Origin,
    Placement,
    Resources,
    RevisionSpec,
    Spec,
    TargetError,
    Trigger,
    Weights,
    engine_key,
)
from models_catalog.models import EngineRelease
from models_catalog.registries import registry_of
from portal.tenancy.fields import SecretUnreadable


def revision_view(revision: Revision) -> RevisionSpec:
    spec: dict[str, Any] = revision.spec
    resources, artifact = spec["resources"], spec["artifact"]
    user, password = _registry_login(revision, spec)
    return RevisionSpec(
        number=revision.number, engine=spec["engine"], release=spec["release"], device=spec["device"], task=spec["task"],
        artifact_kind=artifact["kind"], artifact_location=artifact["location"], artifact_revision=artifact["revision"],
        arguments=spec["arguments"], environment=spec["environment"], start_seconds=spec["start_seconds"],
        resources=Resources(
            cpu_millis=resources["cpu_millis"], memory_bytes=resources["memory_bytes"], gpus=resources["gpus"],
            gpu_memory_bytes=resources["gpu_memory_bytes"], nodes=resources.get("nodes", 1),
            devices=tuple(resources["devices"])),
        image=spec.get("image", ""), placement=_placement(spec.get("placement", {})),
        weights_bytes=spec.get("weights_bytes", 0), weights=_weights(spec.get("weights", {})),
        options={**spec.get("governance", {}), **spec.get("options", {})}, eula_accepted=artifact.get("eula_accepted", False),
        hub_token=_hub_token(revision, artifact), registry_user=user, registry_password=password)


def _weights(frozen: dict[str, Any]) -> Weights | None:
    return Weights(frozen["claim"], frozen["folder"]) if frozen else None


def _placement(spec: dict[str, Any]) -> Placement:
    return Placement(
        node_selector=spec.get("node_selector", {}), tolerations=tuple(spec.get("tolerations", ())),
        priority_class=spec.get("priority_class", ""), runtime_class=spec.get("runtime_class", ""))


def _autoscale(wish: dict[str, Any]) -> Autoscale | None:
    if not wish:
        return None
    triggers = tuple(Trigger(**trigger) for trigger in wish["triggers"])
    return Autoscale(**{**wish, "triggers": triggers})


def _origin(wish: dict[str, str]) -> Origin | None:
    return Origin(**wish) if wish else None


def _hub_token(revision: Revision, frozen: dict[str, str]) -> str:
    """The token of the artifact, never frozen in a revision; none where the artifact moved meanwhile.

    Raises TargetError where it can't be read any more.
    """
    artifact = revision.profile.artifact
    if (artifact.kind, artifact.location) != (frozen["kind"], frozen["location"]):
        return ""
    try:
        return artifact.secret("token")
    except SecretUnreadable as error:
        raise TargetError(Cause.REFUSED, _("The token of %(artifact)s can't be read: enter it again.") % {
            "artifact": artifact}, permanent=True) from error


def _registry_login(revision: Revision, frozen: dict[str, Any]) -> tuple[str, str]:
    """User and password of the image's registry, never frozen; empty where the release moved to another one meanwhile.

    Raises TargetError where the password can't be read any more.
    """
    registry = registry_of(frozen.get("image", ""))
    if not registry:
        return "", ""
    release: EngineRelease | None = revision.profile.release
    if revision.profile.release.slug != frozen["release"]:  # The profile went on to another one.
        release = EngineRelease.objects.filter(slug=frozen["release"]).first()
    if release is None or release.registry != registry:
        return "", ""
    try:
        return release.registry_user, release.secret("registry_password")
    except SecretUnreadable as error:
        raise TargetError(Cause.REFUSED, _("The login of %(registry)s can't be read: enter it again at %(release)s.") % {
            "registry": registry, "release": release.slug}, permanent=True) from error


def gave_up(endpoint: Endpoint) -> bool:
    """Whether the wanted revision failed and an earlier one goes on serving in its stead."""
    wanted = endpoint.wanted
    return bool(wanted and wanted.failed_at and endpoint.serving_id and endpoint.serving_id != wanted.pk)


def spec_of(endpoint: Endpoint) -> Spec:
    """What the target should make true now; after a failed update that is the revision which serves."""
    wanted = endpoint.serving if gave_up(endpoint) else endpoint.wanted
    assert wanted is not None, "create() gives every endpoint a revision"
    return Spec(
        uid=endpoint.uid, name=endpoint.name, external_name=endpoint.external_name, workspace=endpoint.workspace.slug,
        cluster_id=endpoint.cluster_id, public_name=endpoint.public_name, generation=endpoint.generation,
        replicas=endpoint.replicas, wanted=revision_view(wanted),
        serving=revision_view(endpoint.serving) if endpoint.serving else None,
        namespace=namespace_of(endpoint), autoscale=_autoscale(endpoint.autoscale), origin=_origin(endpoint.origin),
        accepted=tuple(FieldChange(**change) for change in endpoint.accepted),
        corrects_drift=endpoint.drift_policy == DriftPolicy.CORRECT, engine_key=engine_key(endpoint.uid))


def namespace_of(endpoint: Endpoint) -> str:
    """The namespace of its objects in a cluster: derived from the workspace, or that of the object that owns it."""
    owned: str = endpoint.origin.get("namespace", "")
    return owned or workspace_namespace(endpoint.workspace)


def row_view(endpoint: Endpoint, *, late: bool) -> RowView:
    wanted = endpoint.wanted
    return RowView(
        wish=endpoint.wish, status=endpoint.status, replicas=endpoint.replicas, wanted=wanted.number if wanted else 0,
        serving=endpoint.serving.number if endpoint.serving else None,
        wanted_failed=bool(wanted and wanted.failed_at), failure=wanted.failure if wanted else "",
        settled=endpoint.is_settled, late=late, contested=endpoint.is_contested, ready=endpoint.ready_replicas)
