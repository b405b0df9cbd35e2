"""Where moto answers rightly, the simulator answers in the same shape: the same calls to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.simulators.aws.server import AwsSimulator, make_client

ROLE = "arn:aws:iam::123456789012:role/endpoints"
MODEL = {"ModelName": "model", "ExecutionRoleArn": ROLE, "Tags": [{"Key": "owner", "Value": "portal"}], "PrimaryContainer": {
    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/vllm:1", "Environment": {"SM_VLLM_MODEL": "m"},
    "ModelDataSource": {"S3DataSource": {"S3Uri": "s3://weights/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}}}}
VARIANT = {"VariantName": "all", "ModelName": "model", "InstanceType": "ml.g4dn.xlarge", "InitialInstanceCount": 1,
           "InitialVariantWeight": 1.0}  # fmt: skip
Step = tuple[str, dict[str, Any]]
STEPS: list[Step] = [
    ("create_model", MODEL),
    ("describe_model", {"ModelName": "model"}),
    ("list_models", {}),
    ("create_endpoint_config", {"EndpointConfigName": "config", "ProductionVariants": [VARIANT]}),
    ("describe_endpoint_config", {"EndpointConfigName": "config"}),
    ("create_endpoint", {"EndpointName": "chat", "EndpointConfigName": "config"}),
    ("describe_endpoint", {"EndpointName": "chat"}),
    ("list_endpoints", {"NameContains": "cha"}),
    ("list_tags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/model"}),
    ("describe_endpoint", {"EndpointName": "none"}),
    ("delete_endpoint", {"EndpointName": "chat"}),
    ("delete_endpoint_config", {"EndpointConfigName": "config"}),
    ("delete_model", {"ModelName": "model"}),
    ("describe_model", {"ModelName": "model"}),
]  # fmt: skip
EMPTY = ({}, "list")  # what moto answers for members that weren't asked for; AWS leaves them out


def shape(value: Any) -> Any:
    """The names and types of an answer, without its values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "ResponseMetadata"}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def outcome(client: Any, step: Step) -> Any:
    try:
        return shape(getattr(client, step[0])(**step[1]))
    except ClientError as error:
        return error.response["Error"]["Code"]


def missing(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Paths of what moto answers and we don't, or with another type."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [found for name in theirs for found in missing(ours.get(name), theirs[name], f"{path}.{name}")]
    if isinstance(theirs, list) and isinstance(ours, list):
        return missing(ours[0] if ours else None, theirs[0] if theirs else None, f"{path}[]")
    return [] if ours == theirs or (ours is None and theirs in EMPTY) else [f"{path}: {theirs} there, {ours} here"]


@pytest.fixture
def both(aws_sim: AwsSimulator) -> Iterator[Callable[[Step], tuple[Any, Any]]]:
    aws_sim.durations.creating = aws_sim.durations.deleting = 0
    ours, theirs = aws_sim.client("sagemaker"), make_client(aws_sim.moto.url, "sagemaker", aws_sim.keys)
    yield lambda step: (outcome(ours, step), outcome(theirs, step))
    theirs.close()


def test_the_same_calls_have_answers_of_the_same_shape(both: Callable[[Step], tuple[Any, Any]]) -> None:
    differences, pairs = [], [both(step) for step in STEPS]
    for step, (ours, theirs) in zip(STEPS, pairs, strict=True):
        differences += [f"{step[0]}{found}" for found in missing(ours, theirs)]
    assert sum(isinstance(ours, str) for ours, _ in pairs) == 2  # the two that find nothing
    assert not differences, differences
