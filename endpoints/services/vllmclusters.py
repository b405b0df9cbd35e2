"""The portal as the controller of VLLMCluster objects: one listing a cluster, endpoints that follow, status written back.

The row is the truth and the object its owner's wish. An object that is gone takes its endpoint along only when a
GET confirms it in two looks: an empty or failed listing deletes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.drivers.kinds import SCALED_OBJECT, VLLM_CLUSTER
from clusters.drivers.kube import Kube, kube_for
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.models import Cluster, KubernetesAccess
from endpoints.models import Endpoint
from endpoints.states import Wish
from endpoints.vllmclusters import Seen, Wished, model_of, read, refused_status, status_of
from portal.tenancy.actor import PORTAL
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid, PortalError, Stale, Unavailable
from portal.tenancy.models import Workspace
from portal.tenancy.queue import after_commit
from portal.tenancy.text import slug_of

from .imports import unknown_note
from .wished import facts_of, known_model, put_wished
from .wishes import create, delete, follow

log = logging.getLogger(__name__)

Manifest = dict[str, Any]
# Namespaces of the cluster itself, and those that the portal made for workspaces.
NOT_FOLLOWED = ("kube-", "ip-")


def follow_all() -> int:
    """Ring the bell for each cluster whose VLLMClusters are followed; how many."""
    pks = list(KubernetesAccess.objects.exclude(imports_to=None).values_list("cluster_id", flat=True))
    for pk in pks:
        after_commit("endpoints.tasks.follow_vllmclusters", pk)
    return len(pks)


def follow_cluster(cluster: Cluster) -> int:
    """Bring the endpoints of one cluster in line with its VLLMClusters; how many objects there are.

    Raises KubeError where the listing is not complete. Not inside a transaction.
    """
    access = KubernetesAccess.objects.select_related("imports_to").filter(cluster=cluster).first()
    if access is None or access.imports_to is None:
        return 0
    kube = kube_for(cluster)
    if not kube.has(VLLM_CLUSTER):
        return 0
    found: list[Manifest] = kube.list(VLLM_CLUSTER, dict).items
    scaled = _scaled_by_others(kube) if kube.has(SCALED_OBJECT) else set()
    rows = {row.origin_uid: row for row in Endpoint.objects.filter(cluster=cluster).exclude(origin_uid=None)
            .select_related("workspace", "cluster", "wanted__profile")}
    for manifest in found:
        row = rows.pop(_uid(manifest), None)
        _follow_one(kube, cluster, access.imports_to, manifest, row, is_scaled=_key(manifest) in scaled)
    for row in rows.values():
        _missing(kube, row)
    return len(found)


def _key(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest.get("metadata") or {}
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _uid(manifest: Manifest) -> UUID | None:
    try:
        return UUID(str((manifest.get("metadata") or {}).get("uid")))
    except ValueError:
        return None


def _scaled_by_others(kube: Kube) -> set[tuple[str, str]]:
    """The VLLMClusters that a ScaledObject of their owner scales."""
    found: Iterable[Manifest] = kube.list(SCALED_OBJECT, dict).items
    return {(_key(one)[0], str(target.get("name", ""))) for one in found
            if (target := (one.get("spec") or {}).get("scaleTargetRef") or {}).get("kind") == VLLM_CLUSTER.kind}


def _follow_one(
    kube: Kube, cluster: Cluster, workspace: Workspace, manifest: Manifest, row: Endpoint | None, *, is_scaled: bool,
) -> None:
    metadata = manifest.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        if row is not None:
            delete(PORTAL, row)
        return
    why = ""
    try:
        row = _wish_it(cluster, workspace, manifest, row, is_scaled=is_scaled)
    except (Stale, Unavailable):
        return  # the row or the database was busy; the next look does it
    except PortalError as error:
        why = error.message
    except Exception as error:  # One object that nobody expected must not stop the others; it is logged and said.
        log.exception("following a VLLMCluster failed", extra={"object": "/".join(_key(manifest))})
        why = _("The portal could not follow this object (%(what)s).") % {"what": type(error).__name__}
    _write_status(kube, manifest, row, why)


@retry_tx
def _wish_it(
    cluster: Cluster, workspace: Workspace, manifest: Manifest, row: Endpoint | None, *, is_scaled: bool,
) -> Endpoint:
    """The endpoint that does what the object says now. Raises PortalError where it can't be followed."""
    generation = int(manifest["metadata"].get("generation", 0))
    if row is not None and row.origin_generation == generation and bool(row.autoscale) == _scales_itself(manifest, is_scaled):
        if row.origin_missing_at is not None:
            Endpoint.objects.filter(pk=row.pk).update(origin_missing_at=None)
        return row
    _require_namespace(_key(manifest)[0])
    kind, location, _revision = model_of(manifest)
    model = known_model(workspace, kind, location)
    wished = read(manifest, facts_of(model))
    notes = [*wished.notes, *([] if model else [unknown_note(location)])]
    autoscale = dict(wished.autoscale)
    if is_scaled and autoscale:
        autoscale = {}
        notes.append(_("A ScaledObject of its own scales this VLLMCluster, so autoScaling was left out: two would fight."))
    profile = put_wished(PORTAL, workspace, wished, f"{cluster.uid}/{wished.namespace}/{wished.name}")
    values: Manifest = {"replicas": wished.replicas, "autoscale": autoscale, "notes": notes}
    if row is not None:
        return follow(row, profile, arguments={}, origin_generation=generation, **values)
    return _create(workspace, cluster, wished, profile=profile, **values)


