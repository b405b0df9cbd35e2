"""The objects of one endpoint as they lie in its cluster: sent when they differ, deleted when they are not wanted.

Our label and not a name says what is ours. What lies there under one of our names without it is somebody else's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from django.utils.translation import gettext as _

from clusters.drivers.kinds import (
    HTTP_ROUTE,
    INFERENCE_ENDPOINT_CONFIG,
    INTERCEPTOR_ROUTE,
    JUMPSTART_MODEL,
    LEADER_WORKER_SET,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    POD_MONITOR,
    PVC,
    SCALED_OBJECT,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Kind,
    kind_of,
)
from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.namespaces import ENDPOINT_UID
from endpoints.planning.paths import IGNORED, path_of
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError

from .names import APPLIED, pull_secret_name, secret_name
from .place import PlaceView
from .seen import Anything, Meta, Workload

# In the order in which they are deleted: first what would start or route to pods.
OF_CAPABILITY: dict[str, Kind] = {
    "keda": SCALED_OBJECT, "keda_http": INTERCEPTOR_ROUTE, "gateway": HTTP_ROUTE, "lws": LEADER_WORKER_SET,
    "prometheus": POD_MONITOR,
}
ALWAYS = (STATEFUL_SET, SERVICE, NETWORK_POLICY, POD_DISRUPTION_BUDGET, SERVICE_ACCOUNT)
WORKLOADS = frozenset({STATEFUL_SET, LEADER_WORKER_SET})
# Whose number of replicas can be changed by their scale.
SCALED = WORKLOADS | {INFERENCE_ENDPOINT_CONFIG, JUMPSTART_MODEL}

# Of the portal's own doings: its marks, and how far a rollout has come. A number of replicas that was accepted is too.
MACHINERY = ("metadata.annotations.inference-portal/", "spec.updateStrategy.")

Key = tuple[Kind, str]
There = dict[Key, Anything | Workload]
# What can lie there of an endpoint, in the order of the lists, and how each is read.
Kinds = Mapping[Kind, type[Anything] | type[Workload]]


def kinds_of(place: PlaceView) -> Kinds:
    """Those of an endpoint on a plain cluster; what the cluster has not is not asked for."""
    kinds = [*(kind for name, kind in OF_CAPABILITY.items() if place.has(name)), *ALWAYS]
    return {kind: Workload if kind in WORKLOADS else Anything for kind in kinds}


def key_of(manifest: Mapping[str, Any]) -> Key:
    return kind_of(dict(manifest)), manifest["metadata"]["name"]


def digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def stamped(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same with the mark of what it is, by which the next step knows that it was sent."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def apply(kube: Kube, spec: Spec, sent: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    """Send it; by force only where others hold what is ours alone, or what a person has decided. Raises KubeError."""
    decided = {change.path for change in spec.accepted if change.manager != IGNORED}
    try:
        return kube.apply(sent, dry_run=dry_run)
    except KubeError as error:
        taken = [path_of(fault.field) for fault in error.faults] if error.problem is Problem.CONFLICT else []
        if not taken or not all(path.startswith(MACHINERY) or path in decided for path in taken):
            raise
    return kube.apply(sent, force=True, dry_run=dry_run)


class Bundle:
    """One endpoint's objects. Raises KubeError, and TargetError where a name is taken."""

    def __init__(self, kube: Kube, kinds: Kinds, spec: Spec) -> None:
        self._kube = kube
        self._spec = spec
        self._kinds = kinds

    def live(self, *, with_claims: bool = False) -> There:
        """What is there of ours: one list a kind. Secrets are asked by their names, because nobody may list Secrets."""
        found: There = {}
        for kind, type_ in {**self._kinds, **({PVC: Anything} if with_claims else {})}.items():
            listing = self._kube.list(kind, type_, namespace=self._spec.namespace, labels=self.labels)
            found.update({(kind, each.metadata.name): each for each in listing.items})
        for secret in (self._get(SECRET, name) for name in (secret_name(self._spec), pull_secret_name(self._spec))):
            if secret is not None and self._is_ours(secret.metadata):
                found[SECRET, secret.metadata.name] = secret
        return found

    @property
    def labels(self) -> str:
        return f"{ENDPOINT_UID}={self._spec.uid}"

    def put(self, manifest: dict[str, Any], there: There) -> bool:
        """Send one object unless it was sent just so; whether it was sent."""
        key = key_of(manifest)
        sent, known = stamped(manifest), there.get(key)
        if known is not None and known.metadata.annotation(APPLIED) == sent["metadata"]["annotations"][APPLIED]:
            return False
        if known is None:
            self._require_free(*key)
        apply(self._kube, self._spec, sent)
        return True

    def drop(self, key: Key, known: Anything | Workload) -> None:
        """Delete it; a workload stays until its pods are gone, so that nothing takes their names meanwhile."""
        kind, name = key
        propagation = "Foreground" if kind in SCALED else "Background"
        if known.metadata.deletion_timestamp is None:
            self._kube.delete(kind, self._spec.namespace, name, uid=known.metadata.uid, propagation=propagation)

    def _require_free(self, kind: Kind, name: str) -> None:
        other = self._get(kind, name)
        if other is not None and not self._is_ours(other.metadata):
            raise TargetError(Cause.NAME_TAKEN, _(
                "There is a %(kind)s %(name)s in namespace %(namespace)s that is not of this endpoint. It is left alone: "
                "delete it, or give the endpoint another name.") % {
                    "kind": kind.kind, "name": name, "namespace": self._spec.namespace}, permanent=True)

    def _get(self, kind: Kind, name: str) -> Anything | None:
        found = self._kube.get(kind, self._spec.namespace, name)
        return None if found is None else msgspec.convert(found, Anything)

    def _is_ours(self, meta: Meta) -> bool:
        return meta.label(ENDPOINT_UID) == str(self._spec.uid)
