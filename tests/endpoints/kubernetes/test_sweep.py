"""The sweep over clusters: few calls, few statements, and a slow cluster that holds up nobody."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from clusters.models import Cluster, KubernetesAccess
from endpoints import services
from endpoints.models import Backend, Endpoint, Event
from endpoints.services.specs import namespace_of
from endpoints.states import Status
from tests.cast import Cast
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator

from .cluster_play import PATIENCE, cluster_profile, in_service, new_endpoint, pods

pytestmark = pytest.mark.django_db(transaction=True)


def make_due() -> None:
    Endpoint.objects.update(next_look_at=F("created_at"))


def calls(sim: Simulator, since: int) -> Counter[str]:
    """How often each kind was asked for."""
    return Counter(each.path.rsplit("/", 1)[-1] for each in sim.requests[since:])


def serving(cast: Cast, place: Cluster, count: int) -> list[Endpoint]:
    profile = cluster_profile()
    return [in_service(new_endpoint(cast, place, f"many-{number}", profile=profile)) for number in range(count)]


def test_a_quiet_period_is_one_list_a_kind_and_changes_nothing(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    rows = serving(cast, quick, 5)
    KubernetesAccess.objects.filter(cluster=quick).update(capabilities={})
    services.look_at_cluster(quick.pk)
    make_due()
    before = len(quick_sim.requests)
    with CaptureQueriesContext(connection) as queries:
        assert services.look_at_cluster(quick.pk) == 0
    assert calls(quick_sim, before) == {"statefulsets": 1, "pods": 1}
    assert len(queries) < 25, "none of them for a single row"
    for row in rows:
        seen_at = row.seen_at
        row.refresh_from_db()
        assert row.seen_at > seen_at


def test_what_the_cluster_mends_itself_is_written_without_a_step(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "mended", replicas=2))
    services.reconcile(endpoint.pk)
    rule = quick_sim.pods_fail(name=f"{endpoint.external_name}-1", as_="notready")
    quick_sim.client().delete("v1", "pods", namespace_of(endpoint), f"{endpoint.external_name}-1")
    before, begun = len(quick_sim.requests), time.monotonic()
    while endpoint.status != Status.DEGRADED:
        make_due()
        assert services.look_at_cluster(quick.pk) == 0
        endpoint.refresh_from_db()
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.05)
    assert not [each for each in quick_sim.requests[before:] if each.method != "GET" and "inference-portal" in each.user_agent]
    assert (endpoint.ready_replicas, Backend.objects.filter(endpoint=endpoint).count()) == (1, 1)
    rule.remove()
    while endpoint.status != Status.INSERVICE:
        make_due()
        services.look_at_cluster(quick.pk)
        endpoint.refresh_from_db()
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.05)
    assert endpoint.ready_replicas == 2


def test_other_numbers_are_written_for_many_rows_at_once(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    scaled = {"min_replicas": 1, "max_replicas": 4, "triggers": [
        {"type": "cpu", "metadata": {"value": "60"}, "metric_type": "Utilization"}]}
    profile = cluster_profile()
    rows = [in_service(new_endpoint(cast, quick, f"auto-{n}", profile=profile, autoscale=scaled)) for n in range(4)]
    events = Event.objects.count()
    for row in rows:
        quick_sim.client().call(
            "PATCH", f"/apis/apps/v1/namespaces/{namespace_of(row)}/statefulsets/{row.external_name}/scale",
            {"spec": {"replicas": 2}}, content_type="application/merge-patch+json", fieldManager="keda")
    begun = time.monotonic()
    while sum(len(pods(quick_sim, row)) for row in rows) < 8 or Endpoint.objects.filter(ready_replicas=2).count() < 4:
        make_due()
        services.look_at_cluster(quick.pk)
        assert time.monotonic() - begun < PATIENCE
    assert set(Endpoint.objects.values_list("status", "autoscaled_replicas")) == {(Status.INSERVICE, 2)}
    assert Event.objects.count() - events <= 8, "only where the status itself changed"


def test_a_new_credential_reaches_the_gateways_table_without_a_step(cast: Cast, quick: Cluster, quick_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, quick, "renewed"))
    quick_sim.client().create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "name": "renewed", "namespace": "default"}})
    quick_sim.client().create("clusterrolebindings", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "renewed"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "renewed", "namespace": "default"}]})
    token = quick_sim.token_for("default", "renewed")
    access = KubernetesAccess.objects.get(cluster=quick)
    access.put_secret("token", token)
    access.save()
    make_due()
    assert services.look_at_cluster(quick.pk) == 0
    assert Backend.objects.get(endpoint=endpoint).secret("token") == token


def test_a_slow_cluster_is_asked_by_one_worker_and_holds_up_no_other(
    cast: Cast, quick: Cluster, quick_sim: Simulator, kube_sim: Simulator,
) -> None:
    slow_row = in_service(new_endpoint(cast, quick, "slow"))
    other = make_kubernetes_place(kube_sim, "healthy")
    quick_row = in_service(new_endpoint(cast, other, "healthy"))
    make_due()
    quick_sim.fault("GET", "/apis/apps/v1/statefulsets", delay=4.0)
    before = len(quick_sim.requests)

    def look(results: list[Any]) -> None:
        try:
            results.append(services.look_at_cluster(quick.pk))
        finally:
            connection.close()

    results: list[Any] = []
    first = threading.Thread(target=look, args=(results,))
    first.start()
    while not calls(quick_sim, before)["statefulsets"]:
        assert first.is_alive()
        time.sleep(0.01)
    begun = time.monotonic()
    assert services.look_at_cluster(quick.pk) == 0, "somebody looks there already"
    services.look_at_cluster(other.pk)
    assert time.monotonic() - begun < 2
    quick_row.refresh_from_db()
    first.join(20)
    assert results == [0]
    assert calls(quick_sim, before)["statefulsets"] == 1
    slow_row.refresh_from_db()
    assert quick_row.seen_at is not None
    assert slow_row.seen_at > quick_row.seen_at
