"""The kinds of place. A new kind is one file beside this one and one line in KINDS."""

from __future__ import annotations

from importlib import import_module

from django.utils.translation import gettext as _

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints.states import Cause

from .base import Target, TargetError

KINDS: dict[str, str] = {
    ClusterKind.HOSTS: "endpoints.targets.hosts.HostsTarget",
    ClusterKind.KUBERNETES: "endpoints.targets.kubernetes.target.KubernetesTarget",
    ClusterKind.HYPERPOD: "endpoints.targets.hyperpod.target.HyperPodTarget",
    ClusterKind.SAGEMAKER: "endpoints.targets.sagemaker.target.SageMakerTarget",
}


def target_for(cluster: Cluster) -> Target:
    """The target of this place; loaded on first use, so that no SDK is imported before it is needed."""
    path = KINDS.get(cluster.kind)
    if path is None:
        raise TargetError(Cause.REFUSED, _("Places of this kind can't be deployed to yet."), permanent=True)
    module, _dot, name = path.rpartition(".")
    made: Target = getattr(import_module(module), name)(cluster)
    return made
