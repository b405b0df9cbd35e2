"""The model hub's door: document 000's own form and record, its words, its shapes of refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpResponse

from clusters.models import AwsAccount, AwsPlace, Cluster, KubernetesAccess, Node
from clusters.states import ClusterKind, Through
from endpoints.hub.words import ENDPOINT, cluster_word
from endpoints.models import Endpoint
from endpoints.states import Status
from models_catalog.choices import ArtifactKind
from models_catalog.models import CatalogModel, Profile
from portal.tenancy.roles import Scope
from tests.cast import Cast
from tests.portal.apiclient import Api, by_key

SEED = Path(__file__).parents[2].parent / "shared" / "seeds" / "000_2026d78ce41f8dff.txt"
ARN = "arn:aws:sagemaker:us-west-2:123456789012:cluster/abc123def456"
FORM: dict[str, Any] = {
    "deployment_target": "hyperpod", "hyperpod_cluster_id": "cluster-xxx",
    "hyperpod_config": {"replicas": 1, "namespace": "default"}, "model_name": "meta-llama/Llama-3-8B",
    "instance_type": "ml.g5.xlarge", "engine": "vllm", "extra_params": {"s3_model_path": "s3://bucket/model"},
    "job_id": "N/A(Not finetuned)",
}


@pytest.fixture
def hyperpod(cast: Cast) -> Cluster:
    """The cluster that the document calls cluster-xxx."""
    call_command("load_catalogue", verbosity=0)
    account = AwsAccount.objects.create(name="aws", region="us-west-2")
    place = Cluster.objects.create(name="cluster-xxx", kind=ClusterKind.HYPERPOD)
    AwsPlace.objects.create(cluster=place, account=account, region="us-west-2", hyperpod_arn=ARN, hyperpod_name="my-cluster",
                            eks_name="my-cluster-eks", status="InService", instance_groups=[{"InstanceGroupName": "gpus"}])
    Node.objects.create(cluster=place, name="hyperpod-i-0123", instance_id="i-0123", instance_group="gpus",
                        instance_status="Running", labels={"node.kubernetes.io/instance-type": "ml.g5.xlarge"})
    return place


@pytest.fixture
def api(cast: Cast, hyperpod: Cluster) -> Api:
    """A key of the workspace's owner, with all that she may."""
    return by_key(cast.alice, cast.alpha)


def post(api: Api, call: str, data: Any = None, **headers: str) -> Any:
    response = api.post(f"/v1/{call}", {} if data is None else data, **headers)
    assert response.status_code == 200, response.content
    return json.loads(response.content)


