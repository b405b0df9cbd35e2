"""The plan of a wish against a real API: exact, unharmed by status, refused when the cluster has changed."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.drivers.kinds import NAMESPACE, STATEFUL_SET
from clusters.drivers.kube import kube_for
from clusters.models import Cluster
from clusters.namespaces import workspace_namespace
from endpoints import services
from endpoints.models import Endpoint
from endpoints.targets.base import Check
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, EngineRelease, Profile
from portal.tenancy.errors import Invalid, Stale
from tests.cast import GIB, Cast, make_model, make_profile
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(cast: Cast, kube_sim: Simulator) -> Cluster:
    return make_kubernetes_place(kube_sim)


@pytest.fixture
def profile() -> Profile:
    model = make_model("small", weights_bytes=GIB)
    made = make_profile("small-cpu", model, cpu_millis=2000, memory_bytes=7 * GIB, arguments={"max-model-len": 4096})
    Artifact.objects.filter(pk=made.artifact_id).update(kind=ArtifactKind.HUGGING_FACE, location="org/small")
    EngineRelease.objects.filter(pk=made.release_id).update(image="vllm/vllm-openai-cpu@sha256:" + "0" * 64)
    return Profile.objects.get(pk=made.pk)


def wish(cast: Cast, place: Cluster, profile: Profile, **more: Any) -> dict[str, Any]:
    return {"name": "small", "cluster": place, "profile": profile} | more


def test_a_new_endpoint_is_planned_with_its_namespace_before_anything_is_there(
    cast: Cast, place: Cluster, profile: Profile, kube_sim: Simulator,
) -> None:
    planned = services.plan_creation(cast.actor("alice"), cast.alpha, **wish(cast, place, profile))
    verbs = {step.what.split("/")[0]: step.verb for step in planned.plan.steps}
    assert verbs["Namespace"] == verbs["StatefulSet"] == verbs["Service"] == verbs["NetworkPolicy"] == "create"
    assert planned.plan.checks
    assert kube_for(place).get(NAMESPACE, "", f"ip-alpha-{'x' * 10}") is None
    assert not Endpoint.objects.exists()


def deployed(cast: Cast, place: Cluster, profile: Profile, **more: Any) -> Endpoint:
    planned = services.plan_creation(cast.actor("alice"), cast.alpha, **wish(cast, place, profile, **more))
    endpoint = services.create(cast.actor("alice"), cast.alpha, **wish(cast, place, profile, **more), uid=planned.uid)
    services.reconcile(endpoint.pk)
    return Endpoint.objects.select_related("workspace", "cluster", "wanted__profile__model").get(pk=endpoint.pk)


def stateful_set(endpoint: Endpoint) -> dict[str, Any]:
    found = kube_for(endpoint.cluster).get(STATEFUL_SET, services.specs.namespace_of(endpoint), endpoint.external_name)
    assert found is not None
    return found


@pytest.mark.needs_simulator
def test_a_claim_that_holds_the_weights_is_looked_at_before_anything_is_made(
    cast: Cast, place: Cluster, profile: Profile, kube_sim: Simulator,
) -> None:
    Artifact.objects.filter(pk=profile.artifact_id).update(kind=ArtifactKind.VOLUME, location="pvc://models/small")

    def check() -> Check:
        fresh = Profile.objects.get(pk=profile.pk)
        planned = services.plan_creation(cast.actor("alice"), cast.alpha, **wish(cast, place, fresh))
        return next(check for check in planned.plan.checks if check.name == "storage")

    assert check().ok is False
    namespace, client = workspace_namespace(cast.alpha), kube_sim.client()
    client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    client.create("persistentvolumeclaims", {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "standard",
                 "resources": {"requests": {"storage": "2Gi"}}}})
    found = check()
    assert found.ok is not False
    assert found.lines == (f"Claim models: {'2.0' if found.ok else '0.0'} GiB of storage class standard", "Weights: 1.0 GiB")


def test_what_was_applied_needs_nothing_more(cast: Cast, place: Cluster, profile: Profile) -> None:
    endpoint = deployed(cast, place, profile)
    planned = services.plan(endpoint)
    assert {step.verb for step in planned.plan.steps} == {"keep"}, planned.plan.steps


def test_an_update_names_exactly_the_fields_that_change(cast: Cast, place: Cluster, profile: Profile) -> None:
    endpoint = deployed(cast, place, profile)
    planned = services.plan_change(cast.actor("alice"), endpoint, arguments={"max-model-len": 2048})
    changed = [step for step in planned.plan.steps if step.verb != "keep"]
    assert [step.what for step in changed] == [f"StatefulSet/{endpoint.external_name}"]
    paths = {field.path.rpartition(".")[2]: (field.before, field.after) for field in changed[0].fields}
    assert "args" in paths
    assert "4096" in paths["args"][0]
    assert "2048" in paths["args"][1]
    assert stateful_set(endpoint)["metadata"]["generation"] == 1, "a plan changes nothing"


def test_an_old_plan_is_refused_after_the_cluster_changed(cast: Cast, place: Cluster, profile: Profile) -> None:
    endpoint = deployed(cast, place, profile)
    before = services.plan_change(cast.actor("alice"), endpoint, replicas=2)
    services.require_unchanged(before.word, services.plan_change(cast.actor("alice"), endpoint, replicas=2))
    kube_for(place).merge_patch(STATEFUL_SET, services.specs.namespace_of(endpoint), endpoint.external_name,
                                {"spec": {"minReadySeconds": 5}})
    with pytest.raises(Stale):
        services.require_unchanged(before.word, services.plan_change(cast.actor("alice"), endpoint, replicas=2))


def test_what_a_wish_refuses_is_not_planned_either(cast: Cast, place: Cluster, profile: Profile) -> None:
    Profile.objects.filter(pk=profile.pk).update(places=["hosts"])
    with pytest.raises(Invalid, match="not made for places of this kind"):
        services.plan_creation(cast.actor("alice"), cast.alpha, **wish(cast, place, Profile.objects.get(pk=profile.pk)))
