"""The portal as the controller of VLLMCluster objects, against the simulated API over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from clusters.drivers.kinds import NAMESPACE, SCALED_OBJECT, VLLM_CLUSTER
from clusters.drivers.kube import Kube, KubeError, kube_for
from clusters.models import Cluster, KubernetesAccess
from endpoints import services
from endpoints.models import Endpoint, Event
from endpoints.services.specs import spec_of
from endpoints.services.vllmclusters import follow_all, follow_cluster
from endpoints.states import Status, Wish
from models_catalog.models import CatalogModel, Profile
from portal.tenancy.errors import Conflict
from portal.tenancy.rows import new_uid
from portal.tenancy.strict_yaml import load
from tests.cast import Cast, set_limit
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db
SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def catalogue(db: None) -> None:
    call_command("load_catalogue", verbosity=0)


@pytest.fixture
def place(cast: Cast, kube_sim: Simulator, catalogue: None) -> Cluster:
    return make_kubernetes_place(kube_sim, imports_to=cast.alpha, capabilities={"keda": {"found": True}})


@pytest.fixture
def kube(place: Cluster) -> Kube:
    return kube_for(place)


@pytest.fixture
def team(kube: Kube) -> str:
    """A namespace of the cluster's own users, for this test; its objects go with the test."""
    name = f"team-{new_uid().hex[-8:]}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    for one in kube.list(VLLM_CLUSTER, dict, namespace=name).items:
        kube.delete(VLLM_CLUSTER, name, one["metadata"]["name"])
    kube.delete(NAMESPACE, "", name)


def sample(which: str, namespace: str, **spec: Any) -> dict[str, Any]:
    manifest: dict[str, Any] = load((SAMPLES / f"vllmcluster-{which}.yaml").read_text())
    manifest["metadata"]["namespace"] = namespace
    manifest["spec"] |= spec
    return manifest


def look(kube: Kube, manifest: dict[str, Any]) -> dict[str, Any]:
    return kube.get(VLLM_CLUSTER, manifest["metadata"]["namespace"], manifest["metadata"]["name"]) or {}


def condition(kube: Kube, manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    found = look(kube, manifest).get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})


def test_both_samples_become_endpoints_of_their_owner(place: Cluster, kube: Kube, team: str, cast: Cast) -> None:
    basic, advanced = kube.create(sample("basic", team)), kube.create(sample("advanced", team))
    assert follow_cluster(place) == 2
    one, two = Endpoint.objects.get(name="my-vllm-cluster"), Endpoint.objects.get(name="advanced-vllm-cluster")
    assert (one.workspace, one.cluster, one.created_by) == (cast.alpha, place, None)
    assert str(one.origin_uid) == basic["metadata"]["uid"]
    spec = spec_of(one)
    assert (spec.namespace, spec.object_name, spec.origin.uid) == (team, "my-vllm-cluster", basic["metadata"]["uid"])
    assert (spec.wanted.device, spec.wanted.arguments["max-model-len"], spec.wanted.weights_bytes) == ("cpu", 1024, 862_955_157)
    assert "vllm-cpu" in spec.wanted.image
    spec = spec_of(two)
    assert (spec.wanted.resources.gpus, spec.wanted.arguments["tensor-parallel-size"], spec.replicas) == (2, 2, 2)
    assert (spec.autoscale.min_replicas, spec.autoscale.max_replicas) == (1, 5)
    assert spec.wanted.placement.node_selector == {"accelerator": "nvidia-tesla-v100"}
    for words in ("vllm_request_queue_size", "awq", "gated", "10 GPUs"):
        assert any(words in note for note in two.notes), words
    for model in CatalogModel.objects.filter(workspace=cast.alpha):
        assert model.context_tokens in (1024, 4096)  # as the shared ones, but seen by this workspace only
    assert condition(kube, advanced, "Adjusted")["message"] == " ".join(two.notes)
    assert look(kube, basic)["status"]["phase"] == "Pending"


def test_a_second_look_changes_nothing(place: Cluster, kube: Kube, team: str) -> None:
    manifest = kube.create(sample("basic", team))
    follow_cluster(place)
    version, row = look(kube, manifest)["metadata"]["resourceVersion"], Endpoint.objects.get()
    profile = Profile.objects.get(model__workspace__slug="alpha")
    follow_cluster(place)
    again = Endpoint.objects.get()
    assert look(kube, manifest)["metadata"]["resourceVersion"] == version
    assert (again.generation, again.updated_at) == (row.generation, row.updated_at)
    assert Profile.objects.get(pk=profile.pk).updated_at == profile.updated_at


