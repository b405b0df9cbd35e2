"""The operator's four figures, from the pods' own port to the endpoint's page and the API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.test import Client
from pytest_django import Settings

from clusters.drivers.kinds import POD
from clusters.drivers.kube import kube_for
from clusters.models import Cluster
from endpoints import services
from endpoints.services.specs import namespace_of, spec_of
from endpoints.targets import target_for
from endpoints.targets.hyperpod.target import HyperPodTarget
from endpoints.targets.kubernetes.seen import Pod
from endpoints.targets.measuring import CONCURRENT, FIRST_BYTE, INVOCATIONS, LATENCY
from tests.cast import Cast
from tests.endpoints.kubernetes.cluster_play import in_service
from tests.portal.conftest import STORAGES
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.kubernetes.server import Simulator

from .hyperpod_play import TYPE, make_place, new_endpoint

pytestmark = pytest.mark.django_db(transaction=True)

FIGURES = b"""# TYPE model_invocations_total counter
model_invocations_total{resource_name="chat"} 1200
# TYPE model_concurrent_requests gauge
model_concurrent_requests{resource_name="chat"} 4
# TYPE model_latency_milliseconds histogram
model_latency_milliseconds_sum 600000
model_latency_milliseconds_count 1200
"""


class Sidecar(BaseHTTPRequestHandler):
    """What stands beside the engine in each pod: its metrics, and nothing else."""

    asked = 0

    def do_GET(self) -> None:
        is_there = self.path == "/metrics"
        type(self).asked += is_there
        self.send_response(200 if is_there else 404)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(FIGURES) if is_there else 0))
        self.end_headers()
        if is_there:
            self.wfile.write(FIGURES)

    def log_message(self, *_args: object) -> None:
        pass


class Silent(Sidecar):
    """Takes the call and says nothing."""

    def do_GET(self) -> None:
        time.sleep(30)


class Rude(Sidecar):
    """Refuses as an API server would."""

    def do_GET(self) -> None:
        self.send_error(401)


@contextmanager
def behind(sidecar: type[Sidecar] | None) -> Iterator[Cluster]:
    """A HyperPod cluster whose pods have it on every port; None is a port where nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), sidecar or Sidecar) as server:
        server.daemon_threads, server.block_on_close = True, False
        url = f"http://127.0.0.1:{server.server_address[1]}"
        if sidecar is None:
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        with Simulator(nodes=[hyperpod_node("i-0a1b2c3d4e5f67890", instance_type=TYPE)], speed=10.0, engine_url=url) as sim:
            yield make_place(sim, "odd")
        if sidecar is not None:
            server.shutdown()


@pytest.mark.parametrize("sidecar", [None, Silent, Rude])
def test_a_pod_that_does_not_answer_says_nothing_of_its_cluster(cast: Cast, sidecar: type[Sidecar] | None) -> None:
    """However often somebody looks: the road to the cluster stays open for all others."""
    with behind(sidecar) as place:
        endpoint = in_service(new_endpoint(cast, place, "odd", replicas=2))
        for _time in range(4):
            begun = time.monotonic()
            target = target_for(place)
            assert isinstance(target, HyperPodTarget)
            assert "9113" in target.measure(spec_of(endpoint)).missing
            assert time.monotonic() - begun < 12
        assert kube_for(place).list(POD, Pod, namespace=namespace_of(endpoint)).items


@pytest.fixture
def measured(cast: Cast) -> Iterator[Cluster]:
    """A HyperPod cluster whose pods tell figures."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Sidecar) as sidecar:
        threading.Thread(target=sidecar.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{sidecar.server_address[1]}"
        with Simulator(nodes=[hyperpod_node("i-0a1b2c3d4e5f67890", instance_type=TYPE)], speed=10.0, engine_url=url) as sim:
            yield make_place(sim, "measured")
        sidecar.shutdown()


def test_the_figures_of_all_pods_reach_the_page_and_the_api(
    cast: Cast, measured: Cluster, client: Client, settings: Settings,
) -> None:
    settings.STORAGES = STORAGES  # the page needs no collected files
    endpoint = in_service(new_endpoint(cast, measured, "chat", replicas=2))
    before = Sidecar.asked
    found = services.measures(endpoint)
    assert found is not None
    assert found.values == {INVOCATIONS: 2400, LATENCY: 500, FIRST_BYTE: None, CONCURRENT: 8}
    assert found.missing == ""
    client.force_login(cast.operator)
    answer = client.get(f"/api/v1/endpoints/{endpoint.uid}/measures").json()
    assert (answer["model_invocations_total"], answer["model_ttfb_milliseconds"]) == (2400, None)
    page = client.get(f"/admin/endpoints/endpoint/{endpoint.pk}/live/").json()["parts"][str(endpoint.pk)]["measures"]
    assert "2,400" in page
    assert Sidecar.asked - before == 2  # each pod once: an open page asks again every few seconds


def test_pods_that_tell_nothing_are_explained(cast: Cast, place: Cluster) -> None:
    endpoint = in_service(new_endpoint(cast, place, "silent"))
    found = services.measures(endpoint)
    assert found is not None
    assert set(found.values.values()) == {None}
    assert "9113" in found.missing
    services.stop(cast.actor("alice"), endpoint)
