"""A HyperPod cluster and the Kubernetes cluster that orchestrates it: nodes of the one are nodes of the other.

Node names are facts.md 1.13's; labels are those that sagemaker-hyperpod-cli looks for.
"""

from __future__ import annotations

from typing import Any

from tests.simulators.aws.sagemaker.hyperpod import HyperPod, Instance, settle_group
from tests.simulators.kubernetes.controllers import cpu_node, gpu_node
from tests.simulators.kubernetes.server import Simulator

PREFIX = "hyperpod-"
GROUP, TYPE = "sagemaker.amazonaws.com/instance-group-name", "node.kubernetes.io/instance-type"
HEALTH = "sagemaker.amazonaws.com/node-health-status"
# facts.md 2.10: product and MiB of each GPU by family, and how many a size has.
FAMILIES = {
    "g4dn": ("Tesla-T4", 15360), "g5": ("NVIDIA-A10G", 23028), "g6": ("NVIDIA-L4", 23034), "g6e": ("NVIDIA-L40S", 46068),
    "p4d": ("NVIDIA-A100-SXM4-40GB", 40960), "p4de": ("NVIDIA-A100-SXM4-80GB", 81920),
    "p5": ("NVIDIA-H100-80GB-HBM3", 81559), "p5e": ("NVIDIA-H200", 143771), "p5en": ("NVIDIA-H200", 143771),
}  # fmt: skip
MANY = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}


def gpus_of(instance_type: str) -> tuple[int, str, int]:
    """How many GPUs, their product and MiB of each; (0, "", 0) for a type without."""
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    if family not in FAMILIES:
        return 0, "", 0
    is_big = family.startswith("p") and size != "4xlarge"
    return (8 if is_big else MANY.get(size, 1), *FAMILIES[family])


def hyperpod_node(instance_id: str, group: str = "gpu", instance_type: str = "ml.g5.12xlarge", **more: Any) -> Any:
    """The Kubernetes node of a HyperPod instance. more: as of `node`; `resources` that it has besides, such as MIG's."""
    resources = more.pop("resources", {})
    labels = {GROUP: group, TYPE: instance_type, HEALTH: "Schedulable", "sagemaker.amazonaws.com/compute-type": "hyperpod",
              **more.pop("labels", {})}  # fmt: skip
    name, (count, product, memory) = f"{PREFIX}{instance_id}", gpus_of(instance_type)
    if count:
        made = gpu_node(name, count, labels=labels, gpu_product=product, gpu_memory=memory, **more)
    else:
        made = cpu_node(name, labels=labels, **more)
    for room in ("capacity", "allocatable"):
        made["status"][room] = {**made["status"][room], **resources}
    return made


def instances_of(kube: Simulator, at: float) -> list[Instance]:
    """The HyperPod instances that a Kubernetes cluster has as nodes."""
    nodes = kube.call(lambda: list(kube.cluster.list("Node")))
    found = []
    for node in nodes:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels", {})
        if name.startswith(PREFIX):
            instance_id = name.removeprefix(PREFIX)
            found.append(Instance(instance_id, labels.get(GROUP, "gpu"), labels.get(TYPE, "ml.g5.12xlarge"), at,
                                  logical_id=f"logical-{instance_id}"))  # fmt: skip
    return found


class KubernetesMirror:
    def __init__(self, kube: Simulator) -> None:
        self._kube = kube

    def added(self, node: Instance) -> None:
        made = hyperpod_node(node.id, node.group, node.type)
        self._kube.call(self._kube.controllers.hands.create, "Node", made)

    def removed(self, node: Instance) -> None:
        self._kube.call(self._kube.cluster.delete, "Node", "", f"{PREFIX}{node.id}")


def fill(cluster: HyperPod, kube: Simulator | None, at: float) -> None:
    """Gives a new cluster its nodes: those that Kubernetes has already, and what its groups lack (in Kubernetes too)."""
    if kube is not None:
        for node in instances_of(kube, at):
            cluster.nodes[node.id] = node
            group = cluster.groups.setdefault(node.group, _group(node))
            group["TargetCount"] = max(group["TargetCount"], len(cluster.nodes_of(node.group)))
        cluster.mirror = KubernetesMirror(kube)
    for group in cluster.groups.values():
        settle_group(cluster, group, at)


def _group(node: Instance) -> dict[str, Any]:
    return {"InstanceGroupName": node.group, "InstanceType": node.type, "CurrentCount": 0, "TargetCount": 0,
            "Status": "InService", "ExecutionRole": "arn:aws:iam::123456789012:role/hyperpod", "ThreadsPerCore": 1,
            "LifeCycleConfig": {"SourceS3Uri": "s3://sagemaker-lifecycle/", "OnCreate": "on_create.sh"}}  # fmt: skip
