"""HyperPod clusters: what `describe_cluster` tells of them, and changing their instance groups.

facts.md 1.13. Not verified on AWS: the words of refusals; that a cluster with continuous provisioning stays InService
while a group of it is Updating.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.simulators.aws.errors import AwsFault, invalid
from tests.simulators.aws.messages import Params
from tests.simulators.aws.sagemaker.lists import listed
from tests.simulators.aws.sagemaker.service import plays
from tests.simulators.aws.sagemaker.state import Region, Thing

OPTIONS = ("TieredStorageConfig", "NodeRecovery", "NodeProvisioningMode", "ClusterRole", "VpcConfig")
GROUP_FIELDS = ("InstanceType", "InstanceRequirements", "LifeCycleConfig", "ExecutionRole", "ThreadsPerCore",
                "InstanceStorageConfigs", "OnStartDeepHealthChecks", "TrainingPlanArn", "OverrideVpcConfig",
                "KubernetesConfig", "CapacityRequirements")  # fmt: skip


@dataclass(slots=True)
class Instance:
    """A node of a cluster."""

    id: str
    group: str
    type: str
    launched: float
    status: str = "Running"
    message: str = ""
    logical_id: str = ""
    ip: str = "10.1.0.10"


class Mirror(Protocol):
    """Who must hear of nodes that come and go: the Kubernetes cluster that they are in."""

    def added(self, node: Instance) -> None: ...

    def removed(self, node: Instance) -> None: ...


@dataclass(slots=True)
class HyperPod(Thing):
    status: str = "InService"
    failure: str = ""
    groups: dict[str, Params] = field(default_factory=dict)  # as describe_cluster answers them
    nodes: dict[str, Instance] = field(default_factory=dict)
    options: Params = field(default_factory=dict)  # Orchestrator, AutoScaling and OPTIONS, as describe_cluster answers them
    mirror: Mirror | None = None

    @property
    def is_continuous(self) -> bool:
        return self.options.get("NodeProvisioningMode") == "Continuous"

    def add(self, node: Instance) -> None:
        self.nodes[node.id] = node
        if self.mirror is not None:
            self.mirror.added(node)

    def remove(self, node: Instance) -> None:
        if self.nodes.pop(node.id, None) is not None and self.mirror is not None:
            self.mirror.removed(node)

    def nodes_of(self, group: str) -> list[Instance]:
        return [node for node in self.nodes.values() if node.group == group]

    def count(self) -> None:
        for name, group in self.groups.items():
            group["CurrentCount"] = len(self.nodes_of(name))


def new_instance(group: str, kind: str, at: float, status: str = "Running") -> Instance:
    return Instance(f"i-{secrets.token_hex(9)[:17]}", group, kind, at, status,
                    logical_id=f"{group}-{secrets.token_hex(4)}")  # fmt: skip


def group_of(asked: Params, status: str = "InService") -> Params:
    """An instance group as it is described, from how it is asked for."""
    kept = {name: asked[name] for name in GROUP_FIELDS if name in asked}
    least = {"MinCount": asked["MinInstanceCount"]} if "MinInstanceCount" in asked else {}
    return {"InstanceGroupName": asked["InstanceGroupName"], "CurrentCount": 0, "TargetCount": asked["InstanceCount"],
            "Status": status, **least, **kept}  # fmt: skip


def find_cluster(here: Region, name_or_arn: str) -> HyperPod:
    """
    :raises AwsFault: ResourceNotFound; the words are not verified.
    """
    for cluster in here.clusters.values():
        if name_or_arn in (cluster.name, cluster.arn):
            found: HyperPod = cluster
            return found
    raise AwsFault("ResourceNotFound", f"Cluster with name {name_or_arn} not found.")


@plays("ListClusters")
def list_clusters(here: Region, asked: Params) -> Params:
    found, more = listed(asked, here.clusters.values(), order="Ascending")
    return {"ClusterSummaries": [{
        "ClusterArn": cluster.arn, "ClusterName": cluster.name, "CreationTime": cluster.created,
        "ClusterStatus": cluster.status,
    } for cluster in found], **more}  # fmt: skip


@plays("DescribeCluster")
def describe_cluster(here: Region, asked: Params) -> Params:
    cluster = find_cluster(here, asked["ClusterName"])
    cluster.count()
    failure = {"FailureMessage": cluster.failure} if cluster.failure else {}
    return {"ClusterArn": cluster.arn, "ClusterName": cluster.name, "ClusterStatus": cluster.status, **failure,
            "CreationTime": cluster.created, "InstanceGroups": list(cluster.groups.values()), **cluster.options}  # fmt: skip


@plays("UpdateCluster")
def update_cluster(here: Region, asked: Params) -> Params:
    cluster = find_cluster(here, asked["ClusterName"])
    _refuse_busy(cluster)
    if not set(asked.get("InstanceGroupsToDelete", [])) <= cluster.groups.keys():
        raise invalid("InstanceGroupsToDelete names a group that the cluster does not have.")
    cluster.options |= {name: asked[name] for name in OPTIONS if name in asked}
    if "AutoScaling" in asked:
        cluster.options["AutoScaling"] = {**asked["AutoScaling"], "Status": "InService"}
    changed = {group["InstanceGroupName"]: group for group in asked.get("InstanceGroups", [])}
    for name, group in changed.items():
        old = cluster.groups.get(name, {"CurrentCount": 0})
        cluster.groups[name] = {**old, **group_of(group, "Updating"), "CurrentCount": old["CurrentCount"]}
    for name in asked.get("InstanceGroupsToDelete", []):
        cluster.groups[name] |= {"TargetCount": 0, "Status": "Deleting"}
    _resize(here, cluster, asked.get("InstanceGroupsToDelete", []))
    return {"ClusterArn": cluster.arn}


def _refuse_busy(cluster: HyperPod) -> None:
    if cluster.status not in ("InService", "Failed"):
        raise AwsFault("ConflictException", f"Cluster {cluster.name} is in status {cluster.status} and can't be updated.")


def _resize(here: Region, cluster: HyperPod, deleted: list[str]) -> None:
    """Nodes come and go until each group has as many as it shall have."""
    reason = here.failure("cluster", cluster.name)
    cluster.failure = ""
    if not cluster.is_continuous:
        cluster.status = "Updating"
    before = {name: group["CurrentCount"] for name, group in cluster.groups.items()}

    def finish(at: float) -> None:
        for name, group in list(cluster.groups.items()):
            if reason:
                group["TargetCount"] = before[name]
            settle_group(cluster, group, at)
        for name in deleted:
            cluster.groups.pop(name, None)
        cluster.status, cluster.failure = "InService", reason

    def go_back(_at: float) -> None:
        cluster.status = "RollingBack"

    done = here.now + here.world.durations.cluster
    if reason:
        cluster.plan.then(done, go_back)
        done += here.world.durations.rolling_back
    cluster.plan.then(done, finish)


def settle_group(cluster: HyperPod, group: Params, at: float) -> None:
    """Brings a group to its target: the newest nodes go first."""
    nodes = sorted(cluster.nodes_of(group["InstanceGroupName"]), key=lambda node: node.launched)
    for node in nodes[group["TargetCount"]:]:
        cluster.remove(node)
    for _ in range(group["TargetCount"] - len(nodes)):
        cluster.add(new_instance(group["InstanceGroupName"], group["InstanceType"], at))
    group["Status"] = "InService"
    cluster.count()


def make_cluster(here: Region, name: str, groups: list[Params], options: Params, status: str = "InService") -> HyperPod:
    """A cluster that is there already, with the nodes that its groups ask for."""
    identifier = secrets.token_hex(6)
    arn = here.spot.arn("sagemaker", f"cluster/{identifier}")
    cluster = HyperPod(name, arn, {}, here.now, here.now, status=status, options=options)
    cluster.groups = {group["InstanceGroupName"]: group_of(group) for group in groups}
    here.clusters[name] = cluster
    return cluster


def node_summary(node: Instance) -> Params:
    message = {"Message": node.message} if node.message else {}
    return {"InstanceGroupName": node.group, "InstanceId": node.id, "InstanceType": node.type, "LaunchTime": node.launched,
            "InstanceStatus": {"Status": node.status, **message},
            "PrivateDnsHostname": f"ip-{node.ip.replace('.', '-')}.ec2.internal"}  # fmt: skip


def find_node(cluster: HyperPod, identifier: Any) -> Instance | None:
    return next((node for node in cluster.nodes.values() if identifier in (node.id, node.logical_id)), None)
