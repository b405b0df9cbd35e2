"""What the pre-flight must know of a cluster: its nodes by the last inventory, and what leaves no room now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone

from clusters.drivers.kinds import POD, PVC, RESOURCE_QUOTA, STORAGE_CLASS
from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError
from clusters.models import Cluster, KubernetesAccess, Node
from clusters.namespaces import ENDPOINT_UID
from clusters.quantities import millis, whole
from clusters.states import Reach
from endpoints.planning.facts import ClaimView, Facts
from endpoints.planning.nodes import node_view
from endpoints.targets.base import ModelFacts, Spec

from .weights import claim_of

ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class _Meta(msgspec.Struct):
    name: str = ""
    annotations: dict[str, str] | None = None


class _PodSpec(msgspec.Struct, rename="camel"):
    node_name: str = ""


class _Pod(msgspec.Struct):
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _StorageClass(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _ClaimSpec(msgspec.Struct, rename="camel"):
    storage_class_name: str = ""
    access_modes: list[str] | None = None


class _ClaimStatus(msgspec.Struct):
    phase: str = ""
    capacity: dict[str, Any] | None = None


class _Claim(msgspec.Struct):
    spec: _ClaimSpec = msgspec.field(default_factory=_ClaimSpec)
    status: _ClaimStatus = msgspec.field(default_factory=_ClaimStatus)


class _QuotaStatus(msgspec.Struct):
    hard: dict[str, Any] | None = None
    used: dict[str, Any] | None = None


class _Quota(msgspec.Struct):
    status: _QuotaStatus = msgspec.field(default_factory=_QuotaStatus)


def facts_of(cluster: Cluster, kube: Kube, spec: Spec, model: ModelFacts, pods_by: str = "") -> Facts:
    """Three queries and three calls, one more for a claim. A cluster that can't be reached is a fact as well.

    `pods_by` is the label selector of the endpoint's pods, where it is not our own label.
    """
    access = KubernetesAccess.objects.get(cluster=cluster)
    known = Facts(
        nodes=tuple(map(node_view, Node.objects.filter(cluster=cluster).prefetch_related("accelerators"))), model=model,
        reachable=access.reach not in (Reach.AUTH_FAILED, Reach.TLS_FAILED, Reach.UNREACHABLE),
        unreachable_why=access.message,
        missing_rights=tuple(f"{right['verb']} {right['resource']}" for right in access.missing_rights),
        capabilities=frozenset(name for name in access.capabilities if access.has(name)),
        inventory_age=_age(access.inventory_at))
    try:
        classes = kube.list(STORAGE_CLASS, _StorageClass).items
        quotas = kube.list(RESOURCE_QUOTA, _Quota, namespace=spec.namespace).items
        pods = kube.list(POD, _Pod, namespace=spec.namespace, labels=pods_by or f"{ENDPOINT_UID}={spec.uid}").items
        claim = _claim(kube, spec)
    except KubeError as error:
        if error.is_of_the_cluster:
            return replace(known, reachable=False, unreachable_why=error.message)
        return known
    default = next((c.metadata.name for c in classes if (c.metadata.annotations or {}).get(DEFAULT_CLASS) == "true"), "")
    return replace(
        known, storage_classes=tuple(c.metadata.name for c in classes), default_storage_class=default,
        claim=claim, pods_there=sum(bool(pod.spec.node_name) for pod in pods),
        quota_left=_left(quotas))


def _claim(kube: Kube, spec: Spec) -> ClaimView | None:
    mounted = claim_of(spec.wanted)
    if mounted is None:
        return None
    found = kube.get(PVC, spec.namespace, mounted.claim)
    if found is None:
        return ClaimView(there=False)
    claim = msgspec.convert(found, _Claim)
    modes = set(claim.spec.access_modes or ())
    return ClaimView(there=True, size=_bytes((claim.status.capacity or {}).get("storage", 0)), phase=claim.status.phase,
                     storage_class=claim.spec.storage_class_name, on_one_node=bool(modes) and modes <= ONE_NODE)


def _bytes(amount: Any) -> int:
    try:
        return whole(amount)
    except ValueError:
        return 0  # a quantity that is none says nothing


def _age(at: datetime | None) -> float | None:
    return None if at is None else (timezone.now() - at).total_seconds()


def _left(quotas: list[_Quota]) -> dict[str, int]:
    """The least that any quota of the namespace leaves of each resource; CPU in thousandths."""
    left: dict[str, int] = {}
    for quota in quotas:
        for name, hard in (quota.status.hard or {}).items():
            amount = millis if name.endswith("cpu") else whole
            try:
                rest = amount(hard) - amount((quota.status.used or {}).get(name, 0))
            except ValueError:
                continue  # a quantity that is none says nothing
            left[name] = min(rest, left.get(name, rest))
    return left
