"""What goes wrong on purpose in the simulator."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError, ReadTimeoutError

from tests.simulators.aws.server import AwsSimulator

ROLE = "arn:aws:iam::123456789012:role/endpoints"


@pytest.fixture
def client(aws_sim: AwsSimulator) -> Any:
    return aws_sim.client("sagemaker")


def make_model(client: Any, name: str) -> None:
    client.create_model(ModelName=name, PrimaryContainer={"Image": "x"}, ExecutionRoleArn=ROLE)


def outcome(call: Any, **asked: Any) -> str:
    try:
        call(**asked)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


def test_a_share_of_calls_is_throttled_alike_in_every_run(aws_sim: AwsSimulator, client: Any) -> None:
    runs = []
    for _ in range(2):
        fault = aws_sim.faults.throttle(0.5, operations=["sagemaker:List*"])
        runs.append([outcome(client.list_models) for _ in range(40)])
        assert fault.met == runs[-1].count("ThrottlingException")
        assert outcome(client.describe_model, ModelName="m") == "ValidationException"
        aws_sim.faults.reset()
    assert runs[0] == runs[1]
    assert 10 < runs[0].count("done") < 30


def test_the_next_calls_may_fail(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.faults.throttle(times=2)
    aws_sim.faults.fail(times=1, operations=["sagemaker:ListEndpoints"])
    assert [outcome(client.list_models) for _ in range(3)] == ["ThrottlingException", "ThrottlingException", "done"]
    assert outcome(client.list_endpoints) == "InternalFailure"
    assert outcome(client.list_endpoints) == "done"
    aws_sim.faults.throttle(times=3)
    assert outcome(aws_sim.client("sts").get_caller_identity) == "Throttling"
    assert outcome(aws_sim.client("s3").list_buckets) == "SlowDown"
    assert outcome(aws_sim.client("cloudwatch").list_metrics) == "ThrottlingException"


def test_a_missing_right_is_named(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.faults.refuse("sagemaker:CreateModel")
    with pytest.raises(ClientError) as caught:
        make_model(client, "m")
    error = caught.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert "user/portal is not authorized to perform: sagemaker:CreateModel on resource: *" in error["Message"]
    aws_sim.faults.allow("sagemaker:CreateModel")
    make_model(client, "m")


def test_answers_may_be_late_or_never_come(aws_sim: AwsSimulator) -> None:
    aws_sim.faults.slow(0.3, times=1)
    begun = time.monotonic()
    aws_sim.client("sagemaker").list_models()
    assert time.monotonic() - begun > 0.3
    aws_sim.faults.slow(1.0, times=1)
    with pytest.raises(ReadTimeoutError):
        aws_sim.client("sagemaker", read_timeout=0.2).list_models()
    aws_sim.faults.drop(times=1)
    with pytest.raises(HTTPClientError):
        aws_sim.client("sagemaker").list_models()
    assert aws_sim.requests[-1].status == 0


def test_a_lost_answer_meets_a_retry(aws_sim: AwsSimulator) -> None:
    """The caller lives, its connection is lost: what boto3 then sends again is there already."""
    aws_sim.faults.crash_at(1, stays_down=False)
    client = aws_sim.client("sagemaker", retries={"total_max_attempts": 3, "mode": "standard"})
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        make_model(client, "m")


def test_crashes_count_the_calls_that_are_meant(aws_sim: AwsSimulator, client: Any) -> None:
    crash = aws_sim.faults.crash_at(1, operations=["sagemaker:CreateEndpoint*"])
    make_model(client, "m")
    client.list_models()
    variant = {"VariantName": "all", "ModelName": "m", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}
    with pytest.raises(HTTPClientError):
        client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    assert crash.happened.is_set()
    aws_sim.faults.recover()
    assert aws_sim.faults.changes == 2
    assert client.describe_endpoint_config(EndpointConfigName="c")["ProductionVariants"][0]["ModelName"] == "m"


def test_what_is_not_played_says_so_and_breaks_no_rule(aws_sim: AwsSimulator, client: Any) -> None:
    with pytest.raises(ClientError, match="does not play sagemaker:ListApps"):
        client.list_apps()
    assert aws_sim.broken == []


def test_an_answer_that_no_client_knows_is_found_out(aws_sim: AwsSimulator) -> None:
    aws_sim.app.players["pricing"] = lambda _call: {"PriceList": [7], "Nonsense": True}
    try:
        with pytest.raises(ClientError, match="InternalFailure"):
            aws_sim.client("pricing").get_products(ServiceCode="AmazonSageMaker")
        assert "Unknown member 'Nonsense'" in aws_sim.broken[0]
        assert "Member must be a string" in aws_sim.broken[0]
        aws_sim.app.broken.clear()
    finally:
        aws_sim.app.players["pricing"] = aws_sim.pricing.answer
