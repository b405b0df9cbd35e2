"""Options of SageMaker endpoints: the API's own names and limits, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind
from endpoints.options import check_options, problems_of
from endpoints.options.sagemaker import DEFAULT_VARIANT, overrides, variants

SPEC = {"engine": "vllm", "task": "chat", "release": "none", "artifact": {"kind": "s3", "location": "s3://models/chat"}}
TYPE = {"InstanceType": "ml.g5.2xlarge"}
COMPONENT = {"InferenceComponent": {"ComputeResourceRequirements": {"NumberOfAcceleratorDevicesRequired": 1,
                                                                    "MinMemoryRequiredInMb": 1024}}}
BLUE = "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration"


@pytest.fixture
def place(db: None) -> Cluster:
    cluster = Cluster.objects.create(name="sagemaker", kind=ClusterKind.SAGEMAKER)
    AwsPlace.objects.create(cluster=cluster, account=AwsAccount.objects.create(name="main"), region="us-west-2")
    return cluster


def blue_green(**traffic: Any) -> dict[str, Any]:
    return {"DeploymentConfig": {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {
        "WaitIntervalInSeconds": 60, **traffic}}}}


def size(value: int = 10) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


ROLLING = {"RollingUpdatePolicy": {"MaximumBatchSize": size(), "WaitIntervalInSeconds": 60}}
GOOD: list[dict[str, Any]] = [
    TYPE,
    {"InstanceType": "ml.p3.2xlarge", "ContainerStartupHealthCheckTimeoutInSeconds": 900,
     "ModelDataDownloadTimeoutInSeconds": 900,
     "VolumeSizeInGB": 256, "InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-3-1",
     "EnableSSMAccess": False, "KmsKeyId": "key",
     "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}, "Tags": [{"Key": "team", "Value": "chat"}]},
    {"InstancePools": [{"InstanceType": "ml.g5.2xlarge", "Priority": 1}, {"InstanceType": "ml.g6.2xlarge", "Priority": 2}]},
    {**TYPE, "Variants": [{"VariantName": "a", "InitialVariantWeight": 0.9}, {
        "VariantName": "b", "InitialVariantWeight": 0.1, "InitialInstanceCount": 1, "InstanceType": "ml.g6.2xlarge"}]},
    {**TYPE, **COMPONENT, "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 4}},
    {**TYPE, "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://answers/chat"},
                                      "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4}}},
    {**TYPE, "DataCaptureConfig": {"EnableCapture": True, "InitialSamplingPercentage": 10,
                                   "DestinationS3Uri": "s3://capture/chat",
                                   "CaptureOptions": [{"CaptureMode": "InputAndOutput"}]}},
    {**TYPE, **blue_green(Type="ALL_AT_ONCE")}, {**TYPE, **blue_green(Type="CANARY", CanarySize=size())},
    {**TYPE, "DeploymentConfig": {**ROLLING, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}},
]


@pytest.mark.parametrize("options", GOOD, ids=",".join)
def test_good_options_are_kept_as_they_are(place: Cluster, options: dict[str, Any]) -> None:
    assert check_options(place, SPEC, options) == options


@pytest.mark.parametrize(("options", "path"), [
    ({}, "InstanceType"), ({"instanceType": "ml.g5.2xlarge"}, "instanceType"),
    ({**TYPE, "InstancePools": [{"InstanceType": "ml.g5.2xlarge", "Priority": 1}]}, "InstancePools"),
    ({"InstancePools": [{"InstanceType": "ml.g5.2xlarge", "Priority": 1}, {"InstanceType": "ml.g6.2xlarge", "Priority": 1}]},
     "InstancePools"),
    ({**TYPE, "VolumeSizeInGB": 256}, "VolumeSizeInGB"),
    ({**TYPE, "ModelName": "x"}, "ModelName"), ({**TYPE, "ExecutionRoleArn": "x"}, "ExecutionRoleArn"),
    ({**TYPE, "InitialInstanceCount": 2}, "InitialInstanceCount"),
    ({**TYPE, "ContainerStartupHealthCheckTimeoutInSeconds": 59}, "ContainerStartupHealthCheckTimeoutInSeconds"),
    ({**TYPE, "Variants": [{"VariantName": "a"}]}, "Variants"),
    ({**TYPE, "Variants": [{"VariantName": "a"}, {"VariantName": "A"}]}, "Variants"),
    ({**TYPE, "Variants": [{"VariantName": "a", "InitialVariantWeight": 0}, {"VariantName": "b", "InitialVariantWeight": 0}]},
     "Variants"),
    ({**TYPE, "Variants": [{"VariantName": "a", "Image": "evil:1"}, {"VariantName": "b"}]}, "Variants.0.Image"),
    ({**TYPE, "Variants": [{"VariantName": "a", "Environment": {"LD_PRELOAD": "/x.so"}}, {"VariantName": "b"}]},
     "Variants.0.Environment"),
    ({**TYPE, **COMPONENT, "Variants": [{"VariantName": "a"}, {"VariantName": "b"}]}, "Variants"),
    ({**TYPE, **COMPONENT, "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://x/"}}}, "AsyncInferenceConfig"),
    ({**TYPE, "ManagedInstanceScaling": {"Status": "ENABLED", "MaxInstanceCount": 4}}, "ManagedInstanceScaling"),
    ({**TYPE, **COMPONENT, "ManagedInstanceScaling": {"MinInstanceCount": 4, "MaxInstanceCount": 2}},
     "ManagedInstanceScaling.MaxInstanceCount"),
    ({**TYPE, "InferenceComponent": {"ComputeResourceRequirements": {
        "MinMemoryRequiredInMb": 2048, "MaxMemoryRequiredInMb": 1024}}},
     "InferenceComponent.ComputeResourceRequirements.MaxMemoryRequiredInMb"),
    ({**TYPE, "RoutingConfig": {"RoutingStrategy": "RANDOM", "PrefixAwareRoutingConfig": {"PrefixLength": 2048}}},
     "RoutingConfig.PrefixAwareRoutingConfig"),
    ({**TYPE, "DeploymentConfig": {}}, "DeploymentConfig"),
    ({**TYPE, "DeploymentConfig": {**blue_green(Type="ALL_AT_ONCE")["DeploymentConfig"], **ROLLING}}, "DeploymentConfig"),
    ({**TYPE, **blue_green(Type="CANARY")}, f"{BLUE}.CanarySize"),
    ({**TYPE, **blue_green(Type="LINEAR")}, f"{BLUE}.LinearStepSize"),
    ({**TYPE, **blue_green(Type="ALL_AT_ONCE", CanarySize=size())}, f"{BLUE}.CanarySize"),
    ({**TYPE, **blue_green(Type="CANARY", CanarySize=size(60))}, f"{BLUE}.CanarySize.Value"),
    ({**TYPE, "AsyncInferenceConfig": {}}, "AsyncInferenceConfig.OutputConfig.S3OutputPath"),
    ({**TYPE, "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "https://x/y"}}},
     "AsyncInferenceConfig.OutputConfig.S3OutputPath"),
    ({**TYPE, "Tags": [{"Key": "aws:x", "Value": "y"}]}, "Tags.0.Key"),
    ({**TYPE, "Tags": [{"Key": "inference-portal/endpoint", "Value": "y"}]}, "Tags.0.Key"),
])
def test_what_is_refused_is_refused_at_its_path(place: Cluster, options: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in problems_of(place, SPEC, options)] == [path]


def test_the_places_bucket_stands_in_for_a_folder(place: Cluster) -> None:
    AwsPlace.objects.update(bucket="answers")
    assert check_options(place, SPEC, {**TYPE, "AsyncInferenceConfig": {}})


def test_without_variants_there_is_one_for_all_calls() -> None:
    assert variants({**TYPE, "VolumeSizeInGB": 256, "KmsKeyId": "key"}, 3) == [
        {"VariantName": DEFAULT_VARIANT, "InitialVariantWeight": 1.0, "InitialInstanceCount": 3,
         "InstanceType": "ml.g5.2xlarge", "VolumeSizeInGB": 256}]


def test_a_variants_own_values_win() -> None:
    made = variants({
        "InstancePools": [{"InstanceType": "ml.g5.2xlarge", "Priority": 1}], "EnableSSMAccess": True,
        "Variants": [{"VariantName": "a", "Arguments": {"max-model-len": 8192}},
                     {"VariantName": "b", "InitialVariantWeight": 0.1, "InitialInstanceCount": 1,
                      "InstanceType": "ml.g6.2xlarge"}],
    }, 2)
    names = ("VariantName", "InitialInstanceCount", "InitialVariantWeight", "EnableSSMAccess")
    assert [tuple(one[name] for name in names) for one in made] == [("a", 2, 1.0, True), ("b", 1, 0.1, True)]
    assert ["InstancePools" in one for one in made] == [True, False]
    assert all("Arguments" not in one for one in made)


def test_variants_with_settings_of_their_own_need_a_model_of_their_own() -> None:
    options = {"Variants": [{"VariantName": "a"}, {"VariantName": "b", "Arguments": {"max-model-len": 8192}}]}
    assert overrides(options) == {"b": {"Arguments": {"max-model-len": 8192}}}
    assert overrides({}) == {}