def deploy(api: Api, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = post(api, "deploy_endpoint", {**FORM, **changes})["response"]
    return answer


def form_of_the_document() -> dict[str, Any]:
    """The JavaScript object of section 1 as JSON."""
    text = re.search(r"const formData = (\{.*?\n\})", SEED.read_text(), re.DOTALL)
    assert text is not None
    quoted = re.sub(r"([{,]\s*)([a-z0-9_]+):", r'\1"\2":', text[1].replace("'", '"'))
    found: dict[str, Any] = json.loads(quoted)
    return found


@pytest.mark.skipif(not SEED.is_file(), reason="the seed documents are not beside this checkout")
def test_the_documents_form_data_is_taken_literally(api: Api) -> None:
    assert form_of_the_document() == FORM
    answer = post(api, "deploy_endpoint", form_of_the_document())
    assert set(answer) == {"response_id", "response"}
    assert answer["response"] == {"result": True, "endpoint_name": "llama-3-8b-vllm-hp"}


def test_a_deploy_call_becomes_an_endpoint_with_the_weights_machine_and_engine_that_it_names(api: Api) -> None:
    assert deploy(api)["result"] is True
    row = Endpoint.objects.select_related("wanted__profile__model").get()
    assert row.wanted is not None
    spec = row.wanted.spec
    assert spec["artifact"] == {"kind": "s3", "location": "s3://bucket/model", "revision": ""}
    assert (spec["engine"], spec["options"]["instanceType"], spec["resources"]["gpus"]) == ("vllm", "ml.g5.xlarge", 1)
    assert row.wanted.profile.model.workspace == row.workspace
    assert row.status == Status.PENDING


def test_the_record_of_section_7_is_what_the_list_shows(api: Api, hyperpod: Cluster) -> None:
    deploy(api)
    answer = post(api, "list_endpoints")
    assert answer["total_count"] == 1
    [row] = answer["endpoints"]
    shown = {key: row[key] for key in ("endpoint_name", "model_name", "engine", "instance_type", "endpoint_status",
                                       "deployment_target", "hyperpod_cluster_id", "job_id", "model_s3_path")}
    assert shown == {
        "endpoint_name": "llama-3-8b-vllm-hp", "model_name": "meta-llama/Llama-3-8B", "engine": "vllm",
        "instance_type": "ml.g5.xlarge", "endpoint_status": "CREATING", "deployment_target": "hyperpod",
        "hyperpod_cluster_id": str(hyperpod.uid), "job_id": "N/A(Not finetuned)", "model_s3_path": "s3://bucket/model"}
    extra = json.loads(row["extra_config"])
    assert extra | {"namespace": ""} == {"hyperpod_cluster_id": str(hyperpod.uid), "eks_cluster_name": "my-cluster-eks",
                                         "namespace": "", "replicas": 1}
    assert extra["namespace"]


def test_a_missing_cluster_id_is_its_clear_error(api: Api) -> None:
    for missing in (None, ""):
        answer = deploy(api, hyperpod_cluster_id=missing)
        assert answer["result"] is False
        assert "hyperpod_cluster_id is required" in answer["endpoint_name"]
        assert answer["field"] == "hyperpod_cluster_id"
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize("how", ["uid", "arn", "arn end", "AWS name", "place"])
def test_a_cluster_is_named_by_any_of_its_names(api: Api, hyperpod: Cluster, how: str) -> None:
    names = {"uid": str(hyperpod.uid), "arn": ARN, "arn end": "abc123def456", "AWS name": "my-cluster", "place": "cluster-xxx"}
    assert deploy(api, hyperpod_cluster_id=names[how])["result"] is True


def test_a_neighbours_cluster_looks_like_a_missing_one(cast: Cast, hyperpod: Cluster) -> None:
    Cluster.objects.filter(pk=hyperpod.pk).update(workspace=cast.beta)
    api = by_key(cast.alice, cast.alpha)
    there, nowhere = deploy(api), deploy(api, hyperpod_cluster_id="nowhere")
    assert there == nowhere
    assert post(api, "list_clusters")["clusters"] == []
    assert api.post("/v1/get_cluster", {"cluster_id": "cluster-xxx"}).status_code == 404
    assert api.post("/v1/list_cluster_nodes", {"cluster_id": "cluster-xxx"}).status_code == 404


def test_a_cluster_that_is_not_in_service_is_refused_by_the_hubs_field(api: Api, hyperpod: Cluster) -> None:
    AwsPlace.objects.update(status="Creating")
    answer = deploy(api)
    assert (answer["result"], answer["field"]) == (False, "hyperpod_cluster_id")
    assert "still making" in answer["endpoint_name"]


def test_a_machine_that_has_not_joined_has_the_type_of_its_group(api: Api, hyperpod: Cluster) -> None:
    AwsPlace.objects.update(instance_groups=[{"InstanceGroupName": "gpus", "InstanceType": "ml.p5.48xlarge"}])
    Node.objects.update(labels={})
    [node] = post(api, "list_cluster_nodes", {"cluster_id": "cluster-xxx"})["nodes"]
    assert node["instance_type"] == "ml.p5.48xlarge"


def test_the_same_model_twice_gets_a_second_name(api: Api) -> None:
    first, second = deploy(api), deploy(api)
    assert first["endpoint_name"] == "llama-3-8b-vllm-hp"
    assert re.fullmatch(r"llama-3-8b-vllm-hp-[0-9a-f]{10}", second["endpoint_name"])
    assert CatalogModel.objects.filter(workspace__slug="alpha").count() == 1


def test_folders_that_differ_in_case_are_other_weights(api: Api) -> None:
    assert deploy(api)["result"] is True
    other = deploy(api, extra_params={"s3_model_path": "s3://bucket/Model"})
    assert other["result"] is False  # told, rather than the weights of the other folder
    assert Endpoint.objects.count() == 1


def test_a_profile_for_another_kind_of_place_is_not_taken(api: Api, cast: Cast) -> None:
    sagemaker = Cluster.objects.create(name="sm", kind=ClusterKind.SAGEMAKER)
    AwsPlace.objects.create(cluster=sagemaker, account=AwsAccount.objects.get(), region="us-west-2", bucket="b",
                            execution_role="arn:aws:iam::123456789012:role/x")
    shelf = Profile.objects.filter(artifact__kind=ArtifactKind.HUGGING_FACE, release__kind="vllm", gpus=1)
    known = shelf.select_related("artifact").exclude(release__image="").first()
    assert known is not None
    answer = deploy(api, deployment_target="sagemaker", model_name=known.artifact.location, extra_params=None)
    assert answer["result"] is True, answer
    row = Endpoint.objects.select_related("wanted").get()
    assert row.wanted is not None
    assert "-sagemaker" in row.wanted.spec["image"]


def test_a_fine_tuned_jobs_merged_model_is_named_by_its_path(api: Api) -> None:
    path = "s3://bucket/jobs/42/finetuned_model_merged/"
    assert deploy(api, job_id="job-42", extra_params={"s3_model_path": path})["result"] is True
    [row] = post(api, "list_endpoints")["endpoints"]
    assert (row["job_id"], row["model_s3_path"]) == ("job-42", path)


def test_a_job_without_a_path_is_told_to_name_it(api: Api) -> None:
    answer = deploy(api, job_id="job-42", extra_params=None)
    assert answer["field"] == "extra_params.s3_model_path"
    assert "finetuned_model_merged" in answer["endpoint_name"]


@pytest.mark.parametrize(("field", "changes"), [
    ("extra_params.trust_remote_code", {"extra_params": {"s3_model_path": "s3://bucket/m", "trust_remote_code": True}}),
    ("hyperpod_config.use_public_alb", {"hyperpod_config": {"use_public_alb": True}}),
    ("hyperpod_config.api_key_source", {"hyperpod_config": {"enable_api_key": True, "api_key_source": "custom"}}),
    ("enable_lora", {"enable_lora": True}),
    ("hyperpod_config.namespace", {"hyperpod_config": {"namespace": "kube-system"}}),
    ("cust_repo_addr", {"cust_repo_addr": "https://git.example.org/m"}),
    ("extra_params.s3_model_path", {"extra_params": {"s3_model_path": "s3://bucket/../../etc"}}),
    ("extra_params.mem_fraction_static", {"extra_params": {"s3_model_path": "s3://bucket/m", "mem_fraction_static": 0.8}}),
    ("instance_type", {"instance_type": "ml.nothing.xlarge"}),
    ("extra_params.tensor_parallel_size", {"extra_params": {"s3_model_path": "s3://bucket/m", "tensor_parallel_size": 8}}),
])
def test_what_the_portal_can_not_keep_is_refused_by_its_field(api: Api, field: str, changes: dict[str, Any]) -> None:
    answer = deploy(api, **changes)
    assert (answer["result"], answer["field"]) == (False, field)
    assert not Endpoint.objects.exists()


def test_settings_of_the_hub_become_those_of_the_operator(api: Api) -> None:
    config = {"replicas": 2, "enable_kv_cache": True, "kv_cache_backend": "redis", "l2_cache_url": "redis://redis.kv.svc:6379",
              "enable_intelligent_routing": True, "routing_strategy": "kvaware", "enable_autoscaling": True, "max_replicas": 4}
    answer = deploy(api, hyperpod_config=config, extra_params={
        "s3_model_path": "s3://bucket/model", "max_model_len": 4096, "enable_prefix_caching": True,
        "tool_call_parser": "hermes"})
    assert answer["result"] is True, answer
    row = Endpoint.objects.get()
    assert row.wanted is not None
    options = row.wanted.spec["options"]
    assert options["kvCacheSpec"]["l2CacheSpec"] == {"l2CacheBackend": "redis", "l2CacheLocalUrl": "redis://redis.kv.svc:6379"}
    assert options["intelligentRoutingSpec"] == {"enabled": True, "routingStrategy": "kvaware"}
    assert (row.replicas, row.autoscale["max_replicas"]) == (2, 4)
    assert options["endpointName"] == row.external_name
    assert f"EndpointName={row.external_name}," in row.autoscale["triggers"][0]["metadata"]["dimensions"]
    assert row.wanted.spec["arguments"] == {
        "enable-auto-tool-choice": True, "enable-prefix-caching": True, "max-model-len": 4096, "tool-call-parser": "hermes"}


def test_a_model_off_the_shelf_needs_a_key_that_may_manage(cast: Cast, hyperpod: Cluster) -> None:
    answer = deploy(by_key(cast.bob, cast.alpha))
    assert (answer["result"], answer["code"]) == (False, "not_shelved")


def test_status_and_deletion_speak_the_hubs_words(api: Api) -> None:
    deploy(api)
    named = {"endpoint_name": "llama-3-8b-vllm-hp"}
    assert post(api, "get_endpoint_status", named)["response"]["status"] == "CREATING"
    assert post(api, "delete_endpoint", named)["response"] == {"result": True}
    assert Endpoint.objects.get().wish == "deleted"
    assert post(api, "get_endpoint_status", {"endpoint_name": "nothing"})["response"] == {"status": "NOTFOUND"}
    assert post(api, "delete_endpoint", {"endpoint_name": "nothing"})["response"]["result"] is False


def test_every_status_has_a_word_of_the_hub() -> None:
    assert set(ENDPOINT) == set(Status)
    words = {"CREATING", "INSERVICE", "FAILED", "DELETING", "TERMINATED"}
    assert set(ENDPOINT.values()) == words
    assert [cluster_word(status) for status in ("InService", "SystemUpdating", "")] == ["ACTIVE", "UPDATING", "PENDING"]


def test_clusters_and_their_nodes_are_listed_in_its_shape(api: Api, hyperpod: Cluster) -> None:
    answer = post(api, "list_clusters", {"query_terms": {"cluster_status": "ACTIVE"}})
    [cluster] = answer["clusters"]
    assert {key: cluster[key] for key in ("cluster_id", "cluster_name", "eks_cluster_name", "cluster_status")} == {
        "cluster_id": str(hyperpod.uid), "cluster_name": "my-cluster", "eks_cluster_name": "my-cluster-eks",
        "cluster_status": "ACTIVE"}
    assert post(api, "get_cluster", {"cluster_id": "cluster-xxx"})["body"] == cluster
    [node] = post(api, "list_cluster_nodes", {"cluster_id": str(hyperpod.uid)})["nodes"]
    assert (node["instance_id"], node["instance_group_name"], node["instance_status"], node["instance_type"]) == (
        "i-0123", "gpus", "Running", "ml.g5.xlarge")


def test_keys_are_not_told_what_only_operators_see(api: Api, hyperpod: Cluster) -> None:
    AwsPlace.objects.update(status="Updating", status_message="arn:aws:iam::123456789012:role/x may not")
    KubernetesAccess.objects.create(cluster=hyperpod, through=Through.EKS, message="arn:aws:iam::123456789012:user/y may not")
    [cluster] = post(api, "list_clusters")["clusters"]
    assert "It can be deployed to when that has ended." in cluster["error_message"]
    shown = [cluster, post(api, "get_cluster", {"cluster_id": ARN}), api.get(f"/api/v1/places/{hyperpod.uid}").json()]
    assert "123456789012" not in json.dumps(shown)


def test_lists_are_paged_and_narrowed(api: Api) -> None:
    for _n in range(3):
        deploy(api)
    page = post(api, "list_endpoints", {"page_size": 2, "page_index": 2})
    assert (len(page["endpoints"]), page["total_count"]) == (1, 3)
    assert post(api, "list_endpoints", {"query_terms": {"engine": "sglang"}})["total_count"] == 0
    assert post(api, "list_endpoints", {"query_terms": {"endpoint_status": "CREATING"}})["total_count"] == 3


def refusal(response: HttpResponse, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    body: dict[str, Any] = json.loads(response.content)
    return body


def test_refusals_have_the_hubs_shapes(api: Api) -> None:
    nobody = refusal(Api().post("/v1/list_endpoints", {}), 401)
    assert nobody["detail"]["error"]["code"] == "invalid_api_key"
    for body in ({**FORM, "engine": "tgi"}, {**FORM, "surprise": 1}, {"query_terms": {"colour": "red"}}):
        call = "deploy_endpoint" if "engine" in body else "list_endpoints"
        assert set(refusal(api.post(f"/v1/{call}", body), 422)) == {"object", "message", "code"}
    assert refusal(api.get("/v1/deploy_endpoint"), 405)["object"] == "error"


def test_a_key_without_the_right_is_refused(cast: Cast, hyperpod: Cluster) -> None:
    reader = by_key(cast.alice, cast.alpha, Scope.READ)
    assert deploy(reader)["code"] == "not_allowed"
    assert post(reader, "list_endpoints")["total_count"] == 0


def test_a_model_of_the_hub_without_a_path_is_loaded_from_there(api: Api) -> None:
    deploy(api, extra_params=None)
    row = Endpoint.objects.get()
    assert row.wanted is not None
    assert row.wanted.spec["artifact"]["kind"] == ArtifactKind.HUGGING_FACE
