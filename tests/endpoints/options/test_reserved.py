"""What only operators set: everything that reaches into the AWS account, or brings code that no profile has."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.options.fields import GROUPS, fields_of
from endpoints.options.reserved import RESERVED, is_reserved, reserved

IEC, JUMPSTART, SAGEMAKER = "InferenceEndpointConfig", "JumpStartModel", "SageMaker"


def variable(**values: Any) -> dict[str, Any]:
    return {"worker": {"environmentVariables": [values]}}


TAKEN: list[tuple[str, dict[str, Any], str]] = [
    (IEC, {"kubernetes": {"initContainers": [{"name": "fetch", "image": "evil:1"}]}}, "kubernetes.initContainers"),
    (IEC, {"kubernetes": {"serviceAccountName": "admin"}}, "kubernetes.serviceAccountName"),
    (IEC, {"kubernetes": {"volumes": [{"name": "s", "secret": {"secretName": "others"}}]}}, "kubernetes.volumes"),
    (IEC, {"tlsConfig": {"tlsCertificateOutputS3Uri": "s3://others/x"}}, "tlsConfig"),
    (IEC, {"dnsConfig": {"hostedZoneId": "Z0"}}, "dnsConfig"),
    (IEC, {"dataCapture": {"s3Uri": "s3://others/x", "modelPod": {"enabled": True}}}, "dataCapture.s3Uri"),
    (IEC, {"dataCapture": {"modelPod": {"enabled": True, "kmsKeyId": "k"}}}, "dataCapture.modelPod.kmsKeyId"),
    (IEC, {"kvCacheSpec": {"cacheConfigFile": "/opt/ml/model/cache.yaml"}}, "kvCacheSpec.cacheConfigFile"),
    (IEC, {"worker": {"probes": {"livenessProbe": {"exec": {"command": ["sh", "-c", "id"]}}}}},
     "worker.probes.livenessProbe.exec"),
    (IEC, variable(name="OPTION_TRUST_REMOTE_CODE", value="true"), "worker.environmentVariables.0.name"),
    (IEC, variable(name="HF_ENDPOINT", value="https://hub.example"), "worker.environmentVariables.0.name"),
    (IEC, variable(name="NCCL_DEBUG", value="$(HF_TOKEN)"), "worker.environmentVariables.0.name"),
    (IEC, variable(name="NCCL_DEBUG", valueFrom={"secretKeyRef": {"name": "s", "key": "k"}}),
     "worker.environmentVariables.0.valueFrom"),
    (JUMPSTART, {"environmentVariables": [{"name": "OPTION_X", "value": "1"}]}, "environmentVariables.0.name"),
    (JUMPSTART, {"server": {"executionRole": "arn:aws:iam::1:role/x"}}, "server.executionRole"),
    (JUMPSTART, {"model": {"gatedModelDownloadRole": "arn:aws:iam::1:role/x"}}, "model.gatedModelDownloadRole"),
    (SAGEMAKER, {"KmsKeyId": "k"}, "KmsKeyId"), (SAGEMAKER, {"EnableSSMAccess": True}, "EnableSSMAccess"),
    (SAGEMAKER, {"DataCaptureConfig": {"DestinationS3Uri": "s3://others/x"}}, "DataCaptureConfig.DestinationS3Uri"),
    (SAGEMAKER, {"AsyncInferenceConfig": {"OutputConfig": {"NotificationConfig": {"SuccessTopic": "arn"}}}},
     "AsyncInferenceConfig.OutputConfig.NotificationConfig"),
]


@pytest.mark.parametrize(("kind", "options", "path"), TAKEN)
def test_a_member_can_neither_set_it_nor_change_it_but_keeps_it(kind: str, options: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in reserved(kind, options, {})] == [path]
    assert list(reserved(kind, options, options)) == []


@pytest.mark.parametrize(("kind", "options"), [
    (IEC, {"instanceType": "ml.g5.8xlarge", "endpointName": "chat", "kvCacheSpec": {"enableL1Cache": True}}),
    (IEC, variable(name="NCCL_DEBUG", value="INFO")),
    (IEC, {"worker": {"probes": {"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}}}}),
    (IEC, {"dataCapture": {"modelPod": {"enabled": True}}}),
    (SAGEMAKER, {"InstanceType": "ml.g5.2xlarge", "AsyncInferenceConfig": {}, "DataCaptureConfig": {"EnableCapture": True}}),
])
def test_the_rest_is_everybodys(kind: str, options: dict[str, Any]) -> None:
    assert list(reserved(kind, options, {})) == []


def test_each_reserved_path_is_of_a_field_that_people_see_or_holds_some() -> None:
    for kind, paths in RESERVED.items():
        seen = [f"{field.path}." for field in fields_of(kind)]
        lost = [name for name in paths if not any(one.startswith(f"{name}.") or f"{name}.".startswith(one) for one in seen)]
        assert not lost, kind


def test_whatever_names_a_role_a_key_or_a_folder_in_s3_is_reserved() -> None:
    """By the names of fields, so that a new one in a later schema is not forgotten."""
    words = ("Role", "Kms", "S3Uri", "s3Uri", "S3OutputPath", "S3FailurePath", "hostedZone", "acmArn")
    named = {(kind, field.path) for kind in GROUPS for field in fields_of(kind)
             if any(word.lower() in field.path.rpartition(".")[2].lower() for word in words)}
    assert named
    assert {one for one in named if not is_reserved(*one)} == set()
