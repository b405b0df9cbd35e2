"""The pages for engine options, autoscaling, import and export."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from models_catalog.models import EngineRelease
from tests.cast import Cast, make_cluster
from tests.endpoints.test_vllmcluster_read import SAMPLES
from tests.portal.conftest import signed_in
from tests.portal.world import World, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.fixture
def row(world: World) -> Endpoint:
    """Ours, on a cluster that nobody answers for."""
    Cluster.objects.filter(pk=world.ours.cluster_id).update(kind=ClusterKind.KUBERNETES)
    return Endpoint.objects.get(pk=world.ours.pk)


def address(name: str, *args: Any) -> str:
    return reverse(f"admin:endpoints_endpoint_{name}", args=args)


def autoscale(client: Client, row: Endpoint, **values: Any) -> Any:
    """The action's form, sent and confirmed."""
    page = address("autoscale", row.pk)
    data = {"confirm_token": "t1", "min_replicas": 1, "max_replicas": 3, "polling_seconds": 30, "cooldown_seconds": 300,
            "stabilisation_up_seconds": 0, "stabilisation_down_seconds": 300, "preview_word": "-", **values}
    return client.post(page, data, follow=True)


QUEUE = {"triggers__0__type": "prometheus", "triggers__0__prometheus__signal": "waiting",
         "triggers__0__prometheus__threshold": "5", "triggers__0__prometheus__serverAddress": "http://prometheus:9090"}


def test_the_form_has_every_trigger_with_its_own_fields(operator: Client, row: Endpoint) -> None:
    page = operator.get(address("autoscale", row.pk)).content.decode()
    for words in ('data-type="kafka"', 'name="triggers__0__redis__listName"', "waiting requests (waiting)",
                  'name="triggers__3__type"', "TriggerAuthentication", "highest wish wins"):
        assert words in page, words


def test_a_wish_is_checked_kept_and_shown(operator: Client, row: Endpoint) -> None:
    refused = autoscale(operator, row, **QUEUE | {"triggers__0__prometheus__threshold": "many"}).content.decode()
    assert "takes a number" in refused
    autoscale(operator, row, **QUEUE, confirm_token="t2")
    row.refresh_from_db()
    assert (row.autoscale["max_replicas"], row.autoscale["triggers"][0]["metadata"]["signal"]) == (3, "waiting")
    page = operator.get(address("change", row.pk)).content.decode()
    assert "KEDA keeps between 1 and 3 replicas." in page
    assert "waiting requests above 5 for each replica" in page
    again = operator.get(address("autoscale", row.pk)).content.decode()
    assert 'name="triggers__0__prometheus__threshold" value="5"' in again
    autoscale(operator, row, confirm_token="t3")
    row.refresh_from_db()
    assert row.autoscale == {}


def test_the_page_says_whose_object_it_is_and_what_was_understood_otherwise(operator: Client, row: Endpoint) -> None:
    row.origin = {"kind": "VLLMCluster", "api_version": "x/v1", "namespace": "team", "name": "my-llm", "uid": str(row.uid)}
    row.notes = ["awq was left out <script>."]
    row.save()
    KubernetesAccess.objects.create(cluster=row.cluster, imports_to=row.workspace)
    page = operator.get(address("change", row.pk)).content.decode()
    for words in ("Owned by the cluster", "VLLMCluster team/my-llm", "awq was left out &lt;script&gt;"):
        assert words in page
    assert "change or delete that object" in autoscale(operator, row, **QUEUE).content.decode()


@pytest.mark.parametrize("form", ["vllmcluster", "manifests", "helm"])
def test_an_endpoint_leaves_as_a_file_or_says_why_not(operator: Client, row: Endpoint, form: str) -> None:
    answer = operator.get(address("export", row.pk, form), follow=True)
    assert answer["Content-Type"].startswith("text/html")  # a folder of a host can't go, and the page says so
    artifact = row.wanted.spec["artifact"]
    row.wanted.spec |= {"image": "registry.example/vllm:v1", "artifact": {**artifact, "kind": "huggingface", "location": "a/b"}}
    row.wanted.save()
    Cluster.objects.update(kind=ClusterKind.HOSTS)
    answer = operator.get(address("export", row.pk, form))
    assert answer["Content-Type"].startswith("application/yaml")
    assert "a/b" in answer.content.decode()
    assert operator.get(address("export", row.pk, "nothing")).status_code == 404


def test_a_neighbours_endpoint_has_no_export(world: World, staff: Any) -> None:
    neighbour = signed_in(staff("nora", world.cast.beta, "view_endpoint"))
    assert neighbour.get(address("export", world.theirs.pk, "helm"), follow=True).status_code == 200
    assert neighbour.get(address("export", world.ours.pk, "helm")).status_code == 404


def test_a_vllmcluster_is_handed_in_as_text_or_file(operator: Client, world: World) -> None:
    EngineRelease.objects.filter(device="cpu").update(image="registry.example/vllm-cpu:v1")
    place = make_cluster("kube", kind=ClusterKind.KUBERNETES)
    page = address("import_page")
    assert "Import YAML" in operator.get(address("changelist")).content.decode()
    said = {"workspace": world.cast.alpha.pk, "place": place.pk, "name": "handed-in"}
    refused = operator.post(page, {**said, "yaml": "kind: Pod"})
    assert "no VLLMCluster" in refused.content.decode()
    assert "Paste a VLLMCluster" in operator.post(page, said).content.decode()
    file = SimpleUploadedFile("x.yaml", (SAMPLES / "vllmcluster-basic.yaml").read_bytes())
    answer = operator.post(page, {**said, "file": file}, follow=True)
    made = Endpoint.objects.get(name="handed-in")
    assert (made.wanted.spec["artifact"]["location"], made.wish) == ("microsoft/DialoGPT-medium", "stopped")
    assert "CPU release" in answer.content.decode()


def test_engine_options_are_fields_on_add_change_and_update(operator: Client, world: World) -> None:
    for page in (address("add"), address("change", world.ours.pk), address("update", world.ours.pk)):
        shown = operator.get(page).content.decode()
        for words in ('name="arguments__max-model-len"', 'name="arguments__dtype"', "choose a profile with a CPU release"):
            assert words in shown, (page, words)


def test_options_typed_into_fields_reach_the_revision(operator: Client, world: World) -> None:
    row = world.ours
    operator.post(address("change", row.pk), {
        "profile": row.wanted.profile_id, "replicas": row.replicas, "arguments": "", "arguments__max-model-len": "512",
        "arguments__enforce-eager": "true", "note": "", "read_generation": row.generation})
    row.refresh_from_db()
    assert row.wanted.spec["arguments"] == {"enforce-eager": True, "max-model-len": 512}
    page = operator.post(address("change", row.pk), {
        "profile": row.wanted.profile_id, "replicas": row.replicas, "arguments": '{"--device": "cpu"}', "note": "",
        "arguments__max-model-len": "512", "read_generation": row.generation}).content.decode()
    assert "any more" in page
    assert 'value="512"' in page
