"""HyperPod clusters as AWS describes them: what is kept, what may be deployed to, what an update is sent. Nothing is asked."""

from __future__ import annotations

from typing import Any

import pytest

from clusters import hyperpod
from clusters.drivers.aws import check_params
from portal.tenancy.errors import Invalid

EKS = "arn:aws-cn:eks:cn-north-1:123456789012:cluster/team-eks"
ROLE = "arn:aws:iam::123456789012:role/hyperpod"
TAINT = {"Key": "team", "Value": "a", "Effect": "NoSchedule"}
# Every field that describe_cluster may give for a group, by botocore's model.
FULL: dict[str, Any] = {
    "InstanceGroupName": "gpu", "InstanceType": "ml.p5.48xlarge", "CurrentCount": 3, "TargetCount": 4, "MinCount": 2,
    "Status": "Updating", "ExecutionRole": ROLE, "ThreadsPerCore": 2,
    "LifeCycleConfig": {"SourceS3Uri": "s3://bucket/scripts/", "OnCreate": "on_create.sh"},
    "InstanceStorageConfigs": [{"EbsVolumeConfig": {"VolumeSizeInGB": 500}}], "OnStartDeepHealthChecks": ["InstanceStress"],
    "TrainingPlanArn": "arn:aws:sagemaker:us-west-2:123456789012:training-plan/plan-1", "TrainingPlanStatus": "Active",
    "OverrideVpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
    "ScheduledUpdateConfig": {"ScheduleExpression": "cron(0 3 ? * SUN *)"},
    "AutoPatchConfig": {"PatchingStrategy": "WhenIdle", "DesiredPatchSchedule": {"NextPatchDate": 1800000000},
                        "CurrentPatchSchedule": {"NextPatchDate": 1700000000}},
    "CurrentImageId": "ami-0123456789abcdef0", "DesiredImageId": "ami-0123456789abcdef1",
    "CurrentImageReleaseVersion": "1.2.3", "DesiredImageReleaseVersion": "1.2.4", "ImageVersionStatus": "UpdateAvailable",
    "ActiveOperations": {"Scaling": 1}, "TargetStateCount": 3, "SoftwareUpdateStatus": "InProgress",
    "ActiveSoftwareUpdateConfig": {"WaitIntervalInSeconds": 60},
    "KubernetesConfig": {"CurrentLabels": {"a": "old"}, "DesiredLabels": {"a": "new"}, "CurrentTaints": [],
                         "DesiredTaints": [TAINT]},
    "CapacityRequirements": {"Spot": {}}, "NetworkInterface": {"InterfaceType": "efa"},
}
FLEXIBLE: dict[str, Any] = {
    "InstanceGroupName": "any", "CurrentCount": 1, "ExecutionRole": ROLE,
    "InstanceRequirements": {"CurrentInstanceTypes": ["ml.g5.8xlarge"],
                             "DesiredInstanceTypes": ["ml.g5.8xlarge", "ml.g6.8xlarge"]},
    "InstanceTypeDetails": [{"InstanceType": "ml.g5.8xlarge", "CurrentCount": 1}],
}


def test_a_description_becomes_what_a_place_keeps() -> None:
    found = hyperpod.described({
        "ClusterName": "team", "ClusterArn": "arn:aws-cn:sagemaker:cn-north-1:123456789012:cluster/abcdefghijkl",
        "ClusterStatus": "InService", "Orchestrator": {"Eks": {"ClusterArn": EKS}}, "InstanceGroups": [FULL, FLEXIBLE],
        "TieredStorageConfig": {"Mode": "Enable"}, "NodeRecovery": "Automatic", "NodeProvisioningMode": "Continuous",
        "AutoScaling": {"Mode": "Enable", "Status": "InService"}})
    assert (found.eks_name, found.eks_region, found.instances) == ("team-eks", "cn-north-1", 4)
    assert found.features == {"tiered_storage": True, "node_recovery": "Automatic", "provisioning": "Continuous",
                              "autoscaling": True}
    assert found.groups[0] == {"InstanceGroupName": "gpu", "InstanceType": "ml.p5.48xlarge", "CurrentCount": 3,
                               "TargetCount": 4, "MinCount": 2, "Status": "Updating", "CapacityRequirements": {"Spot": {}}}
    assert found.groups[1]["InstanceType"] == "ml.g5.8xlarge, ml.g6.8xlarge"


