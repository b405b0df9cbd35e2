"""An endpoint's life on a cluster: the real services, target and driver over HTTPS; only the cluster is played."""

from __future__ import annotations

import pytest

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Backend, Endpoint
from endpoints.services.specs import namespace_of
from endpoints.states import Cause, Status
from tests.cast import Cast
from tests.simulators.kubernetes.server import Simulator

from .cluster_play import (
    changes,
    gone,
    in_service,
    is_ready,
    left_over,
    make_late,
    new_endpoint,
    pods,
    stateful_set,
    until,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_deployment_comes_into_service_behind_one_address(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, replicas=2))
    assert (endpoint.ready_replicas, endpoint.serving, endpoint.seen_by) == (2, endpoint.wanted, "kubernetes")
    backend = Backend.objects.get(endpoint=endpoint)
    assert backend.url == (f"{quick_sim.url}/api/v1/namespaces/{namespace_of(endpoint)}/services/"
                           f"http:{endpoint.external_name}:8000/proxy")
    assert (backend.ca, backend.secret("token")) == (quick_sim.ca_pem, quick_sim.admin_token)


def test_a_look_that_finds_nothing_new_changes_nothing(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick))
    services.reconcile(endpoint.pk)
    before = len(quick_sim.requests)
    services.reconcile(endpoint.pk)
    assert changes(quick_sim, before) == []


def test_scaling_up_and_down_moves_the_replicas_and_nothing_else(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick))
    uids = {pod["metadata"]["uid"] for pod in pods(quick_sim, endpoint)}
    services.scale(cast.actor("alice"), endpoint, 3)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 3)
    assert uids < {pod["metadata"]["uid"] for pod in pods(quick_sim, endpoint)}
    services.scale(cast.actor("alice"), endpoint, 1)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 1)
    assert uids == {pod["metadata"]["uid"] for pod in pods(quick_sim, endpoint)}


def test_an_update_never_leaves_less_in_service(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, replicas=2))
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    least = 2

    def is_through(row: Endpoint) -> bool:
        nonlocal least
        least = min(least, sum(map(is_ready, pods(quick_sim, row))))
        assert Backend.objects.filter(endpoint=row).count() == 1
        return row.status == Status.INSERVICE and row.serving == row.wanted

    endpoint = until(endpoint, is_through)
    assert (least, endpoint.ready_replicas) == (2, 2)
    live = stateful_set(quick_sim, endpoint)["spec"]
    assert (live["replicas"], live["updateStrategy"]["rollingUpdate"]["partition"]) == (2, 0)


@pytest.mark.parametrize("as_", ["crash:1", "ImagePullBackOff"])
def test_a_revision_that_breaks_gives_way_to_the_one_before(
    cast: Cast, quick: Cluster, quick_sim: Simulator, as_: str,
) -> None:
    endpoint = in_service(new_endpoint(cast, quick, f"breaks-{as_[:5].lower()}", replicas=2))
    before = {pod["metadata"]["uid"] for pod in pods(quick_sim, endpoint)}
    broken = quick_sim.pods_fail(name=f"{endpoint.external_name}-2", as_=as_)
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(endpoint, lambda row: row.cause == Cause.UPDATE_FAILED and len(pods(quick_sim, row)) == 2)
    broken.remove()
    endpoint = until(endpoint, lambda row: row.ready_replicas == 2)
    assert (endpoint.status, endpoint.serving.number) == (Status.DEGRADED, 1)
    assert {pod["metadata"]["uid"] for pod in pods(quick_sim, endpoint)} == before
    assert stateful_set(quick_sim, endpoint)["spec"]["replicas"] == 2


