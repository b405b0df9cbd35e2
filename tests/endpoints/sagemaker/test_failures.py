"""What goes wrong in SageMaker, and what the row says of it (reliability.md F23, F24; facts.md 2.3)."""

from __future__ import annotations

import pytest

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Backend, Endpoint
from endpoints.states import Cause, Status
from endpoints.targets import target_for
from tests.cast import Cast
from tests.endpoints.sagemaker.play import (
    IMAGE,
    INSTANCE,
    TURN,
    forget_everything,
    fresh,
    gone,
    in_service,
    left,
    new_endpoint,
    spec_now,
    until,
)
from tests.simulators.aws.sagemaker.state import NO_PING
from tests.simulators.aws.server import AwsSimulator

ROLE = "arn:aws:iam::123456789012:role/another"

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_failed_endpoint_says_why_and_is_made_anew_once_on_retry(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    sim.sagemaker.fail("chat-*")
    endpoint = until(sim, new_endpoint(cast, place), Status.FAILED)
    assert endpoint.cause == Cause.NO_ROOM
    assert "InsufficientInstanceCapacity" in endpoint.message
    for _ in range(3):
        services.reconcile(endpoint.pk)
        sim.clock.advance(TURN)
    assert len(sim.calls("sagemaker:CreateEndpoint")) == 1
    services.retry(cast.actor("alice"), fresh(endpoint))
    in_service(sim, endpoint)
    assert len(sim.calls("sagemaker:CreateEndpoint")) == 2
    assert len(sim.calls("sagemaker:DeleteEndpoint")) == 1


def test_a_retry_makes_the_model_with_the_role_of_now(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    sim.sagemaker.fail("chat-*", reason="AccessDenied: the role may not read s3://models/small")
    endpoint = until(sim, new_endpoint(cast, place), Status.FAILED)
    assert endpoint.cause == Cause.FORBIDDEN
    type(place.aws).objects.filter(pk=place.aws.pk).update(execution_role=ROLE)
    services.retry(cast.actor("alice"), fresh(endpoint))
    in_service(sim, endpoint)
    assert sim.here().models[f"{endpoint.external_name}-r1"].asked["ExecutionRoleArn"] == ROLE


def test_an_update_that_goes_back_is_given_up_and_the_old_one_serves_on(
    sim: AwsSimulator, place: Cluster, cast: Cast,
) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    sim.sagemaker.fail("chat-*", on="update", reason=NO_PING.format(variant="AllTraffic"))
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(sim, endpoint, lambda row: row.status == Status.DEGRADED and row.cause == Cause.UPDATE_FAILED)
    assert "ping health check" in endpoint.message
    assert endpoint.serving is not None
    assert endpoint.serving.number == 1
    assert Backend.objects.filter(endpoint=endpoint).count() == 1
    for _ in range(3):
        forget_everything()
        services.reconcile(endpoint.pk)
        sim.clock.advance(TURN)
    assert len(sim.calls("sagemaker:UpdateEndpoint")) == 1
    services.update(cast.actor("alice"), fresh(endpoint), arguments={"max-model-len": 256})
    endpoint = until(sim, endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 3)
    name = endpoint.external_name
    assert left(sim) == [f"endpoint {name}", f"config {name}-r3", f"model {name}-r3"]
    assert sim.world.misuses == []


def test_an_update_that_sticks_is_degraded_and_asks_for_a_person(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    sim.sagemaker.fail("chat-*", on="rollback", reason="stuck between two fleets")
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(sim, endpoint, lambda row: row.status == Status.DEGRADED and "Stop the endpoint" in row.message)
    assert "stuck between two fleets" in endpoint.message
    assert Backend.objects.filter(endpoint=endpoint).count() == 1
    services.stop(cast.actor("alice"), fresh(endpoint))
    until(sim, endpoint, Status.STOPPED)
    assert left(sim) == []


def test_somebody_elses_endpoint_of_the_same_name_is_never_touched(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place)
    name, client = endpoint.external_name, sim.client("sagemaker")
    client.create_model(ModelName="other", PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    client.create_endpoint_config(EndpointConfigName=f"{name}-r1", ProductionVariants=[
        {"VariantName": "AllTraffic", "ModelName": "other", "InstanceType": INSTANCE, "InitialInstanceCount": 1}])
    client.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-r1")
    sim.clock.advance(60)
    endpoint = until(sim, endpoint, Status.FAILED)
    assert endpoint.cause == Cause.NAME_TAKEN
    assert target_for(place).observe() == {}
    assert not Backend.objects.filter(endpoint=endpoint).exists()
    services.delete(cast.actor("alice"), fresh(endpoint))
    gone(sim, endpoint)
    assert left(sim) == [f"endpoint {name}", f"config {name}-r1", "model other"]


@pytest.mark.parametrize("kind", ["model", "config"])
def test_a_model_or_configuration_without_our_tag_is_taken(sim: AwsSimulator, place: Cluster, cast: Cast, kind: str) -> None:
    endpoint = new_endpoint(cast, place)
    name, client = endpoint.external_name, sim.client("sagemaker")
    taken = f"{name}-r1" if kind == "model" else "other"
    client.create_model(ModelName=taken, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    if kind == "config":
        client.create_endpoint_config(EndpointConfigName=f"{name}-r1", ProductionVariants=[
            {"VariantName": "AllTraffic", "ModelName": taken, "InstanceType": INSTANCE, "InitialInstanceCount": 1}])
    endpoint = until(sim, endpoint, Status.FAILED)
    assert endpoint.cause == Cause.NAME_TAKEN
    assert not sim.here().endpoints


def test_what_was_just_made_may_be_invisible_for_a_while(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    sim.durations.invisible = 40
    endpoint = new_endpoint(cast, place)
    seen = set()
    for _ in range(12):
        services.reconcile(endpoint.pk)
        seen.add(fresh(endpoint).status)
        sim.clock.advance(10)
    endpoint = in_service(sim, endpoint)
    assert seen <= {Status.PENDING, Status.CREATING, Status.INSERVICE}
    assert [endpoint.external_name] == list(sim.here().endpoints)


def test_a_quota_waits_for_a_person_and_goes_on_by_itself(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    sim.sagemaker.quotas[INSTANCE] = 0
    endpoint = new_endpoint(cast, place)
    services.reconcile(endpoint.pk)
    endpoint = fresh(endpoint)
    assert endpoint.cause == Cause.QUOTA
    assert "current utilization" in endpoint.message
    sim.sagemaker.quotas[INSTANCE] = 5
    in_service(sim, endpoint)


@pytest.mark.parametrize("action", ["sagemaker:CreateModel", "sagemaker:CreateEndpoint"])
def test_a_missing_right_of_one_call_is_told_and_tried_again(
    sim: AwsSimulator, place: Cluster, cast: Cast, action: str,
) -> None:
    sim.faults.refuse(action)
    endpoint = new_endpoint(cast, place)
    services.reconcile(endpoint.pk)
    endpoint = fresh(endpoint)
    assert endpoint.cause == Cause.FORBIDDEN
    assert action in endpoint.message
    sim.faults.allow(action)
    in_service(sim, endpoint)


def test_a_place_that_can_not_be_asked_says_nothing_of_its_endpoints(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    sim.faults.refuse("sagemaker:DescribeEndpoint")
    services.reconcile(endpoint.pk)
    row = fresh(endpoint)
    assert (row.status, row.attempts) == (Status.INSERVICE, 0)
    assert "DescribeEndpoint" in row.last_error


def test_one_that_is_being_made_is_deleted_when_it_can_be(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place)
    services.reconcile(endpoint.pk)
    services.delete(cast.actor("alice"), fresh(endpoint))
    services.reconcile(endpoint.pk)
    assert "in the middle of a change" in Endpoint.objects.get(pk=endpoint.pk).message
    gone(sim, endpoint)
    assert left(sim) == []
    assert sim.world.misuses == []


@pytest.mark.parametrize("is_again", [False, True])
def test_one_that_is_not_to_be_seen_yet_is_not_left_behind(
    sim: AwsSimulator, place: Cluster, cast: Cast, is_again: bool,
) -> None:
    """Deleted a moment after it was asked for, by another worker, with a configuration that is new or was there before."""
    endpoint = new_endpoint(cast, place)
    if is_again:
        sim.sagemaker.fail("chat-*")
        endpoint = until(sim, endpoint, Status.FAILED)
        services.retry(cast.actor("alice"), fresh(endpoint))
        services.reconcile(endpoint.pk)
        sim.clock.advance(3600)
    services.reconcile(endpoint.pk)
    assert [endpoint.external_name] == list(sim.here().endpoints)
    sim.durations.invisible = 40
    services.delete(cast.actor("alice"), fresh(endpoint))
    for _ in range(4):
        forget_everything()
        services.reconcile(endpoint.pk)
        sim.clock.advance(10)
    assert Endpoint.objects.filter(pk=endpoint.pk).exists()
    gone(sim, endpoint)
    assert left(sim) == []
    assert sim.world.misuses == []


def test_an_endpoint_is_ours_as_soon_as_its_tags_are_seen(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place)
    services.reconcile(endpoint.pk)
    arn = sim.here().endpoints[endpoint.external_name].arn
    tags = dict(sim.here().tags[arn])
    sim.here().tags[arn].clear()
    forget_everything()
    services.reconcile(endpoint.pk)
    assert fresh(endpoint).status not in (Status.FAILED, Status.STALLED)
    sim.here().tags[arn].update(tags)
    in_service(sim, endpoint)



def test_nothing_is_left_of_an_endpoint_that_somebody_deleted_by_hand(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    sim.client("sagemaker").delete_endpoint(EndpointName=endpoint.external_name)
    sim.clock.advance(60)
    services.delete(cast.actor("alice"), fresh(endpoint))
    gone(sim, endpoint)
    assert left(sim) == []


def test_an_endpoint_deleted_by_hand_is_made_again(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    sim.client("sagemaker").delete_endpoint(EndpointName=endpoint.external_name)
    sim.clock.advance(60)
    services.look_at_cluster(place.pk)
    until(sim, endpoint, lambda row: row.status == Status.INSERVICE and len(sim.calls("sagemaker:CreateEndpoint")) == 2)


def test_spec_of_a_row_renders_without_asking(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place)
    before = len(sim.requests)
    kinds = [each["kind"] for each in target_for(place).render(spec_now(endpoint))]
    assert kinds == ["Model", "EndpointConfig", "Endpoint"]
    assert len(sim.requests) == before
