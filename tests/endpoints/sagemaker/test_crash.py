"""A worker killed before and after every changing call of an endpoint with a component, autoscaling and a wake-up alarm.

The contract (test_targets_contract.py) does the same for a plain endpoint.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint
from endpoints.states import Status
from tests.cast import Cast
from tests.endpoints.sagemaker.play import TURN, fresh, gone, left, new_endpoint, until
from tests.endpoints.sagemaker.test_shapes import COMPONENT, PER_COPY, policies, scaled, scaling
from tests.endpoints.test_faults import end_leases, worker_dies
from tests.simulators.aws.server import AwsSimulator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
MOST_POINTS, MOST_STEPS = 40, 8


def step(sim: AwsSimulator, endpoint: Endpoint) -> None:
    services.reconcile(endpoint.pk)
    sim.clock.advance(TURN * 4)


def alarms(sim: AwsSimulator) -> list[str]:
    return [each["AlarmName"] for each in sim.client("cloudwatch").describe_alarms()["MetricAlarms"]]


def whole(sim: AwsSimulator, endpoint: Endpoint) -> None:
    """Everything is there once."""
    name, config = endpoint.external_name, next(iter(sim.here().configs))
    number = fresh(endpoint).serving.number  # type: ignore[union-attr]
    assert left(sim) == [f"endpoint {name}", f"config {config}", f"model {name}-r{number}", f"component {name}",
                         f"scaled inference-component/{name}"]
    assert set(policies(sim)) == {f"{name}-0", f"{name}-wake"}
    assert alarms(sim) == [f"{name}-wake"]


def made(cast: Cast, place: Cluster) -> Endpoint:
    return new_endpoint(cast, place, options=COMPONENT, autoscale=scaling(0, 2, PER_COPY))


def wholly(sim: AwsSimulator, endpoint: Endpoint, revision: int) -> Endpoint:
    def is_whole(row: Endpoint) -> bool:
        return bool(row.status == Status.INSERVICE and row.serving and row.serving.number == revision and scaled(sim)
                    and alarms(sim))

    return until(sim, endpoint, is_whole)


def end(sim: AwsSimulator, cast: Cast, endpoint: Endpoint) -> None:
    services.delete(cast.actor("alice"), fresh(endpoint))
    gone(sim, endpoint)
    assert (left(sim), alarms(sim), sim.world.misuses) == ([], [], [])


@pytest.mark.parametrize("earlier", range(3))
def test_a_component_is_made_whole_whenever_its_worker_dies(
    sim: AwsSimulator, place: Cluster, cast: Cast, earlier: int,
) -> None:
    kills = 0
    for at in range(1, MOST_POINTS):
        endpoint = made(cast, place)
        for _ in range(earlier):
            step(sim, endpoint)
        killed = worker_dies(endpoint, at)
        kills += killed
        end_leases()
        whole(sim, wholly(sim, endpoint, 1))
        end(sim, cast, endpoint)
        if not killed:
            break
    assert kills
    connections.close_all()


def test_an_update_of_a_component_survives_its_worker(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint, kills = wholly(sim, made(cast, place), 1), 0
    for at in range(1, MOST_POINTS):
        services.update(cast.actor("alice"), fresh(endpoint), arguments={"max-model-len": 128 + at})
        killed = worker_dies(endpoint, at)
        kills += killed
        end_leases()
        wholly(sim, endpoint, at + 1)
        step(sim, endpoint)
        step(sim, endpoint)
        whole(sim, endpoint)
        if not killed:
            break
    assert kills
    end(sim, cast, endpoint)
    connections.close_all()


def test_a_component_goes_whenever_its_worker_dies(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    kills: dict[int, int] = {}
    for earlier in range(2):
        for at in range(1, MOST_POINTS):
            endpoint = wholly(sim, made(cast, place), 1)
            services.delete(cast.actor("alice"), fresh(endpoint))
            for _ in range(earlier):
                step(sim, endpoint)
            killed: Any = Endpoint.objects.filter(pk=endpoint.pk).exists() and worker_dies(endpoint, at)
            kills[earlier] = kills.get(earlier, 0) + bool(killed)
            end_leases()
            gone(sim, endpoint)
            assert (left(sim), alarms(sim), sim.world.misuses) == ([], [], [])
            if not killed:
                break
    assert kills[0]
    assert kills[1]
    connections.close_all()
