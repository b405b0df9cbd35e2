"""The engines' own figures, read where they run: in pods of a cluster, and of HyperPod, through the API server."""

from __future__ import annotations

import pytest

from endpoints.services.samples import forget_samples, recent, sample
from endpoints.services.specs import spec_of
from endpoints.targets import target_for
from endpoints.targets.engine_pages import ShowsEngines
from tests.cast import Cast
from tests.endpoints.hyperpod import hyperpod_play
from tests.endpoints.kubernetes import cluster_play
from tests.kube import make_kubernetes_place
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.kubernetes.server import Simulator, cpu_node
from tests.simulators.openai_backend import OpenAIBackend

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = b"vllm:num_requests_running 2\nvllm:num_requests_waiting 1\nvllm:kv_cache_usage_perc 0.25\n"


@pytest.mark.parametrize("kind", ["kubernetes", "hyperpod"])
def test_pods_tell_their_figures_and_a_silent_one_is_left_out(cast: Cast, kind: str) -> None:
    odd = hyperpod_node("i-0a1b2c3d4e5f67890", instance_type=hyperpod_play.TYPE)
    nodes = [cpu_node("cpu-a")] if kind == "kubernetes" else [odd]
    with OpenAIBackend() as engine, Simulator(nodes=nodes, speed=10.0, engine_url=engine.url) as sim:
        engine.script.content_type, engine.script.body = "text/plain", PAGE
        if kind == "kubernetes":
            row = cluster_play.in_service(cluster_play.new_endpoint(cast, make_kubernetes_place(sim), "told"))
        else:
            row = cluster_play.in_service(hyperpod_play.new_endpoint(cast, hyperpod_play.make_place(sim, "odd"), "told"))
        forget_samples()
        point = sample(row)
        assert point is not None
        assert (point.running, point.waiting, point.cache) == (2, 1, 0.25)
        assert sample(row) is None, "it is fresh enough"
        assert recent(row) == [point]
        engine.script.status = 500
        target = target_for(row.cluster)
        assert isinstance(target, ShowsEngines)
        assert target.engine_pages(spec_of(row)) == []


def test_a_place_that_cannot_be_asked_tells_nothing(cast: Cast) -> None:
    with Simulator(nodes=[cpu_node("cpu-a")], speed=10.0) as sim:
        row = cluster_play.in_service(cluster_play.new_endpoint(cast, make_kubernetes_place(sim), "lost"))
    forget_samples()
    point = sample(row)
    assert point is not None
    assert (point.running, point.waiting, point.cache) == (None, None, None)
