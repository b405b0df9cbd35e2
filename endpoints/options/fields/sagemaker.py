"""Words for the fields of the SageMaker API."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .common import Field, Group

_BLUE, _ROLLING = "DeploymentConfig.BlueGreenUpdatePolicy", "DeploymentConfig.RollingUpdatePolicy"
_TRAFFIC = f"{_BLUE}.TrafficRoutingConfiguration"
_NEEDS = "InferenceComponent.ComputeResourceRequirements"
_ANSWERS = "AsyncInferenceConfig.OutputConfig"


def _size(path: str, what: str | Promise) -> list[Field]:
    return [Field(f"{path}.Type", what), Field(f"{path}.Value", _("How many instances, or per cent."))]


SAGEMAKER: Sequence[Group] = (
    Group(_("Where it runs"), [
        Field("InstanceType", _("Type of the instances."), "ml.g5.2xlarge"),
        Field("InstancePools", _("Or several types, the first where it is free."),
              '[{"InstanceType": "ml.g5.2xlarge", "Priority": 1}, {"InstanceType": "ml.g6.2xlarge", "Priority": 2}]'),
        Field("VolumeSizeInGB", _("Disk of each instance; types with disks of their own take none.")),
        Field("InferenceAmiVersion", _("Software of the machine: driver and CUDA must fit the image.")),
        Field("CapacityReservationConfig.CapacityReservationPreference", _("Use reserved capacity only.")),
        Field("CapacityReservationConfig.MlReservationArn", _("The reservation."), "arn:aws:sagemaker:…"),
        Field("VariantInstanceProvisionTimeoutInSeconds", _("How long SageMaker tries to get instances.")),
    ]),
    Group(_("Start"), [
        Field("ContainerStartupHealthCheckTimeoutInSeconds", _("How long the engine may take to answer; empty is as the "
                                                               "profile's start time.")),
        Field("ModelDataDownloadTimeoutInSeconds", _("How long the weights may take; empty is as the profile's start time.")),
    ]),
    Group(_("Variants and routing"), [
        Field("Variants", _("Two to ten that share the calls by weight; each may have a type, count and arguments of its own."),
              '[{"VariantName": "a", "InitialVariantWeight": 0.9}, {"VariantName": "b", "InitialVariantWeight": 0.1}]'),
        Field("RoutingConfig.RoutingStrategy", _("Which instance gets the next call.")),
        Field("RoutingConfig.PrefixAwareRoutingConfig.PrefixLength", _("PREFIX_AWARE: how much of a prompt counts.")),
        Field("RoutingConfig.PrefixAwareRoutingConfig.ConcurrencyThreshold",
              _("PREFIX_AWARE: from so many calls at the same time another instance is taken.")),
    ]),
    Group(_("Inference component"), [
        Field(f"{_NEEDS}.NumberOfAcceleratorDevicesRequired", _("GPUs of each copy. A component shares instances with "
                                                               "others, and can scale to zero copies.")),
        Field(f"{_NEEDS}.NumberOfCpuCoresRequired", _("CPU cores of each copy; empty is as the profile's.")),
        Field(f"{_NEEDS}.MinMemoryRequiredInMb", _("Memory of each copy; empty is as the profile's.")),
        Field(f"{_NEEDS}.MaxMemoryRequiredInMb", _("And at most.")),
        Field(f"{_NEEDS}.AcceleratorPartitionType", _("A MIG partition in place of whole GPUs."), "mig-1g.10gb"),
        Field("InferenceComponent.StartupParameters.ContainerStartupHealthCheckTimeoutInSeconds",
              _("How long a copy may take to answer.")),
        Field("InferenceComponent.StartupParameters.ModelDataDownloadTimeoutInSeconds", _("How long its weights may take.")),
        Field("InferenceComponent.DataCacheConfig.EnableCaching", _("Keep weights and image for the next copy.")),
        Field("InferenceComponent.SchedulingConfig.PlacementStrategy", _("Spread copies over instances, or fill one first.")),
        Field("InferenceComponent.SchedulingConfig.AvailabilityZoneBalance.EnforcementMode", _("Balance copies over zones.")),
        Field("InferenceComponent.SchedulingConfig.AvailabilityZoneBalance.MaxImbalance", _("By how much zones may differ.")),
        Field("ManagedInstanceScaling.Status", _("SageMaker adds and takes away instances as the copies need.")),
        Field("ManagedInstanceScaling.MinInstanceCount", _("At least; 0 lets the last one go.")),
        Field("ManagedInstanceScaling.MaxInstanceCount", _("At most.")),
        Field("ManagedInstanceScaling.ScaleInPolicy.Strategy", _("Which instances go.")),
        Field("ManagedInstanceScaling.ScaleInPolicy.MaximumStepSize", _("How many at once.")),
        Field("ManagedInstanceScaling.ScaleInPolicy.CooldownInMinutes", _("Minutes between two steps.")),
    ]),
    Group(_("Asynchronous"), [
        Field(f"{_ANSWERS}.S3OutputPath", _("Folder for answers: calls wait in a queue. Empty takes the place's bucket."),
              "s3://bucket/answers"),
        Field(f"{_ANSWERS}.S3FailurePath", _("Folder for failures."), "s3://bucket/failures"),
        Field(f"{_ANSWERS}.KmsKeyId", _("KMS key for answers.")),
        Field(f"{_ANSWERS}.NotificationConfig.SuccessTopic", _("SNS topic that hears of each answer."), "arn:aws:sns:…"),
        Field(f"{_ANSWERS}.NotificationConfig.ErrorTopic", _("SNS topic that hears of each failure."), "arn:aws:sns:…"),
        Field(f"{_ANSWERS}.NotificationConfig.IncludeInferenceResponseIn", _("Topics that get the answer itself, too."),
              "SUCCESS_NOTIFICATION_TOPIC"),
        Field("AsyncInferenceConfig.ClientConfig.MaxConcurrentInvocationsPerInstance",
              _("Calls at the same time on an instance.")),
    ]),
    Group(_("Updates"), [
        Field(f"{_TRAFFIC}.Type", _("Blue/green: all calls at once, a few first, or in equal steps.")),
        Field(f"{_TRAFFIC}.WaitIntervalInSeconds", _("Between two steps.")),
        *_size(f"{_TRAFFIC}.CanarySize", _("CANARY: how much goes first.")),
        *_size(f"{_TRAFFIC}.LinearStepSize", _("LINEAR: how much goes in each step.")),
        Field(f"{_BLUE}.TerminationWaitInSeconds", _("How long the old instances stay.")),
        Field(f"{_BLUE}.MaximumExecutionTimeoutInSeconds", _("How long the whole update may take.")),
        *_size(f"{_ROLLING}.MaximumBatchSize", _("Rolling: how much is replaced at once.")),
        Field(f"{_ROLLING}.WaitIntervalInSeconds", _("Between two batches.")),
        *_size(f"{_ROLLING}.RollbackMaximumBatchSize", _("How much goes back at once.")),
        Field(f"{_ROLLING}.MaximumExecutionTimeoutInSeconds", _("How long the whole update may take.")),
        Field("DeploymentConfig.AutoRollbackConfiguration.Alarms", _("CloudWatch alarms that undo an update."),
              '[{"AlarmName": "chat-errors"}]'),
    ]),
    Group(_("Data capture"), [
        Field("DataCaptureConfig.EnableCapture", _("Keep calls in S3.")),
        Field("DataCaptureConfig.InitialSamplingPercentage", _("Per cent of the calls.")),
        Field("DataCaptureConfig.DestinationS3Uri", _("Folder; empty takes the place's bucket."), "s3://bucket/captured"),
        Field("DataCaptureConfig.CaptureOptions", _("What is kept."), '[{"CaptureMode": "InputAndOutput"}]'),
        Field("DataCaptureConfig.KmsKeyId", _("KMS key for what is written.")),
        Field("DataCaptureConfig.CaptureContentTypeHeader.CsvContentTypes", _("Content types to keep as CSV."), "text/csv"),
        Field("DataCaptureConfig.CaptureContentTypeHeader.JsonContentTypes", _("Content types to keep as JSON."),
              "application/json"),
    ]),
    Group(_("Metrics, keys and tags"), [
        Field("MetricsConfig.EnableEnhancedMetrics", _("Metrics of each instance and GPU.")),
        Field("MetricsConfig.EnableDetailedObservability", _("More of them.")),
        Field("MetricsConfig.MetricPublishFrequencyInSeconds", _("Seconds between two values.")),
        Field("KmsKeyId", _("KMS key of the instances' disks; empty takes the place's.")),
        Field("EnableSSMAccess", _("Let operators of the account into the container by Systems Manager.")),
        Field("CoreDumpConfig.DestinationS3Uri", _("Folder for the memory of a crashed engine; prompts may stand in it."),
              "s3://bucket/crashes"),
        Field("CoreDumpConfig.KmsKeyId", _("KMS key for it.")),
        Field("Tags", _("Tags of what is made."), '[{"Key": "team", "Value": "chat"}]'),
    ], rare=True),
)