def test_the_status_follows_what_was_seen(place: Cluster, kube: Kube, team: str) -> None:
    manifest = kube.create(sample("basic", team))
    follow_cluster(place)
    Endpoint.objects.update(status=Status.INSERVICE, ready_replicas=1)
    follow_cluster(place)
    status = look(kube, manifest)["status"]
    assert (status["phase"], status["readyReplicas"], status["replicas"], status["observedGeneration"]) == ("Ready", 1, 1, 1)
    assert condition(kube, manifest, "Ready")["status"] == "True"


def test_a_changed_object_is_followed(place: Cluster, kube: Kube, team: str) -> None:
    manifest = kube.create(sample("basic", team))
    follow_cluster(place)
    namespace, name = team, manifest["metadata"]["name"]
    kube.merge_patch(VLLM_CLUSTER, namespace, name, {"spec": {"model": {"maxModelLength": 512}}})
    follow_cluster(place)
    row = Endpoint.objects.get()
    assert (row.wanted.number, row.wanted.spec["arguments"]["max-model-len"], row.origin_generation) == (2, 512, 2)
    assert look(kube, manifest)["status"]["observedGeneration"] == 2
    kube.merge_patch(VLLM_CLUSTER, namespace, name, {"spec": {"model": {"modelPath": "Qwen/Qwen3-0.6B"}}})
    follow_cluster(place)
    row.refresh_from_db()
    assert (row.wanted.number, row.wanted.spec["artifact"]["location"]) == (3, "Qwen/Qwen3-0.6B")


def test_keda_can_scale_the_object_itself(place: Cluster, kube: Kube, team: str) -> None:
    manifest = kube.create(sample("basic", team))
    follow_cluster(place)
    kube.merge_patch(VLLM_CLUSTER, team, manifest["metadata"]["name"], {"spec": {"replicas": 3}}, subresource="scale")
    follow_cluster(place)
    row = Endpoint.objects.get()
    assert (row.replicas, row.wanted.number) == (3, 1)
    kube.merge_patch(VLLM_CLUSTER, team, manifest["metadata"]["name"], {"spec": {"replicas": 0}}, subresource="scale")
    follow_cluster(place)
    assert Endpoint.objects.get().replicas == 0
    assert look(kube, manifest)["status"]["selector"] == "app=vllm-cluster,cluster=my-vllm-cluster"


def test_two_autoscalers_never_fight_over_one_number(place: Cluster, kube: Kube, team: str) -> None:
    manifest = kube.create(sample("advanced", team))
    follow_cluster(place)
    assert Endpoint.objects.get().autoscale
    kube.create({
        "apiVersion": SCALED_OBJECT.api_version, "kind": SCALED_OBJECT.kind,
        "metadata": {"name": "vllm-cluster-scaler", "namespace": team},
        "spec": {"scaleTargetRef": {"apiVersion": VLLM_CLUSTER.api_version, "kind": VLLM_CLUSTER.kind,
                                    "name": manifest["metadata"]["name"]},
                 "triggers": [{"type": "cpu", "metadata": {"value": "80"}}]}})
    follow_cluster(place)
    row = Endpoint.objects.get()
    assert row.autoscale == {}
    assert any("two would fight" in note for note in row.notes)
    kube.delete(SCALED_OBJECT, team, "vllm-cluster-scaler")
    follow_cluster(place)
    assert Endpoint.objects.get().autoscale["max_replicas"] == 5


def test_an_object_that_can_not_be_followed_says_why(place: Cluster, kube: Kube, team: str) -> None:
    manifest = kube.create(sample("basic", team, model={"modelPath": "/models/x"}))
    follow_cluster(place)
    assert not Endpoint.objects.exists()
    assert look(kube, manifest)["status"]["phase"] == "Failed"
    assert "pvc://claim/folder" in condition(kube, manifest, "Accepted")["message"]
    kube.merge_patch(VLLM_CLUSTER, team, manifest["metadata"]["name"], {"spec": {"model": {"modelPath": "Qwen/Qwen3-0.6B"}}})
    follow_cluster(place)
    assert Endpoint.objects.get().wanted.spec["artifact"]["location"] == "Qwen/Qwen3-0.6B"
    assert condition(kube, manifest, "Accepted")["status"] == "True"


def test_a_change_that_can_not_be_followed_leaves_the_endpoint_as_it_was(
    place: Cluster, kube: Kube, team: str, cast: Cast,
) -> None:
    manifest = kube.create(sample("basic", team))
    follow_cluster(place)
    Endpoint.objects.update(status=Status.INSERVICE, ready_replicas=1)
    set_limit(cast.alpha, replicas=2)
    kube.merge_patch(VLLM_CLUSTER, team, manifest["metadata"]["name"], {"spec": {"replicas": 9}})
    follow_cluster(place)
    assert Endpoint.objects.get().replicas == 1
    assert "9 of 2" in condition(kube, manifest, "Accepted")["message"]
    assert look(kube, manifest)["status"]["phase"] == "Ready"


