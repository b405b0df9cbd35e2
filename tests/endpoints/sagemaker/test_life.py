"""The life of an endpoint in SageMaker, with the keeper's own steps (facts.md 2.1 to 2.3)."""

from __future__ import annotations

import pytest

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Backend
from endpoints.states import Status
from tests.cast import Cast
from tests.endpoints.sagemaker.play import fresh, gone, in_service, left, new_endpoint, until
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_endpoint_comes_serves_and_goes(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place, replicas=2))
    name = endpoint.external_name
    assert left(sim) == [f"endpoint {name}", f"config {name}-r1", f"model {name}-r1"]
    backend = Backend.objects.get(endpoint=endpoint)
    assert backend.url == f"sagemaker://{place.aws.account.uid.hex}/us-east-1/{name}"
    services.delete(cast.actor("alice"), endpoint)
    gone(sim, endpoint)
    assert left(sim) == []
    assert sim.world.misuses == []


def test_an_update_makes_a_new_configuration_and_takes_the_old_one_away(
    sim: AwsSimulator, place: Cluster, cast: Cast,
) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(sim, endpoint, lambda row: row.serving.number == 2 and row.status == Status.INSERVICE)
    name = endpoint.external_name
    assert left(sim) == [f"endpoint {name}", f"config {name}-r2", f"model {name}-r2"]
    model = sim.here().models[f"{name}-r2"].asked
    assert model["PrimaryContainer"]["Environment"]["SM_VLLM_MAX_MODEL_LEN"] == "128"
    services.scale(cast.actor("alice"), fresh(endpoint), 3)
    endpoint = until(sim, endpoint, lambda row: row.ready_replicas == 3)
    assert len(sim.calls("sagemaker:UpdateEndpointWeightsAndCapacities")) == 1
    services.stop(cast.actor("alice"), fresh(endpoint))
    endpoint = until(sim, endpoint, Status.STOPPED)
    assert left(sim) == []
    services.start(cast.actor("alice"), endpoint)
    in_service(sim, endpoint)
    assert sim.world.misuses == []
