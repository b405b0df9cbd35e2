"""What goes wrong between the portal and a cluster, and which way out each takes (reliability.md F13-F21)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from clusters.drivers import kube
from clusters.models import Cluster, KubernetesAccess
from endpoints import services
from endpoints.models import Endpoint, Event
from endpoints.services.specs import namespace_of
from endpoints.states import Cause, Status
from tests.cast import Cast
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator, cpu_node

from .cluster_play import changes, gone, in_service, new_endpoint, stateful_set, until

pytestmark = pytest.mark.django_db(transaction=True)


def seconds_until_next_look(endpoint: Endpoint) -> float:
    row = Endpoint.objects.annotate(now=Now()).get(pk=endpoint.pk)
    return float((row.next_look_at - row.now).total_seconds())


def sweep(place: Cluster) -> None:
    Endpoint.objects.filter(cluster=place).update(next_look_at=Now())
    services.look_at_cluster(place.pk)


@pytest.mark.parametrize(("fault", "word"), [
    pytest.param({"status": 401}, "credential", id="F13 the credential is refused"),
    pytest.param({"status": 500}, "by a fault", id="F19 the server is ill"),
    pytest.param({"status": 503}, "unable", id="F19 the server is away"),
    pytest.param({"status": 429, "retry_after": 7}, "Too many", id="F19 the server is busy"),
    pytest.param({"reset": True}, "", id="F19 connections are reset"),
])
def test_a_place_that_can_not_be_asked_says_nothing_about_its_endpoints(
    cast: Cast, quick: Cluster, quick_sim: Simulator, fault: dict[str, Any], word: str,
) -> None:
    serving = in_service(new_endpoint(cast, quick, "serving"))
    coming = new_endpoint(cast, quick, "coming")
    slow = quick_sim.pods_fail(name=f"{coming.external_name}-0", as_="notready")
    coming = until(coming, Status.CREATING)
    quick_sim.fault(**fault)
    for _ in range(3):
        sweep(quick)
        services.reconcile(serving.pk)
        services.reconcile(coming.pk)
    for endpoint, status in ((serving, Status.INSERVICE), (coming, Status.CREATING)):
        seen_at = endpoint.seen_at
        endpoint.refresh_from_db()
        assert (endpoint.status, endpoint.attempts, endpoint.seen_at) == (status, 0, seen_at)
        assert word in endpoint.last_error
        assert seconds_until_next_look(endpoint) < 20
    coming.refresh_from_db()
    assert coming.deadline_at is None, "its time does not run on"
    for each in list(quick_sim.app.faults):
        each.remove()
    slow.remove()
    kube.forget(quick)
    assert in_service(coming).last_error == ""
    sweep(quick)
    serving.refresh_from_db()
    assert (serving.status, serving.last_error) == (Status.INSERVICE, "")


def test_a_server_with_another_certificate_is_not_trusted_until_its_ca_is_stored(cast: Cast) -> None:
    with Simulator(nodes=[cpu_node("cpu-a")], speed=10.0) as sim:
        place = make_kubernetes_place(sim, "rotated")
        endpoint = in_service(new_endpoint(cast, place))
        sim.new_certificate()
        for _ in range(2):
            services.reconcile(endpoint.pk)
        endpoint.refresh_from_db()
        assert (endpoint.status, endpoint.attempts) == (Status.INSERVICE, 0)
        assert "certificate" in endpoint.last_error.lower()
        KubernetesAccess.objects.filter(cluster=place).update(ca=sim.server_authority.pem)
        assert until(endpoint, lambda row: not row.last_error).status == Status.INSERVICE


def test_a_cluster_that_is_gone_blames_nobody(cast: Cast) -> None:
    with Simulator(nodes=[cpu_node("cpu-a")], speed=10.0) as sim:
        place = make_kubernetes_place(sim, "gone")
        endpoint = in_service(new_endpoint(cast, place))
        sim.stop()
        sweep(place)
        endpoint.refresh_from_db()
        assert (endpoint.status, endpoint.attempts) == (Status.INSERVICE, 0)
        assert endpoint.last_error
        services.delete(cast.actor("alice"), endpoint)
        services.reconcile(endpoint.pk)
        endpoint.refresh_from_db()
        assert Endpoint.objects.filter(pk=endpoint.pk).exists(), "a listing that failed deletes nothing"
        sim.start()
        kube.forget(place)
        gone(endpoint)


def test_a_missing_right_is_named_and_asked_for_rarely(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = new_endpoint(cast, quick, "unrighteous")
    message = ('statefulsets.apps "x" is forbidden: User "portal" cannot patch resource "statefulsets" in API group "apps" '
               f'in the namespace "{namespace_of(endpoint)}"')
    fault = quick_sim.fault("PATCH", "*/statefulsets/*", status=403, message=message)
    row = until(endpoint, lambda row: row.cause == Cause.FORBIDDEN)
    assert "cannot patch statefulsets.apps" in row.message
    assert row.status in (Status.PENDING, Status.CREATING)
    assert seconds_until_next_look(row) > 250
    fault.remove()
    kube.forget(quick)
    assert in_service(row)


def test_an_object_that_the_cluster_calls_invalid_is_sent_once_for_each_wish(
    cast: Cast, quick: Cluster, quick_sim: Simulator,
) -> None:
    endpoint = new_endpoint(cast, quick, "invalid")
    fault = quick_sim.fault("PATCH", "*/statefulsets/*", status=422, message="spec.template: Invalid value: too odd")
    row = until(endpoint, Status.FAILED)
    assert (row.cause, fault.hits) == (Cause.INVALID, 1)
    assert "too odd" in row.message
    for _ in range(3):
        sweep(quick)
    assert fault.hits == 1
    fault.remove()
    services.retry(cast.actor("alice"), row)
    assert in_service(row)


def test_an_update_that_the_cluster_calls_invalid_leaves_the_old_revision_in_service(
    cast: Cast, quick: Cluster, quick_sim: Simulator,
) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "stays"))
    fault = quick_sim.fault("PATCH", "*/statefulsets/*", status=422, message="spec.template: Invalid value: too odd")
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    row = until(endpoint, lambda row: row.cause == Cause.UPDATE_FAILED)
    fault.remove()
    row = until(row, lambda row: row.status == Status.DEGRADED and row.serving.number == 1 and row.ready_replicas == 1)
    assert "too odd" in row.message
    assert fault.hits == 1


def test_a_namespace_that_is_being_deleted_is_named_and_comes_back(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "homeless"))
    client, namespace = quick_sim.client(), namespace_of(endpoint)
    client.create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "hold", "namespace": namespace, "finalizers": ["test/hold"]}})
    client.delete("v1", "namespaces", "", namespace)
    row = until(endpoint, lambda row: "being deleted" in row.message)
    assert row.status not in (Status.FAILED, Status.INSERVICE)
    client.patch("v1", "configmaps", namespace, "hold", {"metadata": {"finalizers": None}})
    assert in_service(row).ready_replicas == 1


def test_a_kind_that_is_gone_is_named(cast: Cast) -> None:
    with Simulator(nodes=[cpu_node("cpu-a")], crds=None, speed=10.0) as sim:
        place = make_kubernetes_place(sim, "bare", capabilities={"prometheus": {"found": True}})
        endpoint = new_endpoint(cast, place)
        row = until(endpoint, lambda row: row.cause == Cause.NO_KIND)
        assert "podmonitors" in row.message
        assert row.status != Status.FAILED
        assert seconds_until_next_look(row) > 50


def test_an_object_of_somebody_else_is_neither_adopted_nor_overwritten(
    cast: Cast, quick: Cluster, quick_sim: Simulator,
) -> None:
    first = in_service(new_endpoint(cast, quick, "first"))  # its namespace is there now
    endpoint = new_endpoint(cast, quick, "taken")
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {
        "name": endpoint.external_name, "namespace": namespace_of(first)}, "spec": {"ports": [{"port": 1}]}}
    made = quick_sim.client().create("services", theirs)
    before = len(quick_sim.requests)
    row = until(endpoint, Status.FAILED)
    assert row.cause == Cause.NAME_TAKEN
    assert f"Service {endpoint.external_name}" in row.message
    kept = quick_sim.client().get("v1", "services", namespace_of(first), endpoint.external_name)
    assert kept["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert not [each for each in changes(quick_sim, before) if each.endswith(f"/services/{endpoint.external_name}")]
    services.delete(cast.actor("alice"), row)
    gone(row)
    assert quick_sim.client().get("v1", "services", namespace_of(first), endpoint.external_name)


def test_a_field_that_somebody_else_owns_is_named_with_the_owner(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "contested"))
    live = stateful_set(quick_sim, endpoint)
    theirs = {"apiVersion": "apps/v1", "kind": "StatefulSet",
              "metadata": {"name": live["metadata"]["name"], "namespace": live["metadata"]["namespace"]},
              "spec": {"replicas": 2}}
    quick_sim.client().apply("statefulsets", theirs, manager="their-tool")
    services.scale(cast.actor("alice"), endpoint, 3)
    row = until(endpoint, lambda row: row.cause == Cause.CONFLICT)
    assert "their-tool" in row.message
    assert "spec.replicas" in row.message
    assert stateful_set(quick_sim, row)["spec"]["replicas"] == 2


def test_an_outage_leaves_one_line_in_a_history_not_one_a_look(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick))
    before = Event.objects.filter(endpoint=endpoint).count()
    quick_sim.fault(status=503)
    for _ in range(5):
        sweep(quick)
    assert Event.objects.filter(endpoint=endpoint).count() - before <= 1