def test_what_a_poor_description_lacks_is_empty() -> None:
    found = hyperpod.described({
        "ClusterName": "bare", "ClusterArn": "a", "ClusterStatus": "Failed", "FailureMessage": "no room"})
    assert (found.eks_name, found.eks_region, found.groups, found.message) == ("", "", [], "no room")
    assert found.features == {"tiered_storage": False, "node_recovery": "None", "provisioning": "", "autoscaling": False}


@pytest.mark.parametrize(("status", "message", "words"), [
    ("InService", "", ""), ("InService", "an old failure", ""), ("", "", "not been asked"), ("Creating", "", "still making"),
    ("Updating", "", "is updating"), ("SystemUpdating", "", "software"), ("RollingBack", "no room", "(no room)"),
    ("Failed", "quota of ml.p5", "(quota of ml.p5)"), ("Deleting", "", "is deleting"), ("NotFound", "", "no such cluster"),
    ("Paused", "", "“Paused”"),
])
def test_only_a_cluster_in_service_takes_something_new(status: str, message: str, words: str) -> None:
    said = hyperpod.why_not_deployable(status, message)
    assert words in said
    assert bool(said) == (status != "InService")


@pytest.mark.parametrize(("status", "eks", "words"), [
    ("InService", EKS, ""), ("Creating", EKS, ""), ("Failed", EKS, ""), ("InService", "", "Slurm"),
    ("Deleting", EKS, "deleting")])
def test_what_can_become_a_place(status: str, eks: str, words: str) -> None:
    said = hyperpod.why_not_importable(hyperpod.Described("team", "arn", status, eks_arn=eks))
    assert words in said
    assert bool(said) == bool(words)


def test_a_group_is_sent_back_as_it_is_wished_with_one_count_changed() -> None:
    full, flexible = hyperpod.resized([FULL, FLEXIBLE], "any", 5)
    assert full == {
        **{name: FULL[name] for name in (
            "InstanceGroupName", "InstanceType", "LifeCycleConfig", "ExecutionRole", "ThreadsPerCore",
            "InstanceStorageConfigs", "OnStartDeepHealthChecks", "TrainingPlanArn", "OverrideVpcConfig",
            "ScheduledUpdateConfig", "CapacityRequirements", "NetworkInterface")},
        "InstanceCount": 4, "MinInstanceCount": 2, "KubernetesConfig": {"Labels": {"a": "new"}, "Taints": [TAINT]},
        "AutoPatchConfig": {"PatchingStrategy": "WhenIdle", "PatchSchedule": {"NextPatchDate": 1800000000}}}
    assert flexible == {"InstanceGroupName": "any", "ExecutionRole": ROLE, "InstanceCount": 5,
                        "InstanceRequirements": {"InstanceTypes": ["ml.g5.8xlarge", "ml.g6.8xlarge"]}}


@pytest.mark.parametrize(("group", "count"), [("gpu", 0), ("gpu", 6758), ("any", 3)])
def test_what_is_sent_back_is_what_aws_takes(group: str, count: int) -> None:
    """By botocore's own description of the operation: no field of an answer that a request does not have."""
    groups = hyperpod.resized([FULL, FLEXIBLE], group, count)
    assert check_params("sagemaker", "update_cluster", {"ClusterName": "team", "InstanceGroups": groups}) == []
    assert check_params("sagemaker", "update_cluster", {"ClusterName": "team", "InstanceGroups": [FULL]}) != []


def test_a_smaller_group_lowers_its_minimum_too() -> None:
    assert hyperpod.resized([FULL], "gpu", 1)[0]["MinInstanceCount"] == 1


@pytest.mark.parametrize(("group", "count", "field"), [("none", 1, "group"), ("gpu", -1, "count"), ("gpu", 6759, "count")])
def test_an_impossible_size_is_refused(group: str, count: int, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        hyperpod.resized([FULL], group, count)
    assert refused.value.field == field


def test_machines_are_named_as_their_nodes() -> None:
    found = hyperpod.machines([
        {"InstanceId": "i-0abc", "InstanceGroupName": "gpu", "InstanceType": "ml.g5.8xlarge",
         "InstanceStatus": {"Status": "Failure", "Message": "GPU 3 is \x1b[31mgone"}},
        {"InstanceGroupName": "gpu", "InstanceStatus": {"Status": "Pending"}}])
    assert [one.node for one in found] == ["hyperpod-i-0abc"]
    assert (found[0].status, found[0].message) == ("Failure", "GPU 3 is gone")
