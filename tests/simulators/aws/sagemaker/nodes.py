"""Nodes of HyperPod clusters: listed, rebooted, replaced, deleted, added.

Not verified on AWS: the statuses that a node goes through while it is rebooted or replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from tests.simulators.aws.errors import AwsFault, invalid
from tests.simulators.aws.messages import Params
from tests.simulators.aws.sagemaker.hyperpod import (
    HyperPod,
    Instance,
    find_cluster,
    find_node,
    new_instance,
    node_summary,
    settle_group,
)
from tests.simulators.aws.sagemaker.lists import page
from tests.simulators.aws.sagemaker.service import plays
from tests.simulators.aws.sagemaker.state import Region


@plays("ListClusterNodes")
def list_cluster_nodes(here: Region, asked: Params) -> Params:
    cluster = find_cluster(here, asked["ClusterName"])
    word = asked.get("InstanceGroupNameContains", "")
    after, before = asked.get("CreationTimeAfter", 0), asked.get("CreationTimeBefore", 1e12)
    nodes = [node for node in cluster.nodes.values() if word in node.group and after <= node.launched <= before]
    nodes.sort(key=lambda node: (node.launched, node.id), reverse=asked.get("SortOrder", "Ascending") == "Descending")
    kept, more = page(asked, nodes)
    logical = asked.get("IncludeNodeLogicalIds", False)
    found = [node_summary(node) | ({"NodeLogicalId": node.logical_id} if logical else {}) for node in kept]
    return {"ClusterNodeSummaries": found, **more}


@plays("DescribeClusterNode")
def describe_cluster_node(here: Region, asked: Params) -> Params:
    cluster = find_cluster(here, asked["ClusterName"])
    node = find_node(cluster, asked.get("NodeId") or asked.get("NodeLogicalId"))
    if node is None:  # the words are not verified
        raise AwsFault("ResourceNotFound", f"Instance with id {asked.get('NodeId')} not found.")
    group = cluster.groups[node.group]
    kept = {name: group[name] for name in ("LifeCycleConfig", "ThreadsPerCore", "InstanceStorageConfigs") if name in group}
    capacity = "Spot" if "Spot" in group.get("CapacityRequirements", {}) else "OnDemand"
    zone = {"AvailabilityZone": f"{here.spot.region}a", "AvailabilityZoneId": "use1-az1"}
    return {"NodeDetails": {**node_summary(node), **kept, "NodeLogicalId": node.logical_id, "PrivatePrimaryIp": node.ip,
                            "CapacityType": capacity, "Placement": zone}}  # fmt: skip


def _sorted_out(cluster: HyperPod, asked: Params) -> tuple[list[Instance], Params]:
    """The nodes that a batch may act on, and what is wrong with the others."""
    good: list[Instance] = []
    answer: Params = {"Successful": [], "Failed": []}
    for identifier in [*asked.get("NodeIds", []), *asked.get("NodeLogicalIds", [])]:
        node = find_node(cluster, identifier)
        if node is not None and node.status in ("Running", "Failure"):
            good.append(node)
            answer["Successful"].append(identifier)
        else:
            answer["Failed"].append(_failed(identifier, node))
    return good, answer


def _failed(identifier: str, node: Instance | None) -> Params:
    code = "InstanceIdNotFound" if node is None else "InvalidInstanceStatus"
    return {"NodeId": identifier, "ErrorCode": code, "Message": f"{identifier}: {code}"}


def _later(here: Region, cluster: HyperPod, nodes: Iterable[Instance], act: Callable[[Instance, float], None]) -> None:
    for node in nodes:
        cluster.plan.then(here.now + here.world.durations.node, partial(act, node))


def _run(node: Instance, _at: float) -> None:
    node.status = "Running"


@plays("BatchRebootClusterNodes")
def reboot(here: Region, asked: Params) -> Params:
    cluster = find_cluster(here, asked["ClusterName"])
    nodes, answer = _sorted_out(cluster, asked)
    for node in nodes:
        node.status = "Pending"
    _later(here, cluster, nodes, _run)
    return answer


@plays("BatchReplaceClusterNodes")
def replace(here: Region, asked: Params) -> Params:
    """Another instance takes the node's place, with another id and so another Kubernetes name."""
    cluster = find_cluster(here, asked["ClusterName"])
    nodes, answer = _sorted_out(cluster, asked)
    for node in nodes:
        node.status = "ShuttingDown"

    def swap(node: Instance, at: float) -> None:
        cluster.remove(node)
        other = new_instance(node.group, node.type, at)
        other.logical_id = node.logical_id
        cluster.add(other)

    _later(here, cluster, nodes, swap)
    return answer


@plays("BatchDeleteClusterNodes")
def delete(here: Region, asked: Params) -> Params:
    cluster = find_cluster(here, asked["ClusterName"])
    nodes, answer = _sorted_out(cluster, asked)
    codes = {"InstanceIdNotFound": "NodeIdNotFound", "InvalidInstanceStatus": "InvalidNodeStatus"}
    answer["Failed"] = [{"NodeId": each["NodeId"], "Code": codes[each["ErrorCode"]], "Message": each["Message"]}
                        for each in answer["Failed"]]  # fmt: skip
    for node in nodes:
        node.status = "ShuttingDown"
        cluster.groups[node.group]["TargetCount"] -= 1
    _later(here, cluster, nodes, lambda node, _at: cluster.remove(node))
    return answer


@plays("BatchAddClusterNodes")
def add(here: Region, asked: Params) -> Params:
    """Only for clusters with continuous provisioning."""
    cluster = find_cluster(here, asked["ClusterName"])
    if not cluster.is_continuous:  # the words are not verified
        raise invalid("BatchAddClusterNodes needs NodeProvisioningMode Continuous.")
    answer: Params = {"Successful": [], "Failed": []}
    for wanted in asked["NodesToAdd"]:
        _add_some(here, cluster, wanted, answer)
    return answer


def _add_some(here: Region, cluster: HyperPod, wanted: Params, answer: Params) -> None:
    name, count = wanted["InstanceGroupName"], wanted["IncrementTargetCountBy"]
    group = cluster.groups.get(name)
    if group is None:
        answer["Failed"].append({"InstanceGroupName": name, "ErrorCode": "InstanceGroupNotFound", "FailedCount": count})
        return
    group["TargetCount"] += count
    cluster.plan.then(here.now + here.world.durations.node, lambda at: settle_group(cluster, group, at))
    answer["Successful"] += [{"NodeLogicalId": f"{name}-{time.time_ns() + number:x}", "InstanceGroupName": name,
                              "Status": "Pending"} for number in range(count)]  # fmt: skip
