"""How many calls it costs: 100 deployments through throttling, and 500 endpoints that rest (issue 4, figures)."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db.models.functions import Now

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint
from endpoints.states import Status
from endpoints.targets import target_for
from endpoints.targets.base import TargetError
from endpoints.targets.sagemaker import names
from endpoints.targets.sagemaker.look import WORKERS
from endpoints.targets.sagemaker.memory import memory_of
from endpoints.targets.sagemaker.scaling import resource_of
from portal.tenancy.text import external_name
from tests.aws import EXECUTION_ROLE
from tests.cast import Cast
from tests.endpoints.sagemaker.play import (
    INSTANCE,
    TURN,
    DoorClock,
    forget_everything,
    new_endpoint,
    profile_for_sagemaker,
)
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.django_db(transaction=True)
MOST_ROUNDS = 100


def deploy(sim: AwsSimulator, clock: DoorClock, endpoints: list[Endpoint]) -> int:
    """Visit all that are not in service in each round of 30 seconds, until all are; the calls that AWS got."""
    before = len(sim.requests)
    pks = [each.pk for each in endpoints]
    for _ in range(MOST_ROUNDS):
        waiting = list(Endpoint.objects.filter(pk__in=pks).exclude(status=Status.INSERVICE).values_list("pk", flat=True))
        if not waiting:
            break
        for pk in waiting:
            services.reconcile(pk)
        sim.clock.advance(TURN)
        clock.advance(TURN)
    assert set(Endpoint.objects.filter(pk__in=pks).values_list("status", flat=True)) == {Status.INSERVICE}
    return len(sim.requests) - before


def many(cast: Cast, place: Cluster, count: int, word: str) -> list[Endpoint]:
    return [new_endpoint(cast, place, f"{word}{number}") for number in range(count)]


@pytest.mark.slow
def test_a_hundred_deployments_converge_through_half_the_calls_throttled(
    sim: AwsSimulator, door_clock: DoorClock, place: Cluster, cast: Cast,
) -> None:
    profile_for_sagemaker()
    ideal = deploy(sim, door_clock, many(cast, place, 100, "calm"))
    sim.faults.throttle(0.5)
    throttled = deploy(sim, door_clock, many(cast, place, 100, "hit"))
    print(f"calls for 100 deployments: {ideal} calm, {throttled} throttled, {throttled / ideal:.2f} times")
    assert throttled <= 3 * ideal
    names = [name for name in sim.here().endpoints if name.startswith("hit")]
    assert len(names) == len(set(names)) == 100


def resting(sim: AwsSimulator, count: int, autoscaled: int) -> list[UUID]:
    """Endpoints with the portal's names and tags, made without the portal."""
    client, scaler, uids = sim.client("sagemaker"), sim.client("application-autoscaling"), [uuid4() for _ in range(count)]
    client.create_model(ModelName="m", PrimaryContainer={"Image": "i"}, ExecutionRoleArn=EXECUTION_ROLE)
    client.create_endpoint_config(EndpointConfigName="c-r1", ProductionVariants=[
        {"VariantName": "AllTraffic", "ModelName": "m", "InstanceType": INSTANCE, "InitialInstanceCount": 1}])
    for uid in uids:
        client.create_endpoint(EndpointName=external_name("rest", uid), EndpointConfigName="c-r1",
                               Tags=names.as_list({names.ENDPOINT_UID: str(uid)}))
    sim.clock.advance(600)
    for uid in uids[:autoscaled]:
        scaler.register_scalable_target(
            ServiceNamespace="sagemaker", ResourceId=resource_of(external_name("rest", uid), "AllTraffic"),
            ScalableDimension="sagemaker:variant:DesiredInstanceCount", MinCapacity=1, MaxCapacity=2)
    return uids


@pytest.mark.slow
def test_500_endpoints_that_rest_cost_six_calls_a_look(sim: AwsSimulator, door_clock: DoorClock, place: Cluster) -> None:
    uids = resting(sim, 500, autoscaled=60)
    memory_of(place.aws.account.uid, place.aws.region).clock = door_clock
    first = target_for(place).observe()
    assert set(first) == set(uids)
    assert sum(each.wanted_replicas is not None for each in first.values()) == 60
    costs = []
    for _ in range(80):  # over 13 minutes, so that everything is refreshed in between
        before = len(sim.requests)
        assert target_for(place).observe() == first
        costs.append(len(sim.requests) - before)
        door_clock.advance(10)
    print(f"calls of a look at 500 endpoints: {min(costs)} to {max(costs)}")
    assert max(costs) <= 6


