"""Copies of models in clusters: what people wish of them, and which one a deployment uses."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from clusters.models import Cluster, KubernetesAccess
from clusters.namespaces import SHARED_NAMESPACE, workspace_namespace
from clusters.states import KUBERNETES_KINDS
from clusters.units import GIB
from portal.tenancy import audit
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid, Stale
from portal.tenancy.models import Workspace
from portal.tenancy.queue import after_commit
from portal.tenancy.roles import Verb
from portal.tenancy.text import external_name

from ..choices import ArtifactKind, Device
from ..models import Artifact, CatalogModel, EngineRelease, ModelCopy
from ..preheating.source import BY_DATASET, BY_JOB, dataset_source
from ..preheating.view import MOST_DATASET_CHARS, CopyView
from ..sizing import volume_bytes
from ..states import MOVING, AccessMode, CopyMethod, CopyState

LEAST_BYTES, MOST_BYTES = GIB // 64, 64 * 1024 * GIB
ARCHIVES = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|zip)\Z")
CLASS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
AUDITED = ("artifact", "cluster", "workspace", "method", "source", "name", "namespace", "size_bytes", "storage_class",
           "access_mode", "round", "state")
MOST_NAMED = 10


@retry_tx
def preheat(
    actor: Actor, artifact: Artifact, cluster: Cluster, workspace: Workspace | None = None, *,
    size_bytes: int | None = None, storage_class: str = "", access_mode: str = AccessMode.MANY,
) -> ModelCopy:
    """Wish a copy of the artifact in a cluster, shared or for one workspace. A size of None follows from the weights.

    Shared copies are made by operators, a workspace's by those who deploy there. Raises NotFound, NotAllowed, Invalid
    with the field, Conflict where there is one already.
    """
    _require(actor, workspace)
    _require_usable(artifact.model, cluster, workspace)
    method = _method(artifact, _access(cluster), workspace)
    copy = ModelCopy(
        artifact=artifact, cluster=cluster, workspace=workspace, method=method, source=source_of(artifact),
        name=_name(artifact, workspace), namespace=workspace_namespace(workspace) if workspace else SHARED_NAMESPACE,
        image=loader_image(artifact) if method == CopyMethod.JOB else "", storage_class=_checked_class(storage_class),
        access_mode=_checked_mode(access_mode), size_bytes=_checked_size(artifact, method, size_bytes),
        bytes_total=artifact.size_bytes or artifact.model.weights_bytes or 0)
    if method == CopyMethod.DATASET:
        copy.notes = list(dataset_source(artifact.kind, artifact.location, artifact.revision).notes)
    _insert(copy)
    audit.record(actor, "preheat", copy, workspace=workspace, after=audit.snapshot(copy, AUDITED))
    _ring(copy)
    return copy


def retry_copy(actor: Actor, copy: ModelCopy) -> ModelCopy:
    """Load once more: the next round of a Dataset, or another Job. Raises NotAllowed, Conflict while it is moving, Stale."""
    if copy.state in MOVING:
        raise Conflict(_("%(name)s is on its way: %(state)s.") % {"name": copy.name, "state": copy.get_state_display()})
    if copy.method == CopyMethod.REFERENCE:
        return _wish(actor, copy, "retry", state=CopyState.PENDING)
    # A Dataset takes one round more than it knows, never two.
    return _wish(actor, copy, "retry", round=F("sent_round") + 1, state=CopyState.PENDING, bytes_done=0)


def remove_copy(actor: Actor, copy: ModelCopy) -> ModelCopy:
    """Take the copy out of its cluster; the row goes last. Raises Conflict with the names of endpoints that use it."""
    if copy.state == CopyState.REMOVING:
        return copy
    names = users_of(copy)
    if names:
        shown = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
        raise Conflict(_("%(name)s is used by these endpoints: %(names)s. Delete them or update them to another source "
                         "first.") % {"name": copy.name, "names": shown}, code="in_use")
    for reference in copy.references.exclude(state=CopyState.REMOVING).select_related("workspace", "cluster"):
        _wish(PORTAL, reference, "remove", state=CopyState.REMOVING)
    return _wish(actor, copy, "remove", state=CopyState.REMOVING)


@retry_tx
def _wish(actor: Actor, copy: ModelCopy, verb: str, **fields: Any) -> ModelCopy:
    """Write a wish by compare-and-swap on the version. Raises NotFound, NotAllowed, Stale."""
    _require(actor, copy.workspace)
    before = audit.snapshot(copy, AUDITED)
    won = ModelCopy.objects.filter(pk=copy.pk, version=copy.version).update(
        version=F("version") + 1, state_since=Now(), updated_at=Now(), next_look_at=Now(), attempts=0, cause="", message="",
        **fields)
    if not won:
        raise Stale(_("%(name)s has changed meanwhile. Load it again.") % {"name": copy.name})
    copy.refresh_from_db()
    audit.record(actor, verb, copy, workspace=copy.workspace, before=before, after=audit.snapshot(copy, AUDITED))
    _ring(copy)
    return copy


def _ring(copy: ModelCopy) -> None:
    after_commit("models_catalog.tasks.look_at_copies", copy.cluster_id)


def _insert(copy: ModelCopy) -> None:
    try:
        with transaction.atomic():
            copy.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(_("There is a copy of this model already: %(name)s in namespace %(namespace)s.") % {
            "name": copy.name, "namespace": copy.namespace}, code="exists", field="artifact") from error


# Who uses a copy, and which one a deployment takes.


def users_of(copy: ModelCopy) -> list[str]:
    """The endpoints whose pods mount this copy, or a reference to it, as workspace/name."""
    mounted = [copy, *copy.references.all()] if copy.method == CopyMethod.DATASET else [copy]
    found = set()
    for each in mounted:
        claim = Q(wanted__spec__weights__claim=each.name) | Q(serving__spec__weights__claim=each.name)
        # Django's reverse relation: endpoints are of a room above.
        rows: Any = getattr(copy.cluster, "endpoints").filter(claim, workspace=each.workspace_id)  # noqa: B009
        found |= {f"{slug}/{name}" for slug, name in rows.values_list("workspace__slug", "name")}
    return sorted(found)


def weights_for(artifact: Artifact, cluster: Cluster, workspace: Workspace, *, make: bool = True) -> dict[str, Any] | None:
    """The claim and folder that a new revision mounts: the workspace's own ready copy, else a reference to a shared one.

    Call it in the transaction that writes the revision: a copy is then removed before it or, when its user is seen, not
    at all. `make` false only tells what would be: the reference, whose name is known beforehand, is not made.
    """
    if cluster.kind not in KUBERNETES_KINDS:
        return None
    same = ModelCopy.objects.filter(artifact=artifact, cluster=cluster, source=source_of(artifact))
    own = same.filter(workspace=workspace).exclude(state=CopyState.REMOVING).first()
    if own is not None:
        usable = own.state == CopyState.READY or own.method == CopyMethod.REFERENCE
        return own.weights if usable and (not make or _hold(own)) else None
    shared = same.filter(workspace=None, state=CopyState.READY).first()
    if shared is None or (make and not _hold(shared)):
        return None
    reference = _reference(shared, workspace)
    if make:
        _put_reference(reference)
    return reference.weights


def _hold(copy: ModelCopy) -> bool:
    """Count the version up, so that whoever is just removing it looks again; False where it is on its way out already."""
    if copy.shared is not None and not _hold(copy.shared):
        return False
    return bool(ModelCopy.objects.filter(pk=copy.pk).exclude(state=CopyState.REMOVING).update(version=F("version") + 1))


def has_copy(cluster: Cluster, workspace: Workspace, claim: str) -> bool:
    """Whether the claim that a revision froze is still a copy of this workspace."""
    return ModelCopy.objects.filter(cluster=cluster, workspace=workspace, name=claim).exclude(
        state=CopyState.REMOVING).exists()


def _reference(shared: ModelCopy, workspace: Workspace) -> ModelCopy:
    return ModelCopy(
        artifact=shared.artifact, cluster=shared.cluster, workspace=workspace, shared=shared, method=CopyMethod.REFERENCE,
        source=shared.source, name=_name(shared.artifact, workspace), namespace=workspace_namespace(workspace),
        storage_class=shared.storage_class, access_mode=shared.access_mode, size_bytes=shared.size_bytes)


def _put_reference(reference: ModelCopy) -> None:
    try:
        _insert(reference)
    except Conflict:
        return  # another deployment made it a moment ago
    audit.record(PORTAL, "preheat", reference, workspace=reference.workspace, after=audit.snapshot(reference, AUDITED))
    _ring(reference)


# What a copy is made of.


def source_of(artifact: Artifact) -> dict[str, str]:
    return {"kind": artifact.kind, "location": artifact.location, "revision": artifact.revision}


def view_of(copy: ModelCopy) -> CopyView:
    """The row as rendering sees it. Raises SecretUnreadable where the artifact's token or a registry's login can't be read."""
    source, shared = copy.source, copy.shared
    view = CopyView(
        uid=copy.uid, method=copy.method, name=copy.name, namespace=copy.namespace, model=copy.artifact.model.slug,
        kind=source["kind"], location=source["location"], revision=source["revision"], size_bytes=copy.size_bytes,
        access_mode=copy.access_mode, storage_class=copy.storage_class, image=copy.image, round=copy.round,
        loaded_round=copy.loaded_round)
    if shared is not None:
        return replace(view, shared_name=shared.name, shared_namespace=shared.namespace)
    release = EngineRelease.objects.filter(image=copy.image).exclude(registry_password="").first() if copy.image else None
    if release is not None:
        view = replace(view, registry_user=release.registry_user, registry_password=release.secret("registry_password"))
    # A token belongs to its address; an artifact that moved since has another one.
    same = source_of(copy.artifact) == source
    return replace(view, token=copy.artifact.secret("token")) if same else view


