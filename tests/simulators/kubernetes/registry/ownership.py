"""managedFields of writes: what each resource's endpoints cannot touch, and what a new object starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulators.kubernetes.apply import managed
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry.options import Options
from tests.simulators.kubernetes.schema import node_for
from tests.simulators.kubernetes.schema.node import Node
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

POD_TEMPLATE: Object = {"metadata": {}, "spec": {"containers": None}}
ZERO: dict[str, Object] = {
    "Pod": {"spec": {"containers": None}, "status": {}},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "StatefulSet": {"spec": {"selector": None, "template": POD_TEMPLATE, "updateStrategy": {}}, "status": {}},
    "Deployment": {"spec": {"selector": None, "template": POD_TEMPLATE, "strategy": {}}, "status": {}},
    "DaemonSet": {"spec": {"selector": None, "template": POD_TEMPLATE, "updateStrategy": {}}, "status": {}},
    "ReplicaSet": {"spec": {"selector": None, "template": POD_TEMPLATE}, "status": {}},
    "Job": {"spec": {"template": POD_TEMPLATE}, "status": {}},
    "PersistentVolumeClaim": {"spec": {"resources": {}}, "status": {}},
    "Role": {"rules": None},
    "ClusterRole": {"rules": None},
    "CustomResourceDefinition": {"spec": {"names": {}}, "status": {"conditions": None, "acceptedNames": {}}},
    "RoleBinding": {"roleRef": {}},
    "ClusterRoleBinding": {"roleRef": {}},
}
"""What Go writes for an empty object of the kind: these fields exist before anyone sets them."""


def context(cluster: Cluster, res: Resource, options: Options, subresource: str) -> managed.Context:
    reset: frozenset[str] = frozenset()
    if subresource == "status":
        reset = frozenset({"spec", "metadata"}) if res.group else frozenset({"spec"})
    elif "status" in res.subresources:
        reset = frozenset({"status"})
    return managed.Context(node_for(res), options.manager, res.api_version, subresource, cluster.now(), reset)


def nothing(res: Resource) -> Object:
    """The object before its creation, as ownership compares with it."""
    if res.custom:
        return {}
    return ZERO.get(res.kind, {"spec": {}, "status": {}})


def of_create(cluster: Cluster, res: Resource, new: Object, options: Options) -> Object:
    owners = managed.update(context(cluster, res, options, ""), nothing(res), new, {})
    return managed.write(new, owners)


def of_update(
    cluster: Cluster,
    res: Resource,
    old: Object,
    new: Object,
    options: Options,
    subresource: str,
    *,
    cleared: bool = False,
) -> Object:
    """`cleared`: the writer sent managedFields with one empty entry, which throws all of them away."""
    before = {} if cleared else managed.read(old)
    owners = managed.update(context(cluster, res, options, subresource), old, new, before)
    return managed.write(new, owners)


def of_question(
    cluster: Cluster, node: Node, shown: Object, asked: Object, options: Options, subresource: str = ""
) -> Object:
    """A review or a request for a token, answered as if it had been stored: `asked` is the spec that the client gave."""
    context = managed.Context(node, options.manager, shown["apiVersion"], subresource, cluster.now())
    return managed.write(shown, managed.update(context, {"spec": {}}, {"spec": asked}, {}))
