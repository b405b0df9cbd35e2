"""Every field that people can set arrives in what is sent, in a body that the CRD's schema or the SDK's model takes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from clusters.models import Cluster
from clusters.states import ClusterKind
from clusters.units import GIB
from endpoints.options import check_body, problems_of
from endpoints.options.case import value_at
from endpoints.options.fields import fields_of
from endpoints.options.hyperpod import OWN
from endpoints.options.making import OF_ALL_VARIANTS
from endpoints.targets.base import Resources, RevisionSpec, Spec
from endpoints.targets.hyperpod.config import operator_manifest
from endpoints.targets.hyperpod.place import HyperPodPlace
from endpoints.targets.sagemaker.bodies import bodies_of, deployment
from endpoints.targets.sagemaker.place import PlaceView

GPU = {"nvidia.com/gpu": 1}
SCALING = {"minReplicaCount": 1, "maxReplicaCount": 3, "cloudWatchTrigger": {"name": "calls", "targetValue": 5}}
PROBE = {"httpGet": {"path": "/health", "port": 8000}, "timeoutSeconds": 5}
AFFINITY = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}
CAPTURED = {
    "enabled": True, "initialSamplingPercentage": 10, "captureOptions": [{"captureMode": "Input"}], "kmsKeyId": "key",
    "captureContentTypeHeader": {"csvContentTypes": ["text/csv"], "jsonContentTypes": ["application/json"]}}
ROLE = {"replicas": 2, "args": ["--max-num-seqs=8"], "nodeSelector": {"zone": "a"}, "resources": {
    "limits": GPU, "requests": GPU, "claims": [{"name": "gpu"}]}}
COMMON: dict[str, Any] = {
    "queue": "chat-queue", "priorityClass": "inference", "entrance": "load-balancer", "maxDeployTimeInSeconds": 1800,
    "kvCacheSpec": {"enableL1Cache": True, "enableL2Cache": True, "cacheConfigFile": "/cache.yaml", "l2CacheSpec": {
        "l2CacheBackend": "redis", "l2CacheLocalUrl": "redis://redis:6379"}},
    "intelligentRoutingSpec": {"enabled": True, "routingStrategy": "kvaware", "autoScalingSpec": SCALING},
    "loadBalancer": {"healthCheckPath": "/health", "routingAlgorithm": "round_robin"},
    "tlsConfig": {"tlsCertificateOutputS3Uri": "s3://certificates/", "customCertificateConfig": {
        "acmArn": "arn:aws:acm:us-west-2:123456789012:certificate/ab-12", "domainName": "chat.example.com"}},
    "dnsConfig": {"hostedZoneId": "Z0ABC"},
    "metrics": {"enabled": True, "metricsScrapeIntervalSeconds": 30, "modelMetrics": {"path": "/metrics", "port": 8000}},
    "dataCapture": {"s3Uri": "s3://captured", "sagemakerEndpoint": CAPTURED, "loadBalancer": {"enabled": True}, "modelPod": {
        **CAPTURED, "bufferConfig": {"batchSize": 5, "flushIntervalSeconds": 30}, "payloadConfig": {"maxPayloadSizeKB": 64}}},
}
IEC: list[dict[str, Any]] = [
    {**COMMON, "instanceType": "ml.p5.48xlarge", "modelName": "chat", "modelVersion": "3", "endpointName": "chat",
     "invocationEndpoint": "v1/chat/completions", "modelSourceConfig": {"s3Storage": {"region": "us-east-1"}},
     "worker": {"environmentVariables": [{"name": "LMCACHE_CHUNK_SIZE", "value": "256"}], "workingDir": "/work",
                "probes": {"startupProbe": PROBE, "readinessProbe": PROBE, "livenessProbe": PROBE},
                "requestLimits": {"maxConcurrentRequests": 8, "maxQueueSize": 4, "overflowStatusCode": 503},
                "resources": {"limits": {"nvidia.com/mig-1g.10gb": 1}, "requests": {"ephemeral-storage": "9Gi"},
                              "claims": [{"name": "gpu"}]}},
     "kubernetes": {"initContainers": [{"name": "fetch", "image": "fetch:1"}], "volumes": [{"name": "scratch", "emptyDir": {}}],
                    "serviceAccountName": "models", "schedulerName": "other"}, "tags": [{"name": "team", "value": "chat"}]},
    {"instanceTypes": ["ml.p5.48xlarge", "ml.p4d.24xlarge"], "modelSourceConfig": {"prefetchEnabled": True},
     "pdSpec": {"prefillSpec": ROLE, "decodingSpec": ROLE, "routingThreshold": 2048,
                "topologySpec": {"sameAZ": True, "availabilityZone": "us-west-2a", "placementGroup": "close"},
                "autoScalingSpec": {"prefillAutoScaling": SCALING, "decodingAutoScaling": SCALING}}},
    {"nodeAffinity": AFFINITY, "modelSourceConfig": {"fsxStorage": {"dnsName": "fs.example.com", "mountName": "fsx"}}},
]
JUMPSTART: list[dict[str, Any]] = [{
    **COMMON, "sageMakerEndpoint": {"name": "chat"}, "environmentVariables": [{"name": "OPTION_X", "value": "1"}],
    "server": {"instanceType": "ml.p5.48xlarge", "acceleratorPartitionType": "mig-1g.10gb",
               "executionRole": "arn:aws:iam::123456789012:role/inference",
               "validations": {"acceleratorPartitionValidation": False}},
    "model": {"modelHubName": "SageMakerPublicHub", "gatedModelDownloadRole": "arn:aws:iam::123456789012:role/models",
              "additionalConfigs": [{"name": "a", "value": "b"}]}}]
ARTIFACTS = {"s3": "s3://models/chat", "fsx": "fsx://fs-0123456789abcdef0/models/chat", "jumpstart": "deepseek-llm-r1"}

SIZE = {"Type": "CAPACITY_PERCENT", "Value": 10}
TYPE = {"InstanceType": "ml.p4d.24xlarge"}


def blue_green(**traffic: Any) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"WaitIntervalInSeconds": 60, **traffic}, "TerminationWaitInSeconds": 60,
        "MaximumExecutionTimeoutInSeconds": 3600},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}


SAGEMAKER: list[dict[str, Any]] = [
    {"InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 256, "InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-3-1",
     "CapacityReservationConfig": {"CapacityReservationPreference": "capacity-reservations-only",
                                   "MlReservationArn": "arn:aws:sagemaker:us-west-2:123456789012:training-plan/mine"},
     "VariantInstanceProvisionTimeoutInSeconds": 600, "ContainerStartupHealthCheckTimeoutInSeconds": 900,
     "ModelDataDownloadTimeoutInSeconds": 901, "EnableSSMAccess": True, "KmsKeyId": "key",
     "CoreDumpConfig": {"DestinationS3Uri": "s3://crashes/x", "KmsKeyId": "key"},
     "RoutingConfig": {"RoutingStrategy": "PREFIX_AWARE", "PrefixAwareRoutingConfig": {
         "PrefixLength": 2048, "ConcurrencyThreshold": 8}},
     "Variants": [{"VariantName": "a", "InitialVariantWeight": 0.9}, {"VariantName": "b", "InitialInstanceCount": 1}],
     "DataCaptureConfig": {
         "EnableCapture": True, "InitialSamplingPercentage": 10, "DestinationS3Uri": "s3://captured/x", "KmsKeyId": "key",
         "CaptureOptions": [{"CaptureMode": "Input"}], "CaptureContentTypeHeader": {
             "CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}},
     "MetricsConfig": {"EnableEnhancedMetrics": True, "EnableDetailedObservability": True,
                       "MetricPublishFrequencyInSeconds": 60},
     "Tags": [{"Key": "team", "Value": "chat"}], "DeploymentConfig": blue_green(Type="CANARY", CanarySize=SIZE)},
    {"InstancePools": [{"InstanceType": "ml.g5.2xlarge", "Priority": 1}, {"InstanceType": "ml.g6.2xlarge", "Priority": 2}],
     "DeploymentConfig": blue_green(Type="LINEAR", LinearStepSize=SIZE),
     "AsyncInferenceConfig": {"ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4}, "OutputConfig": {
         "S3OutputPath": "s3://answers/x", "S3FailurePath": "s3://failures/x", "KmsKeyId": "key", "NotificationConfig": {
             "SuccessTopic": "arn:aws:sns:us-west-2:123456789012:good", "ErrorTopic": "arn:aws:sns:us-west-2:123456789012:bad",
             "IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"]}}}},
    {**TYPE, "InferenceComponent": {
        "ComputeResourceRequirements": {
            "NumberOfAcceleratorDevicesRequired": 1, "NumberOfCpuCoresRequired": 4, "MinMemoryRequiredInMb": 2048,
            "MaxMemoryRequiredInMb": 4096, "AcceleratorPartitionType": "mig-1g.5gb"},
        "StartupParameters": {"ContainerStartupHealthCheckTimeoutInSeconds": 900, "ModelDataDownloadTimeoutInSeconds": 901},
        "DataCacheConfig": {"EnableCaching": True}, "SchedulingConfig": {
            "PlacementStrategy": "SPREAD", "AvailabilityZoneBalance": {"EnforcementMode": "PERMISSIVE", "MaxImbalance": 1}}},
     "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 4, "ScaleInPolicy": {
         "Strategy": "IDLE_RELEASE", "MaximumStepSize": 2, "CooldownInMinutes": 10}},
     "DeploymentConfig": {"RollingUpdatePolicy": {"MaximumBatchSize": SIZE, "RollbackMaximumBatchSize": SIZE,
                                                  "WaitIntervalInSeconds": 60, "MaximumExecutionTimeoutInSeconds": 3600}}},
]


def spec_with(options: dict[str, Any], kind: str = "s3") -> Spec:
    revision = RevisionSpec(
        number=1, engine="vllm", release="vllm-cuda-0.32.0", device="cuda", task="chat", artifact_kind=kind,
        artifact_location=ARTIFACTS[kind], artifact_revision="", arguments={}, environment={}, start_seconds=900,
        resources=Resources(4000, 16 * GIB, gpus=1), options=options,
        image="123456789012.dkr.ecr.us-west-2.amazonaws.com/vllm:1")
    return Spec(uid=UUID(int=1), name="chat", external_name="chat-0123456789", workspace="alpha", cluster_id=1,
                public_name="chat", generation=1, replicas=2, wanted=revision, namespace="ip-alpha")


def refusals(place: str, options: dict[str, Any], kind: str = "s3") -> list[str]:
    frozen = {"engine": "vllm", "task": "chat", "release": "", "artifact": {"kind": kind}}
    return [str(problem) for problem in problems_of(Cluster(name="place", kind=place), frozen, options)]


CASES = [("InferenceEndpointConfig", "fsx" if "fsxStorage" in options.get("modelSourceConfig", {}) else "s3", options)
         for options in IEC] + [("JumpStartModel", "jumpstart", options) for options in JUMPSTART]


@pytest.mark.parametrize(("kind", "artifact", "options"), CASES,
                         ids=[f"{kind}-{index}" for index, (kind, _artifact, _options) in enumerate(CASES)])
def test_the_operators_object_has_every_option(kind: str, artifact: str, options: dict[str, Any]) -> None:
    assert refusals(ClusterKind.HYPERPOD, options, artifact) == []
    body = operator_manifest(spec_with(options, artifact), HyperPodPlace(region="us-west-2"))
    assert check_body(kind, body) == []
    for field in fields_of(kind):
        wished = value_at(options, field.path)
        if wished is not None and field.path not in OWN:
            found = value_at(body["spec"], field.path)
            assert found == wished or _holds(found, wished), field.path
    labels = body["metadata"]["labels"].values()
    assert {options[name] for name in ("queue", "priorityClass") if name in options} <= set(labels)


def _holds(found: Any, wished: Any) -> bool:
    """What the portal has there beside it."""
    if isinstance(wished, dict):
        return isinstance(found, dict) and wished.items() <= found.items()
    return isinstance(wished, list) and isinstance(found, list) and all(one in found for one in wished)


@pytest.mark.parametrize("kind", ["InferenceEndpointConfig", "JumpStartModel"])
def test_no_field_of_the_operator_is_left_out_of_these_examples(kind: str) -> None:
    examples = IEC if kind == "InferenceEndpointConfig" else JUMPSTART
    assert [field.path for field in fields_of(kind) if all(value_at(one, field.path) is None for one in examples)] == []


@pytest.mark.django_db
@pytest.mark.parametrize("options", SAGEMAKER, ids=["variants", "asynchronous", "component"])
def test_the_calls_to_sagemaker_have_every_option(options: dict[str, Any]) -> None:
    """`bodies_of` holds each call against the SDK's own model."""
    assert refusals(ClusterKind.SAGEMAKER, options) == []
    spec = spec_with(options)
    made = bodies_of(spec, PlaceView("account", execution_role="arn:aws:iam::123456789012:role/endpoints", region="us-west-2"))
    variant = made.config["ProductionVariants"][0]
    for field in fields_of("SageMaker"):
        wished, head = value_at(options, field.path), field.path.partition(".")[0]
        if wished is None:
            continue
        if head == "Variants":
            found: Any = [{name: one[name] for name in wish} for wish, one in zip(wished, made.config["ProductionVariants"],
                                                                                strict=True)]
        elif head == "InferenceComponent":
            assert made.component is not None
            found = value_at(made.component["Specification"], field.path.partition(".")[2])
        else:
            where = variant if head in OF_ALL_VARIANTS else deployment(spec) if head == "DeploymentConfig" else made.config
            found = value_at(where, field.path)
        assert found == wished or _holds(found, wished), field.path


def test_no_field_of_sagemaker_is_left_out_of_these_examples() -> None:
    assert [field.path for field in fields_of("SageMaker")
            if all(value_at(one, field.path) is None for one in SAGEMAKER)] == []
