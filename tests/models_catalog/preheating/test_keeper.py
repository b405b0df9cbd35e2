"""A copy's life on a simulated cluster: real services, keeper and driver over HTTPS; only the cluster is played."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest
import yaml

from clusters import rbac
from clusters.drivers import kube
from clusters.models import Cluster, KubernetesAccess
from clusters.namespaces import COPY_UID, workspace_namespace
from models_catalog import services
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, ModelCopy
from models_catalog.preheating.judge import Verdict
from models_catalog.services.copy_write import write
from models_catalog.states import CopyCause, CopyState
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_release
from tests.clusters.test_connect import PLURALS
from tests.models_catalog.preheating.making import again, look, make_artifact, make_place, until, until_gone
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
DATASETS = "dataset.baizeai.io/v1alpha1", "datasets"


@pytest.fixture
def place(cast: Cast, kube_sim: Simulator) -> Cluster:
    return make_place(kube_sim, "kube", "dataset")


@pytest.fixture
def artifact(db: None) -> Artifact:
    """Of a name of its own, since tests share the cluster."""
    return make_artifact(f"m{uuid.uuid4().hex[:10]}")


def dataset_of(sim: Simulator, copy: ModelCopy) -> dict[str, Any]:
    found: dict[str, Any] = sim.client().get(*DATASETS, copy.namespace, copy.name)
    return found


def left_over(sim: Simulator, copy: ModelCopy) -> list[str]:
    """Every object that still carries the copy's label."""
    kinds = (DATASETS, ("batch/v1", "jobs"), ("v1", "persistentvolumeclaims"), ("v1", "secrets"), ("v1", "serviceaccounts"),
             ("networking.k8s.io/v1", "networkpolicies"))
    return [f"{plural}/{each['metadata']['name']}" for version, plural in kinds
            for each in sim.client().list(version, plural, labelSelector=f"{COPY_UID}={copy.uid}")]


def test_a_shared_copy_becomes_a_dataset_as_the_hydra_guide_writes_it(
    cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator,
) -> None:
    copy = until(services.preheat(cast.actor("operator"), artifact, place), CopyState.READY)
    found = dataset_of(kube_sim, copy)
    assert (copy.namespace, copy.name, copy.claim) == ("public", artifact.model.slug, artifact.model.slug)
    assert found["metadata"]["labels"]["hydra.io/model-id"] == artifact.model.slug
    assert (found["spec"]["share"], found["spec"]["source"]["type"]) == (True, "HUGGING_FACE")
    claim = kube_sim.client().get("v1", "persistentvolumeclaims", "public", copy.claim)
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi", "1 GiB of weights, a fifth and 1 GiB of room"
    assert (copy.loaded_round, copy.bytes_done, copy.bytes_total) == (1, GIB, GIB)


def test_a_workspaces_copy_is_loaded_by_a_job_of_ours(
    cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator,
) -> None:
    copy = until(services.preheat(cast.actor("bob"), artifact, place, cast.alpha), CopyState.READY)
    job = kube_sim.client().get("batch/v1", "jobs", copy.namespace, f"{copy.name}-r1")
    pod = job["spec"]["template"]["spec"]
    assert copy.namespace == workspace_namespace(cast.alpha)
    assert (pod["automountServiceAccountToken"], pod["securityContext"]["runAsNonRoot"]) == (False, True)
    assert pod["containers"][0]["args"] == ["huggingface", "org/small", "", "/data/model"]
    assert copy.weights == {"claim": copy.claim, "folder": "model"}
    kube_sim.client().delete("batch/v1", "jobs", copy.namespace, f"{copy.name}-r1")
    look(copy)
    assert again(copy).state == CopyState.READY, "what is loaded stays loaded when its Job is cleaned up"