def test_objects_in_the_namespaces_of_the_cluster_and_of_other_workspaces_are_left_alone(place: Cluster, kube: Kube) -> None:
    for namespace in ("kube-system", f"ip-beta-{new_uid().hex[-8:]}"):
        if namespace.startswith("ip-"):
            kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        manifest = kube.create(sample("basic", namespace))
        follow_cluster(place)
        assert not Endpoint.objects.exists()
        assert namespace in condition(kube, manifest, "Accepted")["message"]
        kube.delete(VLLM_CLUSTER, namespace, manifest["metadata"]["name"])


def test_a_deleted_object_takes_its_endpoint_along_in_the_second_look(place: Cluster, kube: Kube, team: str) -> None:
    manifest = kube.create(sample("basic", team))
    follow_cluster(place)
    kube.delete(VLLM_CLUSTER, team, manifest["metadata"]["name"])
    follow_cluster(place)
    assert Endpoint.objects.get().wish == Wish.RUNNING
    follow_cluster(place)
    assert Endpoint.objects.get().wish == Wish.DELETED


def test_a_listing_that_lacks_an_object_that_is_there_deletes_nothing(
    place: Cluster, kube: Kube, team: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    kube.create(sample("basic", team))
    follow_cluster(place)
    whole = Kube.list

    def empty(self: Kube, kind: Any, type_: Any, **values: Any) -> Any:
        found = whole(self, kind, type_, **values)
        return type(found)([], found.version) if kind == VLLM_CLUSTER else found

    monkeypatch.setattr(Kube, "list", empty)
    for _look in range(3):
        follow_cluster(place)
    row = Endpoint.objects.get()
    assert (row.wish, row.origin_missing_at) == (Wish.RUNNING, None)


def test_a_failed_listing_deletes_nothing(place: Cluster, kube: Kube, team: str) -> None:
    kube.create(sample("basic", team))
    follow_cluster(place)
    access = KubernetesAccess.objects.get(cluster=place)
    access.server = "https://127.0.0.1:1"
    access.put_secret("token", "x")
    access.save()
    for _look in range(3):
        with pytest.raises(KubeError):
            follow_cluster(place)
    assert Endpoint.objects.get().wish == Wish.RUNNING


def test_an_object_made_anew_waits_for_its_predecessor(place: Cluster, kube: Kube, team: str) -> None:
    first = kube.create(sample("basic", team))
    follow_cluster(place)
    kube.delete(VLLM_CLUSTER, team, first["metadata"]["name"])
    second = kube.create(sample("basic", team))
    follow_cluster(place)
    follow_cluster(place)
    assert "still being deleted" in condition(kube, second, "Accepted")["message"]
    Endpoint.objects.all().update(wanted=None)
    Endpoint.objects.all().delete()
    follow_cluster(place)
    assert str(Endpoint.objects.get().origin_uid) == second["metadata"]["uid"]


def test_the_same_name_in_two_namespaces_is_two_endpoints(place: Cluster, kube: Kube, team: str) -> None:
    other = f"{team}-b"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    kube.create(sample("basic", team))
    manifest = kube.create(sample("basic", other))
    follow_cluster(place)
    assert set(Endpoint.objects.values_list("name", flat=True)) in (
        {"my-vllm-cluster", f"{other}-my-vllm-cluster"}, {"my-vllm-cluster", f"{team}-my-vllm-cluster"})
    kube.delete(VLLM_CLUSTER, other, manifest["metadata"]["name"])


def test_people_are_told_whose_it_is(place: Cluster, kube: Kube, team: str, cast: Cast) -> None:
    kube.create(sample("basic", team))
    follow_cluster(place)
    with pytest.raises(Conflict, match=f"VLLMCluster {team}/my-vllm-cluster of kube"):
        services.stop(cast.actor("alice"), Endpoint.objects.get())
    assert Event.objects.filter(kind="wish").first().actor_label == "portal"


def test_only_clusters_that_are_followed_are_asked(place: Cluster, kube: Kube, team: str) -> None:
    kube.create(sample("basic", team))
    assert follow_all() == 1
    KubernetesAccess.objects.update(imports_to=None)
    assert follow_all() == 0
    assert follow_cluster(place) == 0
    assert not Endpoint.objects.exists()
