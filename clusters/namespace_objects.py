"""What a workspace's namespace is made of. Only this portal's objects: each carries the workspace's uid."""

from __future__ import annotations

from typing import Any

from portal.tenancy.models import Workspace

from .namespaces import MANAGED_BY, MANAGER, SHARED_NAMESPACE, WORKSPACE_UID, workspace_namespace

NAME = "inference-portal"
# Extended resources that vendors' device plugins give GPUs; a quota names each.
GPU_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")
_EVERYWHERE = ({"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}, {"cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::/32"]})


def namespace_objects(workspace: Workspace, *, restricted: bool = False) -> list[dict[str, Any]]:
    """Namespace, quota and network policy, in the order in which they are applied.

    `restricted` enforces the Pod Security Standard of that name, for engines that run without root; else
    baseline is enforced and what restricted would refuse is only warned about.
    """
    return [_namespace(workspace, restricted), _quota(workspace), _network_policy(workspace)]


def shared_namespace() -> dict[str, Any]:
    """Where shared copies lie. Its loaders are the Dataset controller's, which change owners of files and so run as root."""
    labels = {MANAGED_BY: MANAGER, "pod-security.kubernetes.io/enforce": "baseline"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHARED_NAMESPACE, "labels": labels}}


def _meta(workspace: Workspace, name: str, **labels: str) -> dict[str, Any]:
    return {"name": name, "labels": {MANAGED_BY: MANAGER, WORKSPACE_UID: str(workspace.uid), **labels}}


def _namespace(workspace: Workspace, restricted: bool) -> dict[str, Any]:
    security = {"pod-security.kubernetes.io/enforce": "restricted" if restricted else "baseline",
                "pod-security.kubernetes.io/warn": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": _meta(workspace, workspace_namespace(workspace), **security)}


def _inside(workspace: Workspace) -> dict[str, Any]:
    return {**_meta(workspace, NAME), "namespace": workspace_namespace(workspace)}


def _quota(workspace: Workspace) -> dict[str, Any]:
    """The second wall behind the portal's own limits; and nothing here gets a public address of its own."""
    hard = {"services.loadbalancers": "0", "services.nodeports": "0"}
    if workspace.max_gpus is not None:
        hard |= {f"requests.{resource}": str(workspace.max_gpus) for resource in GPU_RESOURCES}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _inside(workspace), "spec": {"hard": hard}}


def _network_policy(workspace: Workspace) -> dict[str, Any]:
    """Nothing comes in; out go names, weights over HTTPS and the pods' own traffic among themselves.

    Whatever an endpoint needs beyond that is in its own policy: policies add up. Link-local addresses stay
    closed, there the cloud's metadata service gives credentials away.
    """
    egress = [
        {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
        {"to": [{"ipBlock": dict(block)} for block in _EVERYWHERE], "ports": [{"protocol": "TCP", "port": 443}]},
        {"to": [{"podSelector": {}}]},
    ]
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": egress}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": _inside(workspace), "spec": spec}