def _scales_itself(manifest: Manifest, is_scaled: bool) -> bool:
    part = (manifest.get("spec") or {}).get("autoScaling") or {}
    return not is_scaled and isinstance(part, dict) and part.get("enabled") is True


def _require_namespace(namespace: str) -> None:
    if namespace.startswith(NOT_FOLLOWED):
        raise Invalid(_("The portal follows no objects in the namespace %(name)s: use one of your own.") % {"name": namespace})


def _create(workspace: Workspace, cluster: Cluster, wished: Wished, **values: Any) -> Endpoint:
    """By the object's name, or with its namespace where that is taken."""
    origin = {
        "origin": {"kind": VLLM_CLUSTER.kind, "api_version": VLLM_CLUSTER.api_version, "namespace": wished.namespace,
                   "name": wished.name, "uid": wished.uid},
        "origin_uid": UUID(wished.uid), "origin_generation": wished.generation,
    }
    earlier = Endpoint.objects.filter(cluster=cluster, origin__name=wished.name, origin__namespace=wished.namespace)
    if earlier.exists():
        raise Conflict(_("The endpoint of an earlier object with this name is still being deleted."))
    name = slug_of(wished.name)[:63].rstrip("-")
    longer = slug_of(f"{wished.namespace}-{wished.name}")[:63].rstrip("-")
    for choice in (name, longer):
        try:
            with transaction.atomic():
                return create(PORTAL, workspace, name=choice, cluster=cluster, origin=origin, **values)
        except Conflict:
            if choice == longer:
                raise
    raise AssertionError("unreachable")


def _missing(kube: Kube, row: Endpoint) -> None:
    """Delete it when a GET says in two looks that its object is gone."""
    if row.wish == Wish.DELETED:
        return
    there = kube.get(VLLM_CLUSTER, row.origin["namespace"], row.origin["name"])
    if there is not None and _uid(there) == row.origin_uid:
        return
    if row.origin_missing_at is None:
        Endpoint.objects.filter(pk=row.pk).update(origin_missing_at=Now())
    else:
        delete(PORTAL, row)


def _write_status(kube: Kube, manifest: Manifest, row: Endpoint | None, why: str) -> None:
    """By server-side apply, only where it says something else than what is there."""
    old = manifest.get("status") or {}
    namespace, name = _key(manifest)
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    if row is None:
        new = refused_status(why, int(manifest["metadata"].get("generation", 0)), old, now)
    else:
        new = status_of(name, _seen(row), old, now, refused=why)
    if {key: old.get(key) for key in new} == new:
        return
    try:
        kube.apply_status({"apiVersion": VLLM_CLUSTER.api_version, "kind": VLLM_CLUSTER.kind,
                           "metadata": {"name": name, "namespace": namespace}, "status": new})
    except KubeError as error:
        if error.problem is not Problem.NOT_FOUND:  # gone meanwhile
            raise


def _seen(row: Endpoint) -> Seen:
    return Seen(status=row.status, cause=row.cause, message=row.message, replicas=row.replicas_now, ready=row.ready_replicas,
                generation=row.origin_generation, notes=row.notes)