def loader_image(artifact: Artifact) -> str:
    """The image that loads: of an engine that serves this artifact, on CPUs where there is a choice, because it is smaller."""
    releases = EngineRelease.objects.filter(enabled=True).exclude(image="").exclude(image__contains="{")
    own = list(releases.filter(profiles__artifact=artifact).distinct()) or list(releases)
    if not own:
        raise Invalid(_("No engine release has an image that a cluster could pull: the loader needs one. Give a release "
                        "its image first."), field="artifact")
    return min(own, key=lambda release: (release.device != Device.CPU, release.slug)).image


def default_size(artifact: Artifact, method: str) -> int | None:
    """A fifth and 1 GiB more than the weights; an archive lies beside its contents while it is unpacked."""
    weights = artifact.size_bytes or artifact.model.weights_bytes
    if not weights:
        return None
    unpacks = method == CopyMethod.JOB and artifact.kind == ArtifactKind.HTTP and ARCHIVES.search(artifact.location)
    return volume_bytes(weights, 2.2 if unpacks else 1.2)


def _name(artifact: Artifact, workspace: Workspace | None) -> str:
    """A shared Dataset is called as the model, or Hydra's model check does not find it."""
    slug = artifact.model.slug
    return external_name(slug, artifact.uid) if workspace else slug


