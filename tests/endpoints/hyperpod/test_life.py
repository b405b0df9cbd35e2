"""An endpoint's life on HyperPod: the real services, target and driver over HTTPS; only the operator is played."""

from __future__ import annotations

import pytest

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Backend
from endpoints.services.specs import namespace_of
from endpoints.states import Status
from tests.cast import Cast
from tests.endpoints.kubernetes.cluster_play import gone, in_service, until
from tests.simulators.kubernetes.server import Simulator

from .hyperpod_play import config, left_over, new_endpoint, pods

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_endpoint_lives_on_hyperpod_from_its_first_wish_to_its_end(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    alice = cast.actor("alice")
    endpoint = in_service(new_endpoint(cast, place, "life", replicas=2))
    assert (endpoint.ready_replicas, endpoint.serving, endpoint.seen_by) == (2, endpoint.wanted, "hyperpod")
    assert Backend.objects.get(endpoint=endpoint).url == (
        f"{pod_sim.url}/api/v1/namespaces/{namespace_of(endpoint)}/services/http:{endpoint.external_name}:8000/proxy")
    services.update(alice, endpoint, arguments={"max-model-len": 128})
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 2)
    assert "128" in config(pod_sim, endpoint)["spec"]["worker"]["args"]
    services.roll_back(alice, endpoint, 1)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 1)
    services.stop(alice, endpoint)
    endpoint = until(endpoint, Status.STOPPED)
    assert left_over(pod_sim, endpoint) == []
    services.start(alice, endpoint)
    endpoint = in_service(endpoint)
    assert len(pods(pod_sim, endpoint)) == 2
    services.delete(alice, endpoint)
    gone(endpoint)
    assert left_over(pod_sim, endpoint) == []
