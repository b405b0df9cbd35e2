"""HyperPod clusters as SageMaker describes them, in the portal's words: pure, nothing is asked here.

Names of fields and states are those of botocore's model of SageMaker (DescribeCluster, ListClusterNodes, UpdateCluster).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.tenancy.errors import Invalid
from portal.tenancy.text import clean

IN_SERVICE = "InService"
GONE = "NotFound"  # our own word beside AWS's: it knows no such cluster any more
MOST_INSTANCES = 6758
MOST_REPAIRED = 25  # nodes in one call
NODE_PREFIX = "hyperpod-"  # of Kubernetes node names, before the instance's id

# Why nothing new may go to a cluster in this state, and what to do.
WHY_NOT: dict[str, Any] = {
    "": gettext_lazy("AWS has not been asked about this cluster yet. Try again in a minute."),
    "Creating": gettext_lazy("AWS is still making this cluster. It can be deployed to once it is InService."),
    "Updating": gettext_lazy("AWS is updating this cluster, such as the size of an instance group. "
                             "It can be deployed to when that has ended."),
    "SystemUpdating": gettext_lazy("AWS is updating the software of this cluster's machines. "
                                   "It can be deployed to when that has ended."),
    "RollingBack": gettext_lazy("An update of this cluster failed and AWS is rolling it back. "
                                "It can be deployed to when that has ended."),
    "Failed": gettext_lazy("AWS says that this cluster has failed. Mend it in the AWS console, or choose another place."),
    "Deleting": gettext_lazy("AWS is deleting this cluster. Choose another place."),
    GONE: gettext_lazy("AWS knows no such cluster any more. Choose another place."),
}
STATE_COLOURS = {
    IN_SERVICE: "good", "Creating": "mean", "Updating": "mean", "SystemUpdating": "mean", "RollingBack": "late",
    "Failed": "bad", "Deleting": "idle", GONE: "bad", "Degraded": "warn",
    # Of machines.
    "Running": "good", "Pending": "mean", "DeepHealthCheckInProgress": "mean", "ShuttingDown": "idle", "Failure": "bad",
}
# What a place keeps of each group: what people look at. The rest is asked again before a group is changed.
_KEPT = ("InstanceGroupName", "InstanceType", "CurrentCount", "TargetCount", "MinCount", "Status", "CapacityRequirements")
# Fields that an update takes as describing answers them. Images are left out on purpose: new machines get the group's
# desired image anyway, and an image sent back would be taken for a wish to change it (not verified on AWS).
_SAME = ("InstanceGroupName", "InstanceType", "LifeCycleConfig", "ExecutionRole", "ThreadsPerCore", "InstanceStorageConfigs",
         "OnStartDeepHealthChecks", "TrainingPlanArn", "OverrideVpcConfig", "ScheduledUpdateConfig", "SlurmConfig",
         "CapacityRequirements", "NetworkInterface")


@dataclass(frozen=True)
class Described:
    """One cluster; `eks_arn` is empty where Slurm runs it."""

    name: str
    arn: str
    status: str
    message: str = ""
    eks_arn: str = ""
    groups: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, Any] = field(default_factory=dict)

    @property
    def eks_name(self) -> str:
        return self.eks_arn.partition(":cluster/")[2]

    @property
    def eks_region(self) -> str:
        parts = self.eks_arn.split(":")
        return parts[3] if len(parts) > 3 else ""

    @property
    def instances(self) -> int:
        return sum(group.get("CurrentCount") or 0 for group in self.groups)


@dataclass(frozen=True)
class Machine:
    """One machine of a cluster, as AWS sees it."""

    instance_id: str
    group: str
    instance_type: str
    status: str
    message: str = ""

    @property
    def node(self) -> str:
        """The name of its Kubernetes node."""
        return f"{NODE_PREFIX}{self.instance_id}"


def described(answer: Mapping[str, Any]) -> Described:
    """What `describe_cluster` answered."""
    eks = (answer.get("Orchestrator") or {}).get("Eks") or {}
    return Described(
        name=clean(answer.get("ClusterName", ""), 63), arn=clean(answer.get("ClusterArn", ""), 256),
        status=clean(answer.get("ClusterStatus", ""), 20), message=clean(answer.get("FailureMessage") or "", 1000),
        eks_arn=clean(eks.get("ClusterArn", ""), 2048), groups=[_group(one) for one in answer.get("InstanceGroups") or ()],
        features=_features(answer))


def _group(detail: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: detail[name] for name in _KEPT if name in detail}
    types = _types(detail)
    return {**kept, **({"InstanceType": ", ".join(types)} if types else {})}


def _types(detail: Mapping[str, Any]) -> list[str]:
    """The types of a group that takes several; none where it has just one."""
    wanted = detail.get("InstanceRequirements") or {}
    return list(wanted.get("DesiredInstanceTypes") or wanted.get("CurrentInstanceTypes") or ())


def _features(answer: Mapping[str, Any]) -> dict[str, Any]:
    tiered, scaling = answer.get("TieredStorageConfig") or {}, answer.get("AutoScaling") or {}
    return {"tiered_storage": tiered.get("Mode") == "Enable", "node_recovery": answer.get("NodeRecovery") or "None",
            "provisioning": answer.get("NodeProvisioningMode") or "", "autoscaling": scaling.get("Mode") == "Enable"}


def machines(summaries: Iterable[Mapping[str, Any]]) -> list[Machine]:
    """What `list_cluster_nodes` answered; a machine that has no id yet is not there yet."""
    return [Machine(clean(one["InstanceId"], 40), clean(one.get("InstanceGroupName", ""), 63),
                    clean(one.get("InstanceType", ""), 40), clean((one.get("InstanceStatus") or {}).get("Status", ""), 40),
                    clean((one.get("InstanceStatus") or {}).get("Message") or "", 300))
            for one in summaries if one.get("InstanceId")]


def why_not_deployable(status: str, message: str = "") -> str:
    """Why nothing new may go there, in a sentence for a form; "" where it may."""
    if status == IN_SERVICE:
        return ""
    reason = str(WHY_NOT.get(status) or _("AWS calls the state of this cluster “%(state)s”; it must be InService.") % {
        "state": status})
    return f"{reason} ({message})" if message and status in ("Failed", "RollingBack") else reason


def why_not_importable(found: Described) -> str:
    """Why this cluster can't become a place; "" where it can. One that is not in service yet may come in already."""
    if not found.eks_arn:
        return _("Slurm runs this cluster. The portal needs one that is run by EKS.")
    if found.status == "Deleting":
        return _("AWS is deleting this cluster.")
    return ""