def resting_components(sim: AwsSimulator, count: int) -> list[UUID]:
    """The same with the model as a component."""
    client, uids = sim.client("sagemaker"), [uuid4() for _ in range(count)]
    needs = {"NumberOfAcceleratorDevicesRequired": 1, "MinMemoryRequiredInMb": 1024}
    client.create_model(ModelName="part-r1", PrimaryContainer={"Image": "i"}, ExecutionRoleArn=EXECUTION_ROLE)
    client.create_endpoint_config(
        EndpointConfigName="c-i01234567", ExecutionRoleArn=EXECUTION_ROLE, ProductionVariants=[
            {"VariantName": "AllTraffic", "InstanceType": INSTANCE, "InitialInstanceCount": 1, "ManagedInstanceScaling": {
                "Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2}}])
    for uid in uids:
        client.create_endpoint(EndpointName=external_name("part", uid), EndpointConfigName="c-i01234567",
                               Tags=names.as_list({names.ENDPOINT_UID: str(uid)}))
    sim.clock.advance(600)
    for uid in uids:
        name = external_name("part", uid)
        client.create_inference_component(
            InferenceComponentName=name, EndpointName=name, VariantName="AllTraffic", RuntimeConfig={"CopyCount": 1},
            Specification={"ModelName": "part-r1", "ComputeResourceRequirements": needs})
    sim.clock.advance(600)
    return uids


def test_components_that_rest_cost_a_listing_of_their_own(sim: AwsSimulator, door_clock: DoorClock, place: Cluster) -> None:
    uids = resting_components(sim, 120)
    memory_of(place.aws.account.uid, place.aws.region).clock = door_clock
    first = target_for(place).observe()
    assert set(first) == set(uids)
    for _ in range(3):
        door_clock.advance(10)
        before = len(sim.requests)
        assert target_for(place).observe() == first
        made = [each.operation for each in sim.requests[before:]]
        assert sorted(set(made)) == ["ListEndpoints", "ListInferenceComponents"]
        assert len(made) == 4  # two pages each
    sim.client("sagemaker").update_inference_component_runtime_config(
        InferenceComponentName=external_name("part", uids[7]), DesiredRuntimeConfig={"CopyCount": 2})
    sim.clock.advance(600)
    before = len(sim.requests)
    assert len(target_for(place).observe()[uids[7]].replicas) == 2
    made = [each.operation for each in sim.requests[before:]]
    assert made.count("DescribeEndpoint") == made.count("DescribeInferenceComponent") == 1


def test_a_change_costs_a_description_of_what_has_changed_and_nothing_else(sim: AwsSimulator, place: Cluster) -> None:
    uids = resting(sim, 20, autoscaled=0)
    target_for(place).observe()
    name = external_name("rest", uids[7])
    sim.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}])
    sim.clock.advance(60)
    before = len(sim.requests)
    seen = target_for(place).observe()
    assert len(seen[uids[7]].replicas) == 2
    made = [each.operation for each in sim.requests[before:]]
    assert made == ["ListEndpoints", "DescribeEndpoint", "DescribeScalableTargets"]


def test_a_look_at_what_moves_costs_a_listing_and_a_description(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place)
    services.reconcile(endpoint.pk)
    Endpoint.objects.filter(pk=endpoint.pk).update(next_look_at=Now())
    forget_everything()
    before = len(sim.requests)
    assert services.look_at_cluster(place.pk) == 1
    assert [each.operation for each in sim.requests[before:]] == ["ListEndpoints", "DescribeEndpoint", "ListTags"]
    assert Endpoint.objects.get(pk=endpoint.pk).status == Status.CREATING


def test_a_look_that_breaks_off_goes_on_where_it_was(sim: AwsSimulator, door_clock: DoorClock, place: Cluster) -> None:
    resting(sim, 40, autoscaled=0)
    sim.faults.throttle(0.8, operations=["sagemaker:DescribeEndpoint"])
    broken: list[TargetError] = []
    for _ in range(60):
        try:
            seen = target_for(place).observe()
            break
        except TargetError as error:
            broken.append(error)
            door_clock.advance(60)
    assert broken
    assert all(error.of_the_place for error in broken)
    assert len(seen) == 40
    described = [each for each in sim.calls("sagemaker:DescribeEndpoint") if each.status == 200]
    wasted = WORKERS * len(broken)  # described, and the question for its tags came to nothing
    assert len(described) <= 40 + wasted
