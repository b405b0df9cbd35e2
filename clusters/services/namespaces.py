"""Make a workspace's namespace in a cluster, and keep it as it should be."""

from __future__ import annotations

import hashlib
import json
import time

from django.utils.translation import gettext as _

from clusters.drivers import kinds
from clusters.drivers.kinds import Kind
from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.models import Cluster
from clusters.namespace_objects import namespace_objects, shared_namespace
from clusters.namespaces import SHARED_NAMESPACE, WORKSPACE_UID, workspace_namespace
from clusters.rbac import MODELS, NARROW, binding, subject_of
from portal.tenancy.models import Workspace

REMEMBERED_SECONDS = 600.0
MOST_REMEMBERED = 10_000


class NameTaken(Exception):
    """There is an object of this name in the cluster that is not ours; it is left alone. The text names it."""


class _Memory:
    """What this process has applied lately, so that repeating it costs nothing: key → when it is asked again."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, str, str], float] = {}

    def has(self, key: tuple[int, str, str]) -> bool:
        return self._until.get(key, 0.0) > time.monotonic()

    def add(self, key: tuple[int, str, str]) -> None:
        if len(self._until) >= MOST_REMEMBERED:
            self._until.clear()
        self._until[key] = time.monotonic() + REMEMBERED_SECONDS

    def forget(self, cluster: int, namespace: str) -> None:
        for key in [key for key in self._until if key[:2] == (cluster, namespace)]:
            self._until.pop(key, None)


_memory = _Memory()


def ensure_namespace(kube: Kube, cluster: Cluster, workspace: Workspace, *, restricted: bool = False) -> str:
    """Make the workspace's namespace with quota, network policy and our rights in it; its name.

    Cheap to repeat: one process asks again after ten minutes, or when the workspace's limits change. Raises
    NameTaken where somebody else's namespace has the name, and KubeError.
    """
    namespace = workspace_namespace(workspace)
    objects = namespace_objects(workspace, restricted=restricted)
    digest = hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()
    key = (cluster.pk, namespace, digest)
    if _memory.has(key):
        return namespace
    _require_ours(kube, namespace, workspace)
    kube.apply(objects[0], force=True)
    _require_rights(kube, namespace, kinds.STATEFUL_SET, NARROW)
    for manifest in objects[1:]:
        kube.apply(manifest, force=True)
    _memory.add(key)
    return namespace


def ensure_shared_namespace(kube: Kube, cluster: Cluster) -> str:
    """Make the namespace of shared copies where there is none, with our few rights in it; its name.

    The Hydra guide has people make it by hand: one that is there already is left as it is. Raises KubeError.
    """
    key = (cluster.pk, SHARED_NAMESPACE, "")
    if not _memory.has(key):
        found = kube.get(kinds.NAMESPACE, "", SHARED_NAMESPACE)
        if found is None:
            kube.apply(shared_namespace())
        elif found.get("metadata", {}).get("deletionTimestamp"):
            raise _ending(SHARED_NAMESPACE)
        _require_rights(kube, SHARED_NAMESPACE, kinds.DATASET, MODELS)
        _memory.add(key)
    return SHARED_NAMESPACE


def forget_shared_namespace(cluster: Cluster) -> None:
    """As `forget_namespace`."""
    _memory.forget(cluster.pk, SHARED_NAMESPACE)


def forget_namespace(cluster: Cluster, workspace: Workspace) -> None:
    """Ask the cluster again next time: a call in the namespace found it gone."""
    _memory.forget(cluster.pk, workspace_namespace(workspace))


def _require_ours(kube: Kube, namespace: str, workspace: Workspace) -> None:
    found = kube.get(kinds.NAMESPACE, "", namespace)
    if found is None:
        return
    meta = found.get("metadata", {})
    if (meta.get("labels") or {}).get(WORKSPACE_UID) != str(workspace.uid):
        raise NameTaken(_("The namespace %(name)s is there already and is not this portal's. Rename or delete it.") % {
            "name": namespace})
    if meta.get("deletionTimestamp"):
        raise _ending(namespace)


def _ending(namespace: str) -> KubeError:
    return KubeError(Problem.ENDING, _("The namespace %(name)s is being deleted.") % {"name": namespace})


def _require_rights(kube: Kube, namespace: str, kind: Kind, role: str) -> None:
    """Open the role to ourselves where we can't write yet; with wider rights there is nothing to do."""
    if kube.may("patch", kind, namespace):
        return
    user = kube.whoami()
    if user:
        kube.apply(binding(namespace, subject_of(user), role), force=True)
