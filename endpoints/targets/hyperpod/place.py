"""One HyperPod cluster as the target sees it: its Kubernetes side and its AWS side, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clusters.drivers.kinds import JUMPSTART_MODEL
from clusters.drivers.kube import Kube
from clusters.models import AwsPlace, Cluster
from endpoints.targets.kubernetes.place import PlaceView
from endpoints.targets.kubernetes.view import place_of


@dataclass(frozen=True)
class HyperPodPlace:
    """`state` is AWS's ClusterStatus; `account` the uid of our account's row in hex."""

    view: PlaceView = field(default_factory=PlaceView)
    account: str = ""
    region: str = ""
    state: str = ""
    state_message: str = ""
    groups: tuple[Mapping[str, Any], ...] = ()
    tiered_storage: bool = False
    has_jumpstart: bool = False


def hyperpod_place(cluster: Cluster, kube: Kube) -> HyperPodPlace:
    """Four queries, and at times a call or two whose answers are kept. Raises KubeError."""
    view, aws = place_of(cluster, kube), AwsPlace.objects.filter(cluster=cluster).select_related("account").first()
    has_jumpstart = kube.has(JUMPSTART_MODEL)
    if aws is None:
        return HyperPodPlace(view, has_jumpstart=has_jumpstart)
    return HyperPodPlace(
        view, account=aws.account.uid.hex, region=aws.region, state=aws.status, state_message=aws.status_message,
        groups=tuple(aws.instance_groups), tiered_storage=bool(aws.features.get("tiered_storage")),
        has_jumpstart=has_jumpstart)