def resized(groups: Iterable[Mapping[str, Any]], name: str, count: int) -> list[dict[str, Any]]:
    """All groups as `update_cluster` takes them, with another count for one. Raises Invalid (`group`, `count`)."""
    details = list(groups)
    if not 0 <= count <= MOST_INSTANCES:
        raise Invalid(_("A group has 0 to %(most)d instances.") % {"most": MOST_INSTANCES}, field="count")
    if name not in {detail.get("InstanceGroupName") for detail in details}:
        raise Invalid(_("There is no such instance group."), field="group")
    return [_spec(detail, count if detail.get("InstanceGroupName") == name else None) for detail in details]


def _spec(detail: Mapping[str, Any], count: int | None) -> dict[str, Any]:
    """A group as it is described, in the words of an update: wished labels, taints and types rather than those of now."""
    spec = {name: detail[name] for name in _SAME if name in detail}
    spec["InstanceCount"] = _wanted_count(detail) if count is None else count
    if (least := detail.get("MinCount")) is not None:
        spec["MinInstanceCount"] = min(least, spec["InstanceCount"])
    if types := _types(detail):
        spec.pop("InstanceType", None)  # either the one or the other
        spec["InstanceRequirements"] = {"InstanceTypes": types}
    for name, translate in _TRANSLATED.items():
        if detail.get(name):
            spec[name] = translate(detail[name])
    return spec


def _wanted_count(detail: Mapping[str, Any]) -> int:
    target = detail.get("TargetCount")
    return int(detail.get("CurrentCount") or 0) if target is None else int(target)


def _kubernetes(detail: Mapping[str, Any]) -> dict[str, Any]:
    found = {"Labels": _wished(detail, "Labels"), "Taints": _wished(detail, "Taints")}
    return {name: value for name, value in found.items() if value is not None}


def _patching(detail: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in detail.items() if not name.endswith("PatchSchedule")}
    schedule = _wished(detail, "PatchSchedule")
    return {**kept, "PatchSchedule": schedule} if schedule else kept


def _wished(detail: Mapping[str, Any], name: str) -> Any:
    return detail.get(f"Desired{name}", detail.get(f"Current{name}"))


_TRANSLATED: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "KubernetesConfig": _kubernetes, "AutoPatchConfig": _patching}