@pytest.mark.parametrize(("workspace", "log", "done", "total"), [
    (False, "model.safetensors:  45%|####      | 676M/1.50G [00:30<00:36, 22.5MB/s]", 676_000_000, 1_500_000_000),
    (True, "progress 1024 4096", 1024, 4096),
])
def test_bytes_are_counted_while_it_loads(
    cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator, workspace: bool, log: str, done: int, total: int,
) -> None:
    rule = kube_sim.pods_fail(name=f"*{artifact.model.slug}*", as_="notready", log=log)
    copy = services.preheat(cast.actor("operator"), artifact, place, cast.alpha if workspace else None)
    row = until(copy, lambda row: row.bytes_done == done and row.state == CopyState.LOADING)
    assert row.bytes_total == total
    rule.remove()
    assert until(copy, CopyState.READY).bytes_done == total


@pytest.mark.parametrize("workspace", [False, True])
def test_a_loader_that_fails_says_why_and_can_be_tried_again(
    cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator, workspace: bool,
) -> None:
    rule = kube_sim.pods_fail(name=f"*{artifact.model.slug}*", as_="fail:1", log="failed: GatedRepoError: ask for access")
    copy = services.preheat(cast.actor("operator"), artifact, place, cast.alpha if workspace else None)
    if workspace:  # five tries, with minutes between them
        until(copy, lambda row: row.state == CopyState.LOADING)
        patch = {"spec": {"backoffLimit": 0}}
        kube_sim.client().patch("batch/v1", "jobs", copy.namespace, f"{copy.name}-r1", patch)
    failed = until(copy, CopyState.FAILED)
    assert (failed.cause, failed.loaded_round) == (CopyCause.LOADER, 0)
    assert "ask for access" in failed.message
    look(copy)
    assert again(copy).message == failed.message
    rule.remove()
    services.retry_copy(cast.actor("operator"), failed)
    ready = until(copy, CopyState.READY)
    assert (ready.round, ready.loaded_round, ready.message) == (2, 2, "")


def test_a_ready_copy_can_be_loaded_once_more(cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator) -> None:
    copy = until(services.preheat(cast.actor("operator"), artifact, place), CopyState.READY)
    services.retry_copy(cast.actor("operator"), copy)
    assert until(copy, lambda row: row.loaded_round == 2).state == CopyState.READY
    assert dataset_of(kube_sim, copy)["spec"]["dataSyncRound"] == 2


def test_a_private_image_is_pulled_with_its_login(cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator) -> None:
    release = make_release()
    release.registry_user = "robot"
    release.put_secret("registry_password", "very-secret")
    release.save()
    copy = until(services.preheat(cast.actor("alice"), artifact, place, cast.alpha), CopyState.READY)
    pod = kube_sim.client().get("batch/v1", "jobs", copy.namespace, f"{copy.name}-r1")["spec"]["template"]["spec"]
    secret = kube_sim.client().get("v1", "secrets", copy.namespace, pod["imagePullSecrets"][0]["name"])
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert b"robot" in base64.b64decode(secret["data"][".dockerconfigjson"])
    services.remove_copy(cast.actor("alice"), copy)
    until_gone(copy)
    assert left_over(kube_sim, copy) == []


@pytest.mark.parametrize("workspace", [False, True])
def test_removing_leaves_nothing_behind(
    cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator, workspace: bool,
) -> None:
    artifact.put_secret("token", "hf_secret")
    artifact.save()
    copy = until(services.preheat(cast.actor("operator"), artifact, place, cast.alpha if workspace else None), CopyState.READY)
    assert any(each.startswith("secrets/") for each in left_over(kube_sim, copy))
    services.remove_copy(cast.actor("operator"), copy)
    until_gone(copy)
    assert left_over(kube_sim, copy) == []
    assert AuditEntry.objects.filter(verb="removed", object_uid=str(copy.uid)).exists()


