"""What others change in the cluster is found, named, and put back, accepted or left to them."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from clusters.drivers.kinds import SERVICE, STATEFUL_SET, Kind
from clusters.drivers.kube import kube_for
from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint, Event, Revision
from endpoints.states import Cause, DriftPolicy
from models_catalog.models import Profile
from portal.tenancy.rows import new_uid
from tests.cast import Cast
from tests.clusters.agent_rig import until
from tests.endpoints.kubernetes.test_plan import deployed, place, profile  # noqa: F401  fixtures
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_simulator]


@pytest.fixture
def endpoint(cast: Cast, place: Cluster, profile: Profile) -> Endpoint:  # noqa: F811
    """In service, with one replica."""
    made = deployed(cast, place, profile)

    def is_serving() -> bool:
        services.reconcile(made.pk)
        return again(made).status == "INSERVICE"

    until(is_serving)
    return again(made)


def again(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.select_related("workspace", "cluster", "wanted__profile__model").get(pk=endpoint.pk)


def live(endpoint: Endpoint, kind: Kind = STATEFUL_SET) -> dict[str, Any] | None:
    return kube_for(endpoint.cluster).get(kind, services.specs.namespace_of(endpoint), endpoint.external_name)


def edit(sim: Simulator, endpoint: Endpoint, body: dict[str, Any], manager: str = "kubectl-edit") -> None:
    """As a person with kubectl does."""
    path = STATEFUL_SET.path(services.specs.namespace_of(endpoint), endpoint.external_name)
    sim.client().call("PATCH", path, body, content_type="application/merge-patch+json", fieldManager=manager)


SPARE = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 7}}}}
PATH = "spec.template.spec.terminationGracePeriodSeconds"


def found(endpoint: Endpoint) -> list[tuple[str, Any, str]]:
    services.find_drift(endpoint.cluster)
    return [(change["path"], change["before"], change["manager"]) for change in again(endpoint).drift]


def test_a_quiet_endpoint_has_no_drift(endpoint: Endpoint) -> None:
    assert found(endpoint) == []


def test_an_edit_is_found_with_its_managers_name_and_put_back(endpoint: Endpoint, kube_sim: Simulator) -> None:
    edit(kube_sim, endpoint, SPARE)
    assert found(endpoint) == [(PATH, 7, "kubectl-edit")]
    assert live(endpoint)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] != 7
    assert found(endpoint) == []
    messages = list(Event.objects.filter(endpoint=endpoint, kind="drift").values_list("message", flat=True))
    assert any("kubectl-edit" in message for message in messages)


def test_a_neighbour_with_an_unreadable_secret_hides_no_drift(
    endpoint: Endpoint, cast: Cast, profile: Profile, kube_sim: Simulator,  # noqa: F811
) -> None:
    """Its own step says what is wrong with it; the others of the place are looked at all the same."""
    broken = deployed(cast, endpoint.cluster, profile, name="broken")
    other = Profile.objects.get(pk=profile.pk)
    other.pk, other.slug, other.uid = None, "other", new_uid()
    artifact = other.artifact
    artifact.pk, artifact.location, artifact.uid = None, "org/other", new_uid()
    artifact.token = "v1:deadbeef:AAAA"
    artifact.save()
    other.artifact = artifact
    other.save()
    spec = {**broken.wanted.spec, "artifact": {**broken.wanted.spec["artifact"], "location": "org/other"}}
    Revision.objects.filter(pk=broken.wanted_id).update(profile=other, spec=spec)
    Endpoint.objects.filter(pk=broken.pk).update(status="INSERVICE", observed_generation=broken.generation)
    edit(kube_sim, endpoint, SPARE)
    assert found(endpoint) == [(PATH, 7, "kubectl-edit")]


def test_kubectl_scale_is_drift_too(endpoint: Endpoint, kube_sim: Simulator) -> None:
    path = STATEFUL_SET.path(services.specs.namespace_of(endpoint), endpoint.external_name, "scale")
    kube_sim.client().call("PATCH", path, {"spec": {"replicas": 2}}, content_type="application/merge-patch+json",
                           fieldManager="kubectl")
    assert [path for path, _value, _manager in found(endpoint)] == ["spec.replicas"]
    assert live(endpoint)["spec"]["replicas"] == 1


def test_an_object_that_is_gone_comes_again(endpoint: Endpoint) -> None:
    kube_for(endpoint.cluster).delete(SERVICE, services.specs.namespace_of(endpoint), endpoint.external_name)
    assert found(endpoint) == [("", None, "")]
    assert live(endpoint, SERVICE) is not None


def test_after_three_corrections_it_is_contested_and_left(endpoint: Endpoint, kube_sim: Simulator) -> None:
    for _turn in range(4):
        edit(kube_sim, endpoint, SPARE)
        services.find_drift(endpoint.cluster)
    assert live(endpoint)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 7
    assert again(endpoint).corrections == 3
    assert Event.objects.filter(endpoint=endpoint, kind="drift", cause=Cause.CONTESTED).count() == 1

    def is_called_contested() -> bool:
        services.reconcile(endpoint.pk)
        return (again(endpoint).status, again(endpoint).cause) == ("INSERVICE", Cause.CONTESTED)

    until(is_called_contested)
    Endpoint.objects.filter(pk=endpoint.pk).update(next_look_at=timezone.now())
    services.look_at_cluster(endpoint.cluster_id)
    assert again(endpoint).cause == Cause.CONTESTED, "the sweep says the same"


def test_the_policy_to_show_only_changes_nothing(endpoint: Endpoint, kube_sim: Simulator) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(drift_policy=DriftPolicy.REPORT)
    edit(kube_sim, endpoint, SPARE)
    assert found(endpoint) == [(PATH, 7, "kubectl-edit")]
    assert live(endpoint)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 7


@pytest.fixture
def drifted(endpoint: Endpoint, kube_sim: Simulator) -> Endpoint:
    Endpoint.objects.filter(pk=endpoint.pk).update(drift_policy=DriftPolicy.REPORT)
    edit(kube_sim, endpoint, SPARE)
    found(endpoint)
    return again(endpoint)


def test_a_person_puts_it_back(drifted: Endpoint, cast: Cast) -> None:
    services.put_back(cast.actor("alice"), drifted)
    assert found(drifted) == []
    assert live(drifted)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] != 7


def test_an_accepted_change_is_the_new_truth_and_leaves_an_empty_plan(drifted: Endpoint, cast: Cast) -> None:
    services.accept(cast.actor("alice"), drifted)
    services.reconcile(drifted.pk)
    assert live(drifted)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 7
    assert {step.verb for step in services.plan(again(drifted)).plan.steps} == {"keep"}
    assert found(drifted) == []


def test_a_new_revision_replaces_what_was_accepted_of_the_pods(drifted: Endpoint, cast: Cast) -> None:
    services.accept(cast.actor("alice"), drifted)
    services.update(cast.actor("alice"), again(drifted), arguments={"max-model-len": 1024})
    services.reconcile(drifted.pk)
    assert live(drifted)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] != 7


def test_an_ignored_field_belongs_to_others(drifted: Endpoint, cast: Cast, kube_sim: Simulator) -> None:
    services.ignore(cast.actor("alice"), drifted)
    services.reconcile(drifted.pk)
    edit(kube_sim, drifted, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 9}}}})
    assert found(drifted) == []
    assert live(drifted)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 9
