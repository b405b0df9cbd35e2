"""Endpoints mount the copy that is there when a revision is made, and nothing restarts because a copy comes or goes."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from clusters.models import Cluster, KubernetesAccess
from endpoints import services
from endpoints.models import Endpoint
from endpoints.states import Cause
from models_catalog import services as catalogue
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, ModelCopy, Profile
from models_catalog.states import CopyMethod, CopyState
from portal.tenancy.errors import Conflict
from tests.cast import Cast
from tests.models_catalog.preheating.making import again, until, until_gone
from tests.simulators.kubernetes.server import Simulator

from .cluster_play import cluster_profile, gone, in_service, new_endpoint, pods, stateful_set
from .cluster_play import until as endpoint_until
from .conftest import CAPABILITIES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
def place(quick: Cluster) -> Cluster:
    KubernetesAccess.objects.filter(cluster=quick).update(capabilities={**CAPABILITIES, "dataset": {"found": True}})
    return quick


@pytest.fixture
def profile(cast: Cast) -> Profile:
    return cluster_profile(f"c{uuid.uuid4().hex[:10]}")


def loaded(cast: Cast, profile: Profile, place: Cluster, *, shared: bool) -> ModelCopy:
    workspace = None if shared else cast.alpha
    return until(catalogue.preheat(cast.actor("operator"), profile.artifact, place, workspace), CopyState.READY)


def template(sim: Simulator, endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = stateful_set(sim, endpoint)["spec"]["template"]["spec"]
    return found


def claims(spec: dict[str, Any]) -> list[str]:
    return [each["persistentVolumeClaim"]["claimName"] for each in spec["volumes"] if "persistentVolumeClaim" in each]


def test_an_endpoint_mounts_the_workspaces_own_copy(
    cast: Cast, place: Cluster, profile: Profile, quick_sim: Simulator,
) -> None:
    copy = loaded(cast, profile, place, shared=False)
    endpoint = in_service(new_endpoint(cast, place, "own", profile=profile))
    spec = template(quick_sim, endpoint)
    assert claims(spec) == [copy.claim]
    mount = next(each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "model")
    assert mount == {"name": "model", "mountPath": "/model", "readOnly": True, "subPath": "model"}
    assert spec["containers"][0]["args"][0] == "/model"


def test_an_endpoint_mounts_a_reference_to_the_shared_copy(
    cast: Cast, place: Cluster, profile: Profile, quick_sim: Simulator,
) -> None:
    shared = loaded(cast, profile, place, shared=True)
    endpoint = new_endpoint(cast, place, "by-reference", profile=profile)
    reference = until(ModelCopy.objects.get(shared=shared), CopyState.READY)
    assert (reference.method, reference.workspace) == (CopyMethod.REFERENCE, cast.alpha)
    endpoint = in_service(endpoint)
    assert claims(template(quick_sim, endpoint)) == [reference.claim]
    found = quick_sim.client().get("dataset.baizeai.io/v1alpha1", "datasets", reference.namespace, reference.name)
    assert found["spec"]["source"] == {"type": "REFERENCE", "uri": f"dataset://public/{shared.name}"}


def test_a_copy_that_endpoints_use_stays_and_names_them(cast: Cast, place: Cluster, profile: Profile) -> None:
    shared = loaded(cast, profile, place, shared=True)
    endpoint = new_endpoint(cast, place, "user", profile=profile)
    reference = until(ModelCopy.objects.get(shared=shared), CopyState.READY)
    for copy in (shared, reference):
        with pytest.raises(Conflict, match="alpha/user"):
            catalogue.remove_copy(cast.actor("operator"), again(copy))
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)
    catalogue.remove_copy(cast.actor("operator"), again(shared))
    until_gone(reference)
    until_gone(shared)


def test_a_copy_that_appears_restarts_nothing_until_somebody_updates(
    cast: Cast, place: Cluster, profile: Profile, quick_sim: Simulator,
) -> None:
    endpoint = in_service(new_endpoint(cast, place, "calm", profile=profile))
    before = {pod["metadata"]["uid"] for pod in pods(quick_sim, endpoint)}
    copy = loaded(cast, profile, place, shared=False)
    services.reconcile(endpoint.pk)
    assert {pod["metadata"]["uid"] for pod in pods(quick_sim, endpoint)} == before
    assert {step.verb for step in services.plan(endpoint).plan.steps} == {"keep"}
    planned = services.plan_change(cast.actor("alice"), endpoint, arguments={})
    assert any("/model" in str(field.after) for step in planned.plan.steps for field in step.fields)
    services.update(cast.actor("alice"), endpoint)
    endpoint = endpoint_until(endpoint, lambda row: row.serving == row.wanted and row.wanted.number == 2)
    assert claims(template(quick_sim, endpoint)) == [copy.claim]


def test_a_plan_makes_no_reference(cast: Cast, place: Cluster, profile: Profile) -> None:
    loaded(cast, profile, place, shared=True)
    services.plan_creation(cast.actor("alice"), cast.alpha, name="planned", cluster=place, profile=profile)
    assert not ModelCopy.objects.filter(method=CopyMethod.REFERENCE).exists()


def test_weights_that_no_engine_can_fetch_wait_for_their_copy(
    cast: Cast, place: Cluster, profile: Profile, quick_sim: Simulator,
) -> None:
    Artifact.objects.filter(pk=profile.artifact_id).update(kind=ArtifactKind.HTTP, location="https://models.example.org/small/")
    profile = Profile.objects.get(pk=profile.pk)
    endpoint = endpoint_until(new_endpoint(cast, place, "waits", profile=profile), lambda row: row.cause == Cause.NOT_LOADED)
    assert "preheat" in endpoint.message
    copy = loaded(cast, profile, place, shared=False)
    endpoint = in_service(endpoint)
    assert claims(template(quick_sim, endpoint)) == [copy.claim]


def test_an_artifact_that_moved_is_not_the_copy_any_more(cast: Cast, place: Cluster, profile: Profile) -> None:
    loaded(cast, profile, place, shared=False)
    Artifact.objects.filter(pk=profile.artifact_id).update(revision="d" * 40)
    endpoint = new_endpoint(cast, place, "moved", profile=Profile.objects.get(pk=profile.pk))
    assert "weights" not in endpoint.wanted.spec


def test_rolling_back_to_a_revision_whose_copy_is_gone_takes_what_is_there(
    cast: Cast, place: Cluster, profile: Profile, quick_sim: Simulator,
) -> None:
    copy = loaded(cast, profile, place, shared=False)
    endpoint = in_service(new_endpoint(cast, place, "back", profile=profile))
    other = cluster_profile(f"c{uuid.uuid4().hex[:10]}")
    services.update(cast.actor("alice"), endpoint, profile=other)
    endpoint = endpoint_until(endpoint, lambda row: row.serving == row.wanted and row.wanted.number == 2)
    catalogue.remove_copy(cast.actor("alice"), again(copy))
    until_gone(copy)
    services.roll_back(cast.actor("alice"), endpoint, 1)
    endpoint = endpoint_until(endpoint, lambda row: row.serving == row.wanted and row.wanted.number == 1)
    assert claims(template(quick_sim, endpoint)) == []
