"""What others change of an endpoint in SageMaker: found, put back, accepted, or left to them."""

from __future__ import annotations

import pytest

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint
from endpoints.states import Status
from tests.aws import EXECUTION_ROLE
from tests.cast import Cast
from tests.endpoints.sagemaker.play import IMAGE, INSTANCE, TURN, fresh, in_service, new_endpoint, until
from tests.endpoints.sagemaker.test_shapes import scaled, scaling, set_instances
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.django_db(transaction=True)


def changes(endpoint: Endpoint) -> list[tuple[str, object, object]]:
    return [(each["path"], each["before"], each["after"]) for each in fresh(endpoint).drift]


def test_what_is_as_it_should_be_has_no_drift_and_costs_two_calls(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoints = [in_service(sim, new_endpoint(cast, place, name, autoscale=scaling(1, 3))) for name in ("a", "b")]
    before = len(sim.requests)
    assert services.find_drift(place) == 0
    assert [each.operation for each in sim.requests[before:]] == ["ListEndpoints", "DescribeScalableTargets"]
    assert all(changes(each) == [] for each in endpoints)


def test_a_number_of_instances_that_somebody_set_is_put_back(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, replicas=2))
    set_instances(sim, endpoint.external_name, 5)
    sim.clock.advance(TURN * 4)
    assert services.find_drift(place) == 1
    assert changes(endpoint) == [("spec.replicas", 5, 2)]
    sim.clock.advance(TURN * 4)
    assert services.find_drift(place) == 0
    until(sim, endpoint, lambda row: row.ready_replicas == 2 and row.status == Status.INSERVICE)


def test_a_number_that_is_accepted_becomes_the_wish(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, replicas=2))
    Endpoint.objects.filter(pk=endpoint.pk).update(drift_policy="report")
    set_instances(sim, endpoint.external_name, 3)
    sim.clock.advance(TURN * 4)
    services.find_drift(place)
    services.accept(cast.actor("alice"), fresh(endpoint))
    assert fresh(endpoint).replicas == 3
    until(sim, endpoint, lambda row: row.ready_replicas == 3 and row.status == Status.INSERVICE)


def test_another_configuration_is_taken_back(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    client, name = sim.client("sagemaker"), endpoint.external_name
    client.create_model(ModelName="theirs", PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=EXECUTION_ROLE)
    client.create_endpoint_config(EndpointConfigName="theirs", ProductionVariants=[
        {"VariantName": "AllTraffic", "ModelName": "theirs", "InstanceType": INSTANCE, "InitialInstanceCount": 1}])
    client.update_endpoint(EndpointName=name, EndpointConfigName="theirs")
    sim.clock.advance(TURN * 4)
    assert services.find_drift(place) == 1
    assert changes(endpoint) == [("EndpointConfigName", "theirs", f"{name}-r1")]
    sim.clock.advance(TURN * 4)
    assert services.find_drift(place) == 0
    assert sim.here().endpoints[name].config_name == f"{name}-r1"


def test_scaling_that_somebody_took_away_comes_back_and_its_number_is_never_fought(
    sim: AwsSimulator, place: Cluster, cast: Cast,
) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, autoscale=scaling(1, 4)))
    resource = f"endpoint/{endpoint.external_name}/variant/AllTraffic"
    dimension = "sagemaker:variant:DesiredInstanceCount"
    set_instances(sim, endpoint.external_name, 3)
    sim.clock.advance(TURN * 4)
    assert services.find_drift(place) == 0
    scaler = sim.client("application-autoscaling")
    scaler.deregister_scalable_target(ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=dimension)
    assert services.find_drift(place) == 1
    assert scaled(sim) == [(resource, 1, 4)]
    scaler.register_scalable_target(ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=dimension,
                                    MinCapacity=1, MaxCapacity=9)
    assert services.find_drift(place) == 1
    assert changes(endpoint) == [("MaxCapacity", 9, 4)]
    assert scaled(sim) == [(resource, 1, 4)]


def test_a_bound_that_is_left_to_others_is_not_touched_again(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, autoscale=scaling(1, 4)))
    Endpoint.objects.filter(pk=endpoint.pk).update(drift_policy="report")
    resource = f"endpoint/{endpoint.external_name}/variant/AllTraffic"
    sim.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1, MaxCapacity=9)
    services.find_drift(place)
    services.ignore(cast.actor("alice"), fresh(endpoint))
    until(sim, endpoint, Status.INSERVICE)
    assert scaled(sim) == [(resource, 1, 9)]
    assert services.find_drift(place) == 0


def test_scaling_that_may_not_be_registered_is_not_forgotten(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    sim.faults.refuse("application-autoscaling:RegisterScalableTarget")
    endpoint = new_endpoint(cast, place, autoscale=scaling(1, 4))
    for _ in range(6):
        services.reconcile(endpoint.pk)
        sim.clock.advance(TURN)
    row = fresh(endpoint)
    assert (row.status, row.cause) == (Status.DEGRADED, "Forbidden")
    assert "RegisterScalableTarget" in row.message
    Endpoint.objects.filter(pk=endpoint.pk).update(status=Status.INSERVICE)  # as when a look comes from another worker
    assert services.find_drift(place) == 1
    sim.faults.allow("application-autoscaling:RegisterScalableTarget")
    services.find_drift(place)
    assert scaled(sim) == [(f"endpoint/{endpoint.external_name}/variant/AllTraffic", 1, 4)]
