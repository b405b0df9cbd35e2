"""An endpoint's objects from the first to the last, without waiting for an engine: a real cluster can pass this as well."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.drivers.kinds import STATEFUL_SET
from clusters.drivers.kube import kube_for
from clusters.models import Cluster
from clusters.namespaces import ENDPOINT_UID
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.specs import namespace_of, spec_of
from endpoints.states import Status
from endpoints.targets import target_for
from endpoints.targets.base import FindsDrift
from models_catalog.models import Profile
from tests.cast import Cast
from tests.endpoints.kubernetes.cluster_play import gone, until
from tests.endpoints.kubernetes.test_plan import deployed, place, profile  # noqa: F401  fixtures
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = [("v1", "serviceaccounts"), ("v1", "services"), ("networking.k8s.io/v1", "networkpolicies"),
         ("policy/v1", "poddisruptionbudgets"), ("apps/v1", "statefulsets")]


@pytest.fixture
def endpoint(cast: Cast, place: Cluster, profile: Profile) -> Endpoint:  # noqa: F811
    return deployed(cast, place, profile)


def objects(sim: Simulator, endpoint: Endpoint) -> dict[str, Any]:
    """Everything that carries the endpoint's label, by kind and name."""
    client, label = sim.client(), f"{ENDPOINT_UID}={endpoint.uid}"
    return {f"{plural}/{each['metadata']['name']}": each for version, plural in KINDS
            for each in client.list(version, plural, namespace_of(endpoint), labelSelector=label)}


def replicas(endpoint: Endpoint) -> int:
    live = kube_for(endpoint.cluster).get(STATEFUL_SET, namespace_of(endpoint), endpoint.external_name)
    assert live is not None
    return int(live["spec"]["replicas"])


def test_what_was_sent_is_there_and_a_second_step_sends_nothing(endpoint: Endpoint, kube_sim: Simulator) -> None:
    there = objects(kube_sim, endpoint)
    assert {name.partition("/")[0] for name in there} >= {"serviceaccounts", "services", "networkpolicies", "statefulsets"}
    # The spec's generation, because a status may move by itself meanwhile.
    before = {name: (each["metadata"]["uid"], each["metadata"].get("generation")) for name, each in there.items()}
    services.reconcile(endpoint.pk)
    after = {name: (each["metadata"]["uid"], each["metadata"].get("generation"))
             for name, each in objects(kube_sim, endpoint).items()}
    assert after == before


def test_more_replicas_change_the_workload_and_stopping_takes_all_away(
    cast: Cast, endpoint: Endpoint, kube_sim: Simulator,
) -> None:
    services.scale(cast.actor("alice"), endpoint, 2)
    services.reconcile(endpoint.pk)
    assert replicas(endpoint) == 2
    assert f"poddisruptionbudgets/{endpoint.external_name}" in objects(kube_sim, endpoint)
    services.stop(cast.actor("alice"), Endpoint.objects.get(pk=endpoint.pk))
    until(endpoint, Status.STOPPED)
    assert objects(kube_sim, endpoint) == {}


def test_deleting_leaves_no_object_and_no_row(cast: Cast, endpoint: Endpoint, kube_sim: Simulator) -> None:
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)
    assert objects(kube_sim, endpoint) == {}


def test_what_somebody_else_writes_is_found_with_the_name_and_put_back(endpoint: Endpoint, kube_sim: Simulator) -> None:
    spec, target = spec_of(endpoint), target_for(endpoint.cluster)
    assert isinstance(target, FindsDrift)
    assert target.find_drift([spec]) == {endpoint.uid: ()}
    path = STATEFUL_SET.path(namespace_of(endpoint), endpoint.external_name)
    body = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}
    kube_sim.client().call("PATCH", path, body, content_type="application/merge-patch+json", fieldManager="kubectl-edit")
    changes = target.find_drift([spec])[endpoint.uid]
    assert [(change.path, change.before, change.manager) for change in changes] == [
        ("spec.template.spec.terminationGracePeriodSeconds", 7, "kubectl-edit")]
    target.put_back(spec, changes)
    assert target.find_drift([spec]) == {endpoint.uid: ()}