def test_somebody_elses_dataset_is_left_alone(cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator) -> None:
    client = kube_sim.client()
    services.look_at_copies(place.pk)
    other = make_artifact(f"{artifact.model.slug}-first")
    until(services.preheat(cast.actor("operator"), other, place), CopyState.READY)  # so that the namespace is there
    spec = {"source": {"type": "HTTP", "uri": "http://example.com:81/model/"}, "volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}}}
    client.apply("datasets", {"apiVersion": DATASETS[0], "kind": "Dataset", "spec": spec,
                              "metadata": {"name": artifact.model.slug, "namespace": "public"}})
    copy = until(services.preheat(cast.actor("operator"), artifact, place), CopyState.FAILED)
    assert copy.cause == CopyCause.NAME_TAKEN
    assert "left alone" in copy.message
    services.remove_copy(cast.actor("operator"), copy)
    until_gone(copy)
    assert client.get(*DATASETS, "public", artifact.model.slug)["spec"]["source"]["uri"].endswith("/model/")


def test_a_cluster_that_can_not_be_asked_says_nothing_of_its_copies(
    cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator,
) -> None:
    copy = until(services.preheat(cast.actor("operator"), artifact, place), CopyState.READY)
    fault = kube_sim.fault("GET", "*", status=500)
    look(copy)
    fault.remove()
    after = again(copy)
    assert (after.state, after.message, after.seen_at) == (CopyState.READY, "", copy.seen_at)
    assert after.attempts == 1


def test_one_look_is_three_lists_however_many_copies_there_are(
    cast: Cast, place: Cluster, kube_sim: Simulator,
) -> None:
    copies = [services.preheat(cast.actor("operator"), make_artifact(f"n{uuid.uuid4().hex[:10]}"), place) for _n in range(3)]
    for copy in copies:
        until(copy, CopyState.READY)
    before = len(kube_sim.requests)
    look(copies[0])
    asked = [f"{each.method} {each.path}" for each in kube_sim.requests[before:]]
    assert sorted(asked) == [
        "GET /api/v1/persistentvolumeclaims", "GET /apis/batch/v1/jobs", "GET /apis/dataset.baizeai.io/v1alpha1/datasets"]


def test_a_wish_during_a_look_is_not_overwritten(cast: Cast, place: Cluster, artifact: Artifact) -> None:
    copy = until(services.preheat(cast.actor("operator"), artifact, place), CopyState.READY)
    stale = again(copy)
    services.remove_copy(cast.actor("operator"), copy)
    assert not write(stale, Verdict(CopyState.READY))
    assert again(copy).state == CopyState.REMOVING


def test_a_volume_that_is_gone_is_a_failure(cast: Cast, place: Cluster, artifact: Artifact, kube_sim: Simulator) -> None:
    copy = until(services.preheat(cast.actor("alice"), artifact, place, cast.alpha), CopyState.READY)
    kube_sim.client().delete("v1", "persistentvolumeclaims", copy.namespace, copy.claim)
    assert until(copy, CopyState.FAILED).cause == CopyCause.GONE
    services.retry_copy(cast.actor("alice"), again(copy))
    assert until(copy, CopyState.READY).loaded_round == 2


def test_an_address_that_needs_another_port_gets_a_policy(cast: Cast, place: Cluster, kube_sim: Simulator) -> None:
    artifact = make_artifact(f"p{uuid.uuid4().hex[:10]}", ArtifactKind.HTTP, "https://models.example.org:8443/small.tar")
    copy = until(services.preheat(cast.actor("alice"), artifact, place, cast.alpha), CopyState.READY)
    policy = kube_sim.client().get("networking.k8s.io/v1", "networkpolicies", copy.namespace, copy.name)
    assert policy["spec"]["egress"][0]["ports"] == [{"port": 8443, "protocol": "TCP"}]


def test_the_least_rights_are_enough(cast: Cast, artifact: Artifact, kube_sim: Simulator) -> None:
    for manifest in yaml.safe_load_all(rbac.manifest()):
        kube_sim.client().apply(PLURALS[manifest["kind"]], manifest)
    place = make_place(kube_sim, "narrow", "dataset")
    access = KubernetesAccess.objects.get(cluster=place)
    access.put_secret("token", kube_sim.token_for(rbac.HOME, rbac.ACCOUNT))
    access.save()
    kube.forget(place)
    for workspace in (None, cast.alpha):
        copy = until(services.preheat(cast.actor("operator"), artifact, place, workspace), CopyState.READY)
        services.remove_copy(cast.actor("operator"), copy)
        until_gone(copy)