def test_an_update_that_misses_its_deadline_is_taken_back(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick))
    slow = quick_sim.pods_fail(name=f"{endpoint.external_name}-1", as_="notready")
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    until(endpoint, lambda row: row.status == Status.UPDATING and len(pods(quick_sim, row)) == 2)
    make_late(endpoint)
    endpoint = until(endpoint, lambda row: row.cause == Cause.UPDATE_FAILED and len(pods(quick_sim, row)) == 1)
    slow.remove()
    assert (endpoint.serving.number, endpoint.wanted.number) == (1, 2)
    assert "in time" in endpoint.wanted.failure
    services.retry(cast.actor("alice"), endpoint)
    assert in_service(endpoint).serving.number == 2


def test_rolling_back_by_hand_brings_the_old_revision_into_service(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick))
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 2)
    services.roll_back(cast.actor("alice"), endpoint, 1)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 1)
    assert len(pods(quick_sim, endpoint)) == 1


@pytest.mark.parametrize(("as_", "cause", "word"), [
    ("ImagePullBackOff", Cause.IMAGE, ""), ("crash:1", Cause.CRASH_LOOP, "exit code 1"),
    ("crash:137", Cause.MEMORY, "137"), ("unschedulable", Cause.UNSCHEDULABLE, ""), ("notready", Cause.PROBE, "health"),
])
def test_what_is_wrong_with_a_pod_stands_in_the_row(
    cast: Cast, quick: Cluster, quick_sim: Simulator, as_: str, cause: Cause, word: str,
) -> None:
    endpoint = new_endpoint(cast, quick, f"ill-{cause.lower()}")
    rule = quick_sim.pods_fail(name=f"{endpoint.external_name}-0", as_=as_)
    ill = until(endpoint, lambda row: row.cause == cause)
    assert word in ill.message
    rule.remove()
    if cause == Cause.UNSCHEDULABLE:  # The scheduler would try again after minutes; a person deletes the pod.
        quick_sim.client().delete("v1", "pods", namespace_of(ill), f"{ill.external_name}-0")
    services.retry(cast.actor("alice"), ill)
    assert in_service(ill).ready_replicas == 1


def test_stopping_takes_everything_away_and_starting_brings_it_back(
    cast: Cast, quick: Cluster, quick_sim: Simulator,
) -> None:
    endpoint = in_service(new_endpoint(cast, quick))
    services.stop(cast.actor("alice"), endpoint)
    endpoint = until(endpoint, Status.STOPPED)
    assert (left_over(quick_sim, endpoint), Backend.objects.count()) == ([], 0)
    services.start(cast.actor("alice"), endpoint)
    assert in_service(endpoint).ready_replicas == 1


def test_deleting_leaves_nothing_behind(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, replicas=2))
    assert left_over(quick_sim, endpoint)
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)
    assert left_over(quick_sim, endpoint) == []


def test_a_row_waits_until_what_hangs_in_the_cluster_is_gone(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "hangs"))
    client, namespace = quick_sim.client(), namespace_of(endpoint)
    client.patch("v1", "services", namespace, endpoint.external_name, {"metadata": {"finalizers": ["test/hold"]}})
    services.delete(cast.actor("alice"), endpoint)
    held = until(endpoint, lambda row: "Service" in row.message and not pods(quick_sim, row))
    assert held.status == Status.DELETING
    client.patch("v1", "services", namespace, endpoint.external_name, {"metadata": {"finalizers": None}})
    gone(endpoint)
    assert left_over(quick_sim, endpoint) == []


def test_a_workload_deleted_by_hand_comes_back(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick))
    quick_sim.client().delete("apps/v1", "statefulsets", namespace_of(endpoint), endpoint.external_name)
    endpoint = until(endpoint, lambda row: row.status != Status.INSERVICE)
    assert in_service(endpoint).ready_replicas == 1


def test_the_logs_of_a_replica_can_be_read(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = new_endpoint(cast, quick, "talks")
    rule = quick_sim.pods_fail(name=f"{endpoint.external_name}-0", as_="crash:1", log="now", previous_log="Traceback: x")
    endpoint = until(endpoint, lambda row: row.cause == Cause.CRASH_LOOP)
    assert "Traceback" in services.logs(endpoint, previous=True)
    rule.remove()
