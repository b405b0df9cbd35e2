"""What is sent for an endpoint: whole manifests for eight cases, and the rules behind them one by one.

`UPDATE_GOLDEN=1` writes the files anew; read the difference before you keep it.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clusters.namespaces import ENDPOINT_UID
from clusters.units import GIB
from endpoints.states import Cause
from endpoints.targets.base import Resources, Spec, TargetError, Trigger
from endpoints.targets.kubernetes.place import PlaceView
from endpoints.targets.kubernetes.render import render
from endpoints.targets.kubernetes.secrets import shown

from .making import FULL, LOADED, OWNED, PLACE, SCALED, UID, V100, gpu_revision, revision, spec

GOLDEN = Path(__file__).parent / "golden"
MULTI = gpu_revision(8, 2, arguments={"tensor-parallel-size": 8, "pipeline-parallel-size": 2})
LOGIN = {"registry_user": "robot", "registry_password": "reg-hidden-7"}
OLDER_LOGIN = {"registry_user": "older", "registry_password": "reg-hidden-6", "image": "vllm/vllm-openai:v1"}
CASES: dict[str, tuple[Spec, PlaceView]] = {
    "cpu": (spec(), PLACE),
    "gpu": (spec(gpu_revision(placement=V100, hub_token="hf_secret"), replicas=2), PLACE),
    "tensor-parallel": (spec(gpu_revision(4), replicas=3), PLACE),
    "multi-node": (spec(MULTI, replicas=2), FULL),
    "autoscaled": (spec(gpu_revision(), autoscale=SCALED), FULL),
    "route": (spec(), replace(FULL, prometheus="")),
    "weights": (spec(gpu_revision(weights=LOADED)), PLACE),
    "private-image": (spec(revision(**LOGIN), serving=revision(**OLDER_LOGIN)), PLACE),
    "vllmcluster": (spec(gpu_revision(2), replicas=2, origin=OWNED, namespace="default"), PLACE),
}


@pytest.mark.parametrize("name", CASES)
def test_the_objects_are_those_that_were_read_and_kept(name: str) -> None:
    wanted, place = CASES[name]
    made = json.dumps(shown(render(wanted, place)), indent=1, sort_keys=True) + "\n"
    path = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(made)
    assert made == path.read_text()


def objects(wanted: Spec, place: PlaceView = PLACE) -> dict[str, dict[str, Any]]:
    """By kind; the headless Service is left out."""
    return {made["kind"]: made for made in render(wanted, place) if not made["metadata"]["name"].endswith("-headless")}


def pod(wanted: Spec, place: PlaceView = PLACE) -> dict[str, Any]:
    found: dict[str, Any] = objects(wanted, place)["StatefulSet"]["spec"]["template"]["spec"]
    return found


def container(wanted: Spec, place: PlaceView = PLACE) -> dict[str, Any]:
    found: dict[str, Any] = pod(wanted, place)["containers"][0]
    return found


def test_the_documents_kubectl_commands_find_the_pods_by_their_labels() -> None:
    template = objects(spec())["StatefulSet"]["spec"]["template"]
    assert template["metadata"]["labels"].items() >= {"app": "vllm-cluster", "cluster": "chat-0123456789"}.items()


def test_the_engine_gets_a_list_of_arguments_with_its_own_flags() -> None:
    made = container(spec())
    assert made["command"] == ["vllm", "serve"]
    assert made["args"] == [
        "Qwen/Qwen3-0.6B", "--served-model-name", "qwen3-0.6b", "--host", "0.0.0.0", "--port", "8000",
        "--revision", "c" * 40, "--dtype", "bfloat16", "--max-model-len", "4096"]


def test_arguments_can_not_name_variables_of_the_pod() -> None:
    made = container(spec(revision(arguments={"override-generation-config": {"x": "$(HF_TOKEN)"}})))
    assert any("$$(HF_TOKEN)" in text for text in made["args"])
    assert not any("$(HF_TOKEN)" in text.replace("$$", "") for text in made["args"])


def test_a_group_has_one_leader_that_answers_and_workers_that_do_not() -> None:
    group = objects(spec(MULTI), FULL)["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    leader, worker = (group[role]["spec"]["containers"][0] for role in ("leaderTemplate", "workerTemplate"))
    wanted = ["--nnodes", "$(LWS_GROUP_SIZE)", "--node-rank", "$(LWS_WORKER_INDEX)", "--master-addr",
              "$(LWS_LEADER_ADDRESS)"]
    for args in (leader["args"], worker["args"]):
        start = args.index("--nnodes")
        assert args[start:start + 6] == wanted
    assert ("--headless" in worker["args"], "--headless" in leader["args"]) == (True, False)
    assert ("startupProbe" in worker, "startupProbe" in leader, group["size"]) == (False, True, 2)


def test_sglang_is_started_by_its_own_command() -> None:
    wanted = spec(gpu_revision(2, engine="sglang", image="lmsys/sglang:v0.5.6", arguments={}))
    made = container(wanted, FULL)
    assert made["command"] == ["python3", "-m", "sglang.launch_server"]
    assert made["args"][-4:] == ["--revision", "c" * 40, "--api-key", "$(ENGINE_KEY)"]
    assert made["args"][made["args"].index("--tp"):][:2] == ["--tp", "2"]


@pytest.mark.parametrize(("start", "failures"), [(30, 3), (900, 90), (901, 91), (7200, 720)])
def test_the_start_has_the_time_that_the_profile_says(start: int, failures: int) -> None:
    probe = container(spec(revision(start_seconds=start)))["startupProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (10, failures)


def test_secrets_are_referred_to_and_never_printed() -> None:
    wanted = spec(gpu_revision(hub_token="hf_very_secret"))
    assert "hf_very_secret" not in json.dumps(shown(render(wanted, FULL))) + repr(wanted)
    assert "engine-key-of-this-endpoint" not in json.dumps(shown(render(wanted, FULL))) + repr(wanted)
    names = {entry["name"] for entry in container(wanted, FULL)["env"] if "valueFrom" in entry}
    assert names == {"HF_TOKEN", "VLLM_API_KEY"}


def test_nodes_log_in_to_the_images_registry_and_to_no_other() -> None:
    def logins(wanted: Spec) -> Any:
        made = next(each for each in render(wanted, PLACE) if each["metadata"]["name"] == "chat-0123456789-pull")
        assert made["type"] == "kubernetes.io/dockerconfigjson"
        return json.loads(base64.b64decode(made["data"][".dockerconfigjson"]))["auths"]

    private = spec(revision(**LOGIN))
    own = {"username": "robot", "password": "reg-hidden-7", "auth": base64.b64encode(b"robot:reg-hidden-7").decode()}
    assert logins(private) == {"registry.example.org": own}
    both = logins(replace(private, serving=revision(**OLDER_LOGIN)))
    assert set(both) == {"registry.example.org", "https://index.docker.io/v1/"}, "pods in service may move to another node"
    assert pod(private)["imagePullSecrets"] == [{"name": "chat-0123456789-pull"}]
    assert pod(private)["automountServiceAccountToken"] is False
    assert set(logins(spec(serving=revision(**OLDER_LOGIN)))) == {"https://index.docker.io/v1/"}
    assert "imagePullSecrets" not in pod(spec(serving=revision(**OLDER_LOGIN)))


def test_another_password_restarts_no_pod() -> None:
    def workload(password: str) -> Any:
        return objects(spec(revision(registry_user="robot", registry_password=password)))["StatefulSet"]

    assert workload("one") == workload("two")


@pytest.mark.parametrize("place", [PLACE, FULL])
def test_no_value_of_a_secret_is_shown(place: PlaceView) -> None:
    wanted = spec(gpu_revision(hub_token="hf_very_secret", **LOGIN), serving=revision(**OLDER_LOGIN))
    made = shown(render(wanted, place))
    values = [value for each in made if each["kind"] == "Secret" for value in each["data"].values()]
    text = json.dumps(made) + repr(wanted) + "".join(base64.b64decode(value).decode() for value in values)
    assert not [hidden for hidden in ("hf_very_secret", "reg-hidden-7", "reg-hidden-6") if hidden in text]
    docker = next(each for each in made if each["metadata"]["name"].endswith("-pull"))
    assert json.loads(base64.b64decode(docker["data"][".dockerconfigjson"])) == {"auths": {}}, "a cluster would take it"


def test_pods_restart_with_a_new_token_and_those_of_the_revision_in_service_keep_theirs() -> None:
    def reference(token: str) -> dict[str, str]:
        entries = {entry["name"]: entry for entry in container(spec(revision(hub_token=token)))["env"]}
        found: dict[str, str] = entries["HF_TOKEN"]["valueFrom"]["secretKeyRef"]
        return found

    assert reference("hf_a") != reference("hf_b")
    assert reference("hf_a") == reference("hf_a")
    kept = objects(spec(revision(hub_token="hf_b"), serving=revision(hub_token="hf_a")))["Secret"]
    assert set(kept["data"]) == {reference("hf_a")["key"], reference("hf_b")["key"]}
    assert kept["metadata"]["name"] == reference("hf_a")["name"] == "chat-0123456789-secrets"


def test_weights_of_unknown_size_have_no_limit_that_would_evict_them_half_loaded() -> None:
    pod = objects(spec(revision(weights_bytes=0)))["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["volumes"][0] == {"name": "cache", "emptyDir": {}}
    assert "ephemeral-storage" not in pod["containers"][0]["resources"]["limits"]


def test_weights_that_are_there_are_mounted_read_only_and_no_token_is_given() -> None:
    wanted = spec(gpu_revision(weights=LOADED, hub_token="hf_secret"))
    made, volume = container(wanted), {entry["name"]: entry for entry in pod(wanted)["volumes"]}["model"]
    assert volume["persistentVolumeClaim"] == {"claimName": "qwen3-0-6b", "readOnly": True}
    mount = {entry["name"]: entry for entry in made["volumeMounts"]}["model"]
    assert (mount["mountPath"], mount["readOnly"], mount["subPath"]) == ("/model", True, "c" * 12)
    assert made["args"][0] == "/model"
    assert {"HF_HUB_OFFLINE", "HF_TOKEN"} & {entry["name"] for entry in made["env"]} == {"HF_HUB_OFFLINE"}


def test_a_claim_of_the_catalogue_is_mounted_like_a_preheated_one() -> None:
    wanted = spec(gpu_revision(artifact_kind="volume", artifact_location="pvc://models/qwen/3", artifact_revision=""))
    assert container(wanted)["args"][0] == "/model"
    assert pod(wanted)["volumes"][1]["persistentVolumeClaim"]["claimName"] == "models"


@pytest.mark.parametrize(("gpus", "gib", "size"), [(1, 64, None), (2, 64, 10), (2, 8, 4)])
def test_processes_that_share_a_model_get_shared_memory(gpus: int, gib: int, size: int | None) -> None:
    wanted = gpu_revision(gpus, resources=Resources(8000, gib * GIB, gpus=gpus))
    sizes = [entry["emptyDir"]["sizeLimit"] for entry in pod(spec(wanted))["volumes"] if entry["name"] == "shm"]
    assert sizes == ([] if size is None else [str(size * GIB)])


def test_replicas_are_not_sent_where_the_autoscaler_owns_them() -> None:
    assert "replicas" not in objects(spec(autoscale=SCALED), FULL)["StatefulSet"]["spec"]
    assert objects(spec(replicas=3))["StatefulSet"]["spec"]["replicas"] == 3


def test_only_the_named_callers_reach_the_pods() -> None:
    policy = objects(spec(), FULL)["NetworkPolicy"]["spec"]
    namespaces = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
                  for peer in policy["ingress"][0]["from"] if "namespaceSelector" in peer]
    blocks = [peer["ipBlock"]["cidr"] for peer in policy["ingress"][0]["from"] if "ipBlock" in peer]
    assert (namespaces, blocks) == (["gateways", "monitoring"], ["10.0.0.1/32", "fd00::1/128"])
    assert objects(spec(), replace(PLACE, api_addresses=()))["NetworkPolicy"]["spec"]["ingress"] == []


def test_a_pod_with_its_weights_there_reaches_nothing_but_names() -> None:
    ports = [rule["ports"] for rule in objects(spec(revision(weights=LOADED)))["NetworkPolicy"]["spec"]["egress"]]
    assert [{entry["port"] for entry in each} for each in ports] == [{53}]


def test_each_origin_has_a_rule_and_strangers_get_no_leave() -> None:
    rules = objects(spec(), FULL)["HTTPRoute"]["spec"]["rules"]
    known, strange = (rule["filters"][1]["responseHeaderModifier"] for rule in rules)
    assert {"name": "Access-Control-Allow-Origin", "value": "https://chat.example.org"} in known["set"]
    assert "Access-Control-Allow-Origin" in strange["remove"]
    assert rules[0]["matches"][0]["headers"][0]["value"] == "https://chat.example.org"
    for rule in rules:
        assert rule["matches"][0]["path"]["value"] == "/ip-alpha-abcdef0123/chat-0123456789/v1"
        assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}


def test_a_route_never_has_more_rules_than_a_gateway_takes() -> None:
    many = replace(FULL, cors_origins=tuple(f"https://site-{n}.example.org" for n in range(40)))
    assert len(objects(spec(), many)["HTTPRoute"]["spec"]["rules"]) == 16


def test_what_a_cluster_object_owns_lies_beside_it_and_goes_with_it() -> None:
    for made in render(spec(origin=OWNED, namespace="default", autoscale=SCALED), FULL):
        owner = made["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("VLLMCluster", "my-vllm-cluster", True)
        assert made["metadata"]["namespace"] == "default"
    assert objects(spec(origin=OWNED, namespace="default"))["StatefulSet"]["metadata"]["name"] == "my-vllm-cluster"


def test_every_object_carries_our_uid() -> None:
    for made in render(spec(gpu_revision(hub_token="hf_x"), autoscale=SCALED, replicas=2), FULL):
        assert made["metadata"]["labels"][ENDPOINT_UID] == str(UID), made["kind"]


@pytest.mark.parametrize(("values", "place", "code", "permanent", "word"), [
    pytest.param({"image": ""}, PLACE, Cause.REFUSED, True, "no image", id="no image"),
    pytest.param({"image": "x.{region}/y:1"}, PLACE, Cause.REFUSED, True, "no image", id="image of a region"),
    pytest.param({"engine": "lmi"}, PLACE, Cause.REFUSED, True, "LMI", id="LMI"),
    pytest.param({"artifact_kind": "path", "artifact_location": "/models/x"}, PLACE, Cause.REFUSED, True, "can't load",
                 id="a folder of the host"),
    pytest.param({"artifact_kind": "volume", "artifact_location": "nfs://a/b"}, PLACE, Cause.REFUSED, True, "claim", id="NFS"),
    pytest.param({"artifact_kind": "fsx", "artifact_location": "fsx://fs-1/b"}, PLACE, Cause.REFUSED, True, "can't", id="FSx"),
    pytest.param({"artifact_kind": "s3", "artifact_location": "s3://a/b"}, PLACE, Cause.NOT_LOADED, False, "preheat", id="S3"),
    pytest.param({"resources": Resources(1, GIB, gpus=1, devices=(0,))}, PLACE, Cause.REFUSED, True, "GPU numbers",
                 id="pinned GPUs"),
    pytest.param({"device": "cuda"}, replace(PLACE, all_gpus_simulated=True), Cause.REFUSED, True, "simulated",
                 id="CUDA on simulated GPUs"),
    pytest.param({"resources": Resources(1, GIB, gpus=8, nodes=2)}, PLACE, Cause.NO_KIND, True, "LeaderWorkerSet",
                 id="several nodes without LeaderWorkerSet"),
])
def test_what_can_not_run_is_refused_in_words(
    values: dict[str, Any], place: PlaceView, code: Cause, permanent: bool, word: str,
) -> None:
    with pytest.raises(TargetError, match=word) as error:
        render(spec(revision(**values)), place)
    assert (error.value.code, error.value.permanent) == (code, permanent)


def test_a_cpu_engine_runs_where_gpus_are_simulated() -> None:
    assert render(spec(), replace(PLACE, all_gpus_simulated=True))


@pytest.mark.parametrize(("name", "nodes", "replicas", "fits"), [
    ("a" * 50, 1, 1, True), ("a" * 51, 1, 1, False), ("9lives", 1, 1, False), ("a.b", 1, 1, False), ("Ab", 1, 1, False),
    ("a" * 49, 2, 12, True), ("a" * 50, 2, 12, False), ("a" * 50, 2, 9, True),
])
def test_names_that_can_not_be_labels_are_refused_before_anything_is_sent(
    name: str, nodes: int, replicas: int, fits: bool,
) -> None:
    wanted = spec(gpu_revision(8, nodes), origin=replace(OWNED, name=name), replicas=replicas)
    if fits:
        assert render(wanted, FULL)
    else:
        with pytest.raises(TargetError, match="name") as error:
            render(wanted, FULL)
        assert error.value.code == Cause.INVALID


def test_a_call_wakes_an_endpoint_through_kedas_own_door() -> None:
    wakes = replace(SCALED, min_replicas=0, triggers=(Trigger("http", {"concurrency": "10"}),))
    made = objects(spec(autoscale=wakes), FULL)
    assert list(made)[-2:] == ["InterceptorRoute", "ScaledObject"]
    assert "keda" in json.dumps(made["NetworkPolicy"]["spec"]["ingress"])


@pytest.mark.parametrize(("address", "namespace"), [
    ("http://prometheus:9090", ""), ("http://prometheus.monitoring:9090", "monitoring"),
    ("http://p.monitoring.svc:9090/x", "monitoring"), ("http://p.monitoring.svc.cluster.local", "monitoring"),
    ("https://prometheus.example.org", ""), ("", ""),
])
def test_the_namespace_of_prometheus_is_read_from_its_address(address: str, namespace: str) -> None:
    assert PlaceView(prometheus=address).prometheus_namespace == namespace