def _method(artifact: Artifact, access: KubernetesAccess, workspace: Workspace | None) -> CopyMethod:
    """A workspace's namespace takes only pods without root, which a Dataset's own loader is not: there our Job loads."""
    kind = artifact.get_kind_display()
    if workspace is not None:
        if artifact.kind not in BY_JOB:
            raise Invalid(_("A copy for one workspace can be loaded from a hub or over HTTPS, not from: %(kind)s. Share it "
                            "with all workspaces instead.") % {"kind": kind}, field="artifact")
        return CopyMethod.JOB
    if not access.has("dataset"):
        raise Invalid(_("%(place)s has no Dataset controller (dataset.baizeai.io), which shared copies need. Choose a "
                        "workspace to load one for it, or install the controller and test the connection.") % {
                            "place": access.cluster}, field="workspace")
    if artifact.kind not in BY_DATASET:
        raise Invalid(_("This can't be copied to a cluster: %(kind)s.") % {"kind": kind}, field="artifact")
    if len(artifact.model.slug) > MOST_DATASET_CHARS:
        raise Invalid(_("The model's short name has more than %(most)d characters, which the name of the Dataset's loader "
                        "can't hold. Load a copy for one workspace.") % {"most": MOST_DATASET_CHARS}, field="artifact")
    return CopyMethod.DATASET


def _access(cluster: Cluster) -> KubernetesAccess:
    access = KubernetesAccess.objects.filter(cluster=cluster).select_related("cluster").first()
    if cluster.kind not in KUBERNETES_KINDS or access is None:
        raise Invalid(_("Models are preheated on connected Kubernetes clusters only."), field="cluster")
    if cluster.paused:
        raise Invalid(_("%(place)s takes nothing new.") % {"place": cluster}, field="cluster")
    return access


def _require(actor: Actor, workspace: Workspace | None) -> None:
    if workspace is None:
        actor.require_operator()
    else:
        actor.require(Verb.DEPLOY, workspace)


def _require_usable(model: CatalogModel, cluster: Cluster, workspace: Workspace | None) -> None:
    if workspace is None:
        if model.workspace_id or cluster.workspace_id:
            raise Invalid(_("The model or the place belongs to one workspace: choose that workspace."), field="workspace")
        return
    own = Workspace.objects.filter(pk=workspace.pk)
    if not Cluster.objects.for_workspaces(own).filter(pk=cluster.pk).exists():
        raise Invalid(_("There is no such place."), field="cluster")
    if not CatalogModel.objects.for_workspaces(own).filter(pk=model.pk).exists():
        raise Invalid(_("There is no such model on the shelf."), field="artifact")


def _checked_size(artifact: Artifact, method: str, size: int | None) -> int:
    chosen = default_size(artifact, method) if size is None else size
    if chosen is None:
        raise Invalid(_("The size of these weights is not known: say how large the volume has to be."), field="size_bytes")
    weights = artifact.size_bytes or artifact.model.weights_bytes or 0
    if not max(LEAST_BYTES, weights) <= chosen <= MOST_BYTES:
        raise Invalid(_("The volume must hold the weights, and 64 TiB are the most."), field="size_bytes")
    return chosen


def _checked_class(name: str) -> str:
    if name and not CLASS_NAME.fullmatch(name):
        raise Invalid(_("This is not the name of a storage class."), field="storage_class")
    return name


def _checked_mode(mode: str) -> str:
    if mode not in AccessMode.values:
        raise Invalid(_("Choose who reads the volume: many nodes or one."), field="access_mode")
    return mode
