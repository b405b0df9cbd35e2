"""Inference components, autoscaling, logs, prices, metrics and the hub in the simulator."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.simulators.aws.server import AwsSimulator

ROLE = "arn:aws:iam::123456789012:role/endpoints"
NEEDS = {"NumberOfAcceleratorDevicesRequired": 1, "MinMemoryRequiredInMb": 1024}
COPIES = {"ServiceNamespace": "sagemaker", "ResourceId": "inference-component/chat-a",
          "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"}  # fmt: skip
VARIANT = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/plain/variant/all",
           "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}  # fmt: skip


@pytest.fixture
def client(aws_sim: AwsSimulator) -> Any:
    """With the endpoint `shared` for components, and `plain` with a model."""
    aws_sim.clock.freeze()
    client = aws_sim.client("sagemaker")
    client.create_model(ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "vllm:1"})
    variant = {"VariantName": "all", "InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": 1}
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2}
    client.create_endpoint_config(EndpointConfigName="shared", ExecutionRoleArn=ROLE,
                                  ProductionVariants=[{**variant, "ManagedInstanceScaling": scaling}])  # fmt: skip
    client.create_endpoint_config(EndpointConfigName="plain", ProductionVariants=[{**variant, "ModelName": "model"}])
    for name in ("shared", "plain"):
        client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    aws_sim.clock.advance(60)
    return client


def make_component(client: Any, name: str = "chat-a", copies: int = 1) -> None:
    client.create_inference_component(
        InferenceComponentName=name, EndpointName="shared", VariantName="all", RuntimeConfig={"CopyCount": copies},
        Specification={"ModelName": "model", "ComputeResourceRequirements": NEEDS})  # fmt: skip


def status(client: Any, name: str = "chat-a") -> tuple[str, int]:
    found = client.describe_inference_component(InferenceComponentName=name)
    return found["InferenceComponentStatus"], found["RuntimeConfig"]["CurrentCopyCount"]


def refusal(call: Any, **asked: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**asked)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_components_live_on_an_endpoint_and_hold_it(aws_sim: AwsSimulator, client: Any) -> None:
    make_component(client, copies=2)
    assert status(client) == ("Creating", 0)
    aws_sim.clock.advance(60)
    assert status(client) == ("InService", 2)
    client.update_inference_component_runtime_config(
        InferenceComponentName="chat-a", DesiredRuntimeConfig={"CopyCount": 0})
    assert status(client) == ("Updating", 2)
    aws_sim.clock.advance(60)
    assert status(client) == ("InService", 0)
    listed = client.list_inference_components(EndpointNameEquals="shared")["InferenceComponents"]
    assert [each["InferenceComponentName"] for each in listed] == ["chat-a"]
    assert refusal(client.delete_endpoint, EndpointName="shared")[0] == "ValidationException"
    client.delete_inference_component(InferenceComponentName="chat-a")
    aws_sim.clock.advance(60)
    assert "Could not find inference component" in refusal(
        client.describe_inference_component, InferenceComponentName="chat-a")[1]
    client.delete_endpoint(EndpointName="shared")


def test_components_are_refused_as_people_report(aws_sim: AwsSimulator, client: Any) -> None:
    with pytest.raises(ClientError, match="copy count an integer larger than 0"):
        make_component(client, copies=0)
    scaled = {"VariantName": "all", "ModelName": "model", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1,
              "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2}}  # fmt: skip
    assert refusal(client.create_endpoint_config, EndpointConfigName="x", ProductionVariants=[scaled]) == (
        "ValidationException", "ManagedInstanceScaling is only supported for inference component endpoints.")
    aws_sim.sagemaker.fail("chat-b", on="component", reason="no room")
    make_component(client, "chat-b")
    aws_sim.clock.advance(60)
    assert client.describe_inference_component(InferenceComponentName="chat-b")["FailureReason"] == "no room"


def test_calls_name_their_component_and_need_a_copy(aws_sim: AwsSimulator, client: Any) -> None:
    make_component(client)
    aws_sim.clock.advance(60)
    runtime = aws_sim.client("sagemaker-runtime")
    asked = {"EndpointName": "shared", "Body": b'{"model":"m","messages":[]}', "ContentType": "application/json"}
    assert refusal(runtime.invoke_endpoint, **asked)[1].startswith("Inference Component Name header is required")
    assert runtime.invoke_endpoint(**asked, InferenceComponentName="chat-a")["InvokedProductionVariant"] == "all"
    client.update_inference_component_runtime_config(
        InferenceComponentName="chat-a", DesiredRuntimeConfig={"CopyCount": 0})
    aws_sim.clock.advance(60)
    assert "has no capacity" in refusal(runtime.invoke_endpoint, **asked, InferenceComponentName="chat-a")[1]


def test_scaling_is_kept_for_variants_and_components(aws_sim: AwsSimulator, client: Any) -> None:
    make_component(client)
    scaling = aws_sim.client("application-autoscaling")
    assert refusal(scaling.put_scaling_policy, PolicyName="p", **COPIES)[0] == "ObjectNotFoundException"
    arn = scaling.register_scalable_target(**COPIES, MinCapacity=0, MaxCapacity=4)["ScalableTargetARN"]
    assert scaling.register_scalable_target(**COPIES, MaxCapacity=5)["ScalableTargetARN"] == arn
    metric = {"PredefinedMetricType": "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"}
    tracking = {"TargetValue": 5.0, "PredefinedMetricSpecification": metric}
    scaling.put_scaling_policy(PolicyName="p", PolicyType="TargetTrackingScaling", **COPIES,
                               TargetTrackingScalingPolicyConfiguration=tracking)  # fmt: skip
    scaling.register_scalable_target(**VARIANT, MinCapacity=1, MaxCapacity=2)
    assert refusal(scaling.put_scaling_policy, PolicyName="p", PolicyType="TargetTrackingScaling", **VARIANT,
                   TargetTrackingScalingPolicyConfiguration=tracking)[0] == "ValidationException"  # fmt: skip
    targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[COPIES["ResourceId"]])
    assert [(each["MinCapacity"], each["MaxCapacity"]) for each in targets["ScalableTargets"]] == [(0, 5)]
    policies = scaling.describe_scaling_policies(**COPIES)["ScalingPolicies"]
    assert policies[0]["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 5
    scaling.deregister_scalable_target(**COPIES)
    assert scaling.describe_scaling_policies(**COPIES)["ScalingPolicies"] == []
    assert refusal(scaling.deregister_scalable_target, **COPIES)[0] == "ObjectNotFoundException"


def test_a_scaled_variant_keeps_its_instances(aws_sim: AwsSimulator, client: Any) -> None:
    scaling = aws_sim.client("application-autoscaling")
    assert refusal(scaling.register_scalable_target, **VARIANT, MinCapacity=0, MaxCapacity=2)[0] == "ValidationException"
    scaling.register_scalable_target(**VARIANT, MinCapacity=1, MaxCapacity=2)
    other = {"VariantName": "all", "ModelName": "model", "InstanceType": "ml.p4d.24xlarge", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName="other", ProductionVariants=[other])
    asked = {"EndpointName": "plain", "EndpointConfigName": "other"}
    assert "must be deregistered as scalable targets" in refusal(client.update_endpoint, **asked)[1]
    scaling.deregister_scalable_target(**VARIANT)
    client.update_endpoint(**asked)


def test_other_namespaces_scale_in_moto(aws_sim: AwsSimulator) -> None:
    scaling = aws_sim.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []


def test_endpoints_write_logs(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.sagemaker.fail("bad", reason="The primary container did not pass the ping health check.")
    client.create_endpoint(EndpointName="bad", EndpointConfigName="plain")
    aws_sim.log("bad", "CUDA out of memory", "Traceback (most recent call last):")
    aws_sim.clock.advance(60)
    client.describe_endpoint(EndpointName="bad")
    logs, group = aws_sim.client("logs"), "/aws/sagemaker/Endpoints/bad"
    lines = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
    assert lines[:2] == ["CUDA out of memory", "Traceback (most recent call last):"]
    assert "ping health check" in lines[2]
    found = logs.filter_log_events(logGroupName=group, filterPattern='"out of memory"')["events"]
    assert [event["message"] for event in found] == ["CUDA out of memory"]
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    last = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=2)
    assert [event["message"] for event in last["events"]] == lines[1:]
    again = logs.get_log_events(logGroupName=group, logStreamName=stream, nextToken=last["nextForwardToken"])
    assert (again["events"], again["nextForwardToken"]) == ([], last["nextForwardToken"])
    assert refusal(logs.filter_log_events, logGroupName="/aws/none")[0] == "ResourceNotFoundException"


def test_metrics_are_what_was_put_in(aws_sim: AwsSimulator) -> None:
    aws_sim.put_metric("Invocations", 5, "plain")
    aws_sim.put_metric("Invocations", 2, "plain")
    now = datetime.now(UTC)
    dimensions = [{"Name": "EndpointName", "Value": "plain"}, {"Name": "VariantName", "Value": "all"}]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": dimensions}
    found = aws_sim.client("cloudwatch").get_metric_data(
        StartTime=now - timedelta(minutes=10), EndTime=now + timedelta(minutes=10),
        MetricDataQueries=[{"Id": "calls", "MetricStat": {"Metric": metric, "Period": 1200, "Stat": "Sum"}}])  # fmt: skip
    assert sum(found["MetricDataResults"][0]["Values"]) == 7


def test_prices_are_what_was_put_in(aws_sim: AwsSimulator) -> None:
    aws_sim.pricing.put("ml.g5.2xlarge", "1.515")
    aws_sim.pricing.put("ml.g5.2xlarge", "1.9", "eu-west-1")
    found = aws_sim.client("pricing").get_products(ServiceCode="AmazonSageMaker", Filters=[
        {"Type": "TERM_MATCH", "Field": "instanceName", "Value": "ml.g5.2xlarge"},
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"}])  # fmt: skip
    assert '"USD": "1.515"' in found["PriceList"][0]
    assert len(found["PriceList"]) == 1


def test_the_hub_has_models_with_documents(aws_sim: AwsSimulator) -> None:
    client = aws_sim.client("sagemaker")
    where = {"HubName": "SageMakerPublicHub", "HubContentType": "Model"}
    first = client.list_hub_contents(**where, MaxResults=4)
    rest = client.list_hub_contents(**where, NextToken=first["NextToken"])
    assert len(first["HubContentSummaries"] + rest["HubContentSummaries"]) == 7
    named = client.list_hub_contents(**where, NameContains="llama-3-8b")["HubContentSummaries"][0]
    found = client.describe_hub_content(**where, HubContentName=named["HubContentName"])
    document = json.loads(found["HubContentDocument"])
    assert document["GatedBucket"]
    assert document["HostingEulaUri"].endswith("Eula.txt")
    assert document["DefaultInferenceInstanceType"] in document["SupportedInferenceInstanceTypes"]
    assert refusal(client.describe_hub_content, **where, HubContentName="none")[0] == "ResourceNotFound"
