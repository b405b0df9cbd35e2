"""SageMaker's control plane in the simulator, driven by boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.simulators.aws.server import AwsSimulator

ROLE = "arn:aws:iam::123456789012:role/endpoints"


@pytest.fixture
def client(aws_sim: AwsSimulator) -> Any:
    aws_sim.clock.freeze()
    return aws_sim.client("sagemaker")


def make_config(client: Any, name: str = "config", model: str = "model", **variant: Any) -> None:
    client.create_model(ModelName=model, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "vllm:1"})
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
        {"VariantName": "all", "ModelName": model, "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1, **variant}])


def make_endpoint(client: Any, sim: AwsSimulator, name: str = "chat", config: str = "config") -> None:
    if not client.list_endpoint_configs(NameContains=config)["EndpointConfigs"]:
        make_config(client, config)
    client.create_endpoint(EndpointName=name, EndpointConfigName=config)
    sim.clock.advance(60)


def refusal(call: Callable[..., Any], **asked: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**asked)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_an_endpoint_is_created_and_served_and_goes(aws_sim: AwsSimulator, client: Any) -> None:
    make_config(client)
    arn = client.create_endpoint(EndpointName="chat", EndpointConfigName="config")["EndpointArn"]
    assert client.describe_endpoint(EndpointName="chat")["EndpointStatus"] == "Creating"
    aws_sim.clock.advance(60)
    found = client.describe_endpoint(EndpointName="chat")
    assert (found["EndpointStatus"], found["EndpointArn"]) == ("InService", arn)
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert found["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == "vllm:1"
    client.delete_endpoint(EndpointName="chat")
    assert client.describe_endpoint(EndpointName="chat")["EndpointStatus"] == "Deleting"
    aws_sim.clock.advance(60)
    gone = ("ValidationException", f'Could not find endpoint "{arn}".')
    assert refusal(client.describe_endpoint, EndpointName="chat") == gone
    client.delete_endpoint_config(EndpointConfigName="config")
    client.delete_model(ModelName="model")
    assert aws_sim.world.misuses == []


def test_an_update_serves_the_old_configuration_until_it_is_done(aws_sim: AwsSimulator, client: Any) -> None:
    make_endpoint(client, aws_sim)
    make_config(client, "config-2", "model-2", InitialInstanceCount=2)
    client.update_endpoint(EndpointName="chat", EndpointConfigName="config-2")
    during = client.describe_endpoint(EndpointName="chat")
    assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", "config")
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == "config-2"
    phases = []
    for _ in range(4):
        pending = client.describe_endpoint(EndpointName="chat")["PendingDeploymentSummary"]
        phases.append(pending["ProductionVariants"][0]["VariantStatus"][0]["Status"])
        aws_sim.clock.advance(aws_sim.durations.updating * 0.24)
    assert phases == ["Creating", "Creating", "Creating", "ActivatingTraffic"]
    code, message = refusal(client.update_endpoint, EndpointName="chat", EndpointConfigName="config")
    assert (code, message) == ("ValidationException", f'Cannot update in-progress endpoint "{during["EndpointArn"]}".')
    assert refusal(client.delete_endpoint, EndpointName="chat")[0] == "ValidationException"
    aws_sim.clock.advance(60)
    after = client.describe_endpoint(EndpointName="chat")
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "config-2")
    assert after["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert "PendingDeploymentSummary" not in after


def test_an_update_that_fails_goes_back(aws_sim: AwsSimulator, client: Any) -> None:
    make_endpoint(client, aws_sim)
    make_config(client, "config-2", "model-2")
    aws_sim.sagemaker.fail("chat", on="update", reason="did not pass the ping health check")
    client.update_endpoint(EndpointName="chat", EndpointConfigName="config-2")
    aws_sim.clock.advance(aws_sim.durations.updating)
    assert client.describe_endpoint(EndpointName="chat")["EndpointStatus"] == "RollingBack"
    aws_sim.clock.advance(60)
    found = client.describe_endpoint(EndpointName="chat")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "config")
    assert "ping" in found["FailureReason"]


def test_an_update_may_stick_between_the_two(aws_sim: AwsSimulator, client: Any) -> None:
    make_endpoint(client, aws_sim)
    aws_sim.sagemaker.fail("chat", on="rollback", reason="stuck")
    client.update_endpoint(EndpointName="chat", EndpointConfigName="config")
    aws_sim.clock.advance(60)
    assert client.describe_endpoint(EndpointName="chat")["EndpointStatus"] == "UpdateRollbackFailed"
    assert refusal(client.update_endpoint, EndpointName="chat", EndpointConfigName="config")[0] == "ValidationException"


def test_a_failed_endpoint_says_why_and_can_only_be_deleted(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.sagemaker.fail("chat")
    make_endpoint(client, aws_sim)
    found = client.describe_endpoint(EndpointName="chat")
    assert found["EndpointStatus"] == "Failed"
    assert "InsufficientInstanceCapacity" in found["FailureReason"]
    assert refusal(client.update_endpoint, EndpointName="chat", EndpointConfigName="config")[0] == "ValidationException"
    client.delete_endpoint(EndpointName="chat")


def test_a_quota_is_refused_at_once(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.sagemaker.quotas["ml.g5.2xlarge"] = 1
    make_endpoint(client, aws_sim)
    code, message = refusal(client.create_endpoint, EndpointName="two", EndpointConfigName="config")
    assert code == "ResourceLimitExceeded"
    assert "current utilization of 1 Instances" in message


def test_weights_and_counts_change_without_a_configuration(aws_sim: AwsSimulator, client: Any) -> None:
    make_endpoint(client, aws_sim)
    wanted = {"VariantName": "all", "DesiredInstanceCount": 3, "DesiredWeight": 2}
    client.update_endpoint_weights_and_capacities(EndpointName="chat", DesiredWeightsAndCapacities=[wanted])
    variant = client.describe_endpoint(EndpointName="chat")["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 3)
    aws_sim.clock.advance(60)
    variant = client.describe_endpoint(EndpointName="chat")["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (3, 2)
    client.update_endpoint(EndpointName="chat", EndpointConfigName="config", RetainAllVariantProperties=True)
    aws_sim.clock.advance(60)
    assert client.describe_endpoint(EndpointName="chat")["ProductionVariants"][0]["CurrentInstanceCount"] == 3


def test_lists_have_pages_filters_and_an_order(aws_sim: AwsSimulator, client: Any) -> None:
    make_config(client)
    for number in range(12):
        client.create_endpoint(EndpointName=f"chat-{number:02}", EndpointConfigName="config")
        aws_sim.clock.advance(0.25)
    first = client.list_endpoints()
    assert [each["EndpointName"] for each in first["Endpoints"]][:2] == ["chat-11", "chat-10"]
    assert len(first["Endpoints"]) == 10
    assert len(client.list_endpoints(NextToken=first["NextToken"])["Endpoints"]) == 2
    named = client.list_endpoints(NameContains="-0", SortBy="Name", SortOrder="Ascending", MaxResults=100)["Endpoints"]
    assert [each["EndpointName"] for each in named] == [f"chat-{number:02}" for number in range(10)]
    creating = client.list_endpoints(StatusEquals="Creating", MaxResults=100)["Endpoints"]
    assert 0 < len(creating) < 12
    late = client.list_endpoints(LastModifiedTimeAfter=named[5]["CreationTime"], MaxResults=100)["Endpoints"]
    assert 0 < len(late) <= 12
    assert refusal(client.list_endpoints, MaxResults=100, NextToken="nonsense")[0] == "ValidationException"


def test_requests_are_held_against_the_model(client: Any) -> None:
    code, message = refusal(client.create_model, ModelName="no_underscores", PrimaryContainer={"Image": "x"})
    assert code == "ValidationException"
    assert "'modelName' failed to satisfy constraint: Member must satisfy regular expression" in message
    assert "less than or equal to 100" in refusal(client.list_endpoints, MaxResults=500)[1]
    assert "enum value set" in refusal(client.list_endpoints, StatusEquals="Sleeping")[1]


def test_names_are_used_once_and_tags_are_kept(client: Any) -> None:
    tags = [{"Key": "a", "Value": "1"}]
    client.create_model(ModelName="m", PrimaryContainer={"Image": "x"}, ExecutionRoleArn=ROLE, Tags=tags)
    arn = client.describe_model(ModelName="m")["ModelArn"]
    assert refusal(client.create_model, ModelName="m", PrimaryContainer={"Image": "x"}) == (
        "ValidationException", f'Cannot create already existing model "{arn}".')
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    client.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_a_configuration_in_use_may_go_and_is_noted(aws_sim: AwsSimulator, client: Any) -> None:
    make_endpoint(client, aws_sim)
    client.delete_endpoint_config(EndpointConfigName="config")
    client.delete_model(ModelName="model")
    assert len(aws_sim.world.misuses) == 2
    make_config(client, "config-2", "model-2")
    assert "Could not find endpoint configuration" in refusal(
        client.update_endpoint, EndpointName="chat", EndpointConfigName="config-2")[1]


def test_what_is_new_may_be_invisible_for_a_while(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.durations.invisible = 5
    client.create_model(ModelName="m", PrimaryContainer={"Image": "x"}, ExecutionRoleArn=ROLE)
    assert "Could not find model" in refusal(client.describe_model, ModelName="m")[1]
    aws_sim.clock.advance(6)
    assert client.describe_model(ModelName="m")["ModelName"] == "m"


@pytest.mark.parametrize("before", [False, True])
def test_a_crash_leaves_the_change_made_or_not(aws_sim: AwsSimulator, client: Any, before: bool) -> None:
    crash = aws_sim.faults.crash_at(2, before=before)
    client.create_model(ModelName="one", PrimaryContainer={"Image": "x"}, ExecutionRoleArn=ROLE)
    with pytest.raises(Exception, match=r"[Cc]onnect"):
        client.create_model(ModelName="two", PrimaryContainer={"Image": "x"}, ExecutionRoleArn=ROLE)
    assert crash.happened.is_set()
    with pytest.raises((EndpointConnectionError, Exception), match=r"[Cc]onnect"):
        client.list_models()
    aws_sim.faults.recover()
    assert {model["ModelName"] for model in client.list_models()["Models"]} == ({"one"} if before else {"one", "two"})
