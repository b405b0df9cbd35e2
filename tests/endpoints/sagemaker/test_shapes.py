"""What an endpoint may be besides one model on one kind of instance: variants, components, asynchronous, autoscaled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Backend, Endpoint
from endpoints.states import Cause, Status
from tests.cast import Cast
from tests.endpoints.sagemaker.play import INSTANCE, fresh, gone, in_service, left, new_endpoint, until
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.django_db(transaction=True)

PER_INSTANCE = "SageMakerVariantInvocationsPerInstance"
PER_COPY = "SageMakerInferenceComponentInvocationsPerCopy"


def scaling(least: int, most: int, metric: str = PER_INSTANCE, target: str = "70") -> dict[str, Any]:
    return {"min_replicas": least, "max_replicas": most,
            "triggers": [{"type": "sagemaker", "metadata": {"metric": metric, "target": target}}]}


def policies(sim: AwsSimulator) -> dict[str, Any]:
    said = sim.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    return {each["PolicyName"]: each for each in said}


def scaled(sim: AwsSimulator) -> list[tuple[str, int, int]]:
    said = sim.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    return [(each["ResourceId"], each["MinCapacity"], each["MaxCapacity"]) for each in said]


def set_instances(sim: AwsSimulator, name: str, count: int) -> None:
    """As the autoscaler does it."""
    sim.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": count}])


def test_the_autoscaler_owns_the_number_until_it_is_given_back(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    alice = cast.actor("alice")
    endpoint = in_service(sim, new_endpoint(cast, place, autoscale=scaling(1, 4)))
    name = endpoint.external_name
    assert scaled(sim) == [(f"endpoint/{name}/variant/AllTraffic", 1, 4)]
    tracked = policies(sim)[f"{name}-0"]["TargetTrackingScalingPolicyConfiguration"]
    assert (tracked["TargetValue"], tracked["PredefinedMetricSpecification"]["PredefinedMetricType"]) == (70.0, PER_INSTANCE)
    set_instances(sim, name, 3)
    endpoint = until(sim, endpoint, lambda row: row.autoscaled_replicas == 3 and row.status == Status.INSERVICE)
    services.set_autoscale(alice, endpoint, scaling(2, 6, target="20"))
    until(sim, endpoint, lambda row: scaled(sim)[0][1:] == (2, 6))
    assert policies(sim)[f"{name}-0"]["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 20.0
    services.update(alice, fresh(endpoint), arguments={"max-model-len": 128})
    endpoint = until(sim, endpoint, lambda row: row.serving.number == 2 and row.status == Status.INSERVICE)
    assert endpoint.ready_replicas == 3
    assert scaled(sim)[0][1:] == (2, 6)
    services.set_autoscale(alice, fresh(endpoint), {})
    endpoint = until(sim, endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == row.replicas == 1)
    assert scaled(sim) == []
    services.delete(alice, fresh(endpoint))
    gone(sim, endpoint)
    assert left(sim) == []


def test_another_instance_type_is_deregistered_first_and_registered_again(
    sim: AwsSimulator, place: Cluster, cast: Cast,
) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, autoscale=scaling(1, 4)))
    services.update(cast.actor("alice"), endpoint, options={"InstanceType": "ml.g5.12xlarge"})
    endpoint = until(sim, endpoint, lambda row: row.serving.number == 2 and row.status == Status.INSERVICE)
    order = [seen.operation for seen in sim.calls(
        "sagemaker:UpdateEndpoint", "application-autoscaling:RegisterScalableTarget",
        "application-autoscaling:DeregisterScalableTarget")]
    assert order == ["RegisterScalableTarget", "DeregisterScalableTarget", "UpdateEndpoint", "RegisterScalableTarget"]


def test_variants_share_calls_by_weight_and_count_together(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    options = {"Variants": [
        {"VariantName": "a", "InitialVariantWeight": 0.9, "InitialInstanceCount": 2},
        {"VariantName": "b", "InitialVariantWeight": 0.1, "InitialInstanceCount": 1, "InstanceType": "ml.g5.12xlarge",
         "Arguments": {"max-model-len": 64}}]}
    endpoint = in_service(sim, new_endpoint(cast, place, options=options))
    name = endpoint.external_name
    assert endpoint.ready_replicas == 3
    listed = sim.here().configs[f"{name}-r1"].asked["ProductionVariants"]
    assert [(each["ModelName"], each["InstanceType"], each["InitialVariantWeight"]) for each in listed] == [
        (f"{name}-r1", INSTANCE, 0.9), (f"{name}-r1-v1", "ml.g5.12xlarge", 0.1)]
    assert sim.here().models[f"{name}-r1-v1"].asked["PrimaryContainer"]["Environment"]["SM_VLLM_MAX_MODEL_LEN"] == "64"
    services.delete(cast.actor("alice"), endpoint)
    gone(sim, endpoint)
    assert left(sim) == []


def test_an_asynchronous_endpoint_names_its_bucket(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, options={"AsyncInferenceConfig": {}}))
    backend = Backend.objects.get(endpoint=endpoint)
    assert backend.url.endswith(f"/{endpoint.external_name}?async={place.aws.bucket}")
    config = next(iter(sim.here().configs.values())).asked
    output = config["AsyncInferenceConfig"]["OutputConfig"]
    assert output["S3FailurePath"] == f"{output['S3OutputPath']}failures/"


COMPONENT: dict[str, Any] = {"InferenceComponent": {}}


def test_a_component_comes_is_updated_and_counted_and_goes(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    alice = cast.actor("alice")
    endpoint = in_service(sim, new_endpoint(cast, place, options=COMPONENT, replicas=2))
    name = endpoint.external_name
    config = next(iter(sim.here().configs))
    assert left(sim) == [f"endpoint {name}", f"config {config}", f"model {name}-r1", f"component {name}"]
    needs = sim.here().components[name].asked["Specification"]["ComputeResourceRequirements"]
    assert needs == {"MinMemoryRequiredInMb": 8192, "NumberOfCpuCoresRequired": 1.0, "NumberOfAcceleratorDevicesRequired": 1.0}
    assert Backend.objects.get(endpoint=endpoint).url.endswith(f"/{name}/{name}")
    services.update(alice, endpoint, arguments={"max-model-len": 128})
    endpoint = until(sim, endpoint, lambda row: row.serving.number == 2 and row.status == Status.INSERVICE)
    assert left(sim) == [f"endpoint {name}", f"config {config}", f"model {name}-r2", f"component {name}"]
    services.scale(alice, fresh(endpoint), 3)
    until(sim, endpoint, lambda row: row.ready_replicas == 3)
    services.delete(alice, fresh(endpoint))
    gone(sim, endpoint)
    assert left(sim) == []
    assert sim.world.misuses == []
    assert sim.calls("sagemaker:UpdateEndpoint") == []


def test_a_component_scales_to_zero_and_a_call_wakes_it(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, options=COMPONENT, autoscale=scaling(0, 2, PER_COPY)))
    name = endpoint.external_name
    assert scaled(sim) == [(f"inference-component/{name}", 0, 2)]
    alarm = sim.client("cloudwatch").describe_alarms(AlarmNames=[f"{name}-wake"])["MetricAlarms"][0]
    assert (alarm["MetricName"], alarm["AlarmActions"]) == (
        "NoCapacityInvocationFailures", [policies(sim)[f"{name}-wake"]["PolicyARN"]])
    managed = next(iter(sim.here().configs.values())).asked["ProductionVariants"][0]["ManagedInstanceScaling"]
    assert managed == {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2}
    sim.client("sagemaker").update_inference_component_runtime_config(
        InferenceComponentName=name, DesiredRuntimeConfig={"CopyCount": 0})
    endpoint = until(sim, endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 0)
    assert "Scaled to zero" in endpoint.message
    assert Backend.objects.filter(endpoint=endpoint).count() == 1
    services.delete(cast.actor("alice"), endpoint)
    gone(sim, endpoint)
    assert left(sim) == []
    assert sim.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize("end", ["scaling", "row"])
def test_no_alarm_outlives_what_it_woke(sim: AwsSimulator, place: Cluster, cast: Cast, end: str) -> None:
    """Scaling from none is switched off; or the row is gone, and the collector finds the rest."""
    in_service(sim, new_endpoint(cast, place, "another"))
    endpoint = in_service(sim, new_endpoint(cast, place, options=COMPONENT, autoscale=scaling(0, 2, PER_COPY)))
    assert len(sim.client("cloudwatch").describe_alarms()["MetricAlarms"]) == 1
    if end == "scaling":
        services.set_autoscale(cast.actor("alice"), endpoint, {})
        until(sim, endpoint, lambda row: row.status == Status.INSERVICE and scaled(sim) == [])
    else:
        Endpoint.objects.filter(pk=endpoint.pk).update(wanted=None, serving=None)
        Endpoint.objects.filter(pk=endpoint.pk).delete()
        services.collect_leftovers(place, timedelta(0))
    assert sim.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_a_component_that_can_not_be_updated_is_put_back(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, options=COMPONENT))
    sim.sagemaker.fail("chat-*", on="component", reason="CUDA out of memory")
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(sim, endpoint, lambda row: row.status == Status.DEGRADED and row.cause == Cause.UPDATE_FAILED
                     and row.ready_replicas == 1)
    assert "CUDA out of memory" in endpoint.message
    until(sim, endpoint, lambda _row: sim.here().components[endpoint.external_name].status == "InService")


def test_a_component_that_fails_is_made_anew_on_retry(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    sim.sagemaker.fail("chat-*", on="component", reason="CUDA out of memory")
    endpoint = until(sim, new_endpoint(cast, place, options=COMPONENT), Status.FAILED)
    assert endpoint.cause == Cause.MEMORY
    services.retry(cast.actor("alice"), endpoint)
    in_service(sim, endpoint)
    assert len(sim.calls("sagemaker:CreateInferenceComponent")) == 2
    assert len(sim.calls("sagemaker:CreateEndpoint")) == 1


def test_an_endpoint_does_not_turn_into_one_with_components(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    services.update(cast.actor("alice"), endpoint, options={"InstanceType": INSTANCE, **COMPONENT})
    endpoint = until(sim, endpoint, lambda row: row.cause == Cause.UPDATE_FAILED and row.status == Status.DEGRADED)
    assert "stop it" in endpoint.message
    assert sim.calls("sagemaker:UpdateEndpoint") == []
