"""What is sent to HyperPod: whole objects for each source and engine, and the rules behind them one by one.

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

from endpoints.options import check_body
from endpoints.states import Cause
from endpoints.targets.base import Autoscale, Placement, Resources, Spec, TargetError, Trigger, Weights
from endpoints.targets.hyperpod.config import model_name
from endpoints.targets.hyperpod.names import named_here
from endpoints.targets.hyperpod.render import render
from endpoints.targets.kubernetes.secrets import shown

from .making import INSTANCE, PLACE, ROUTED, SCALED, revision, spec

GOLDEN = Path(__file__).parent / "golden"
FULL = {
    "instanceTypes": ["ml.p5.48xlarge", "ml.g5.12xlarge"], "endpointName": "qwen3", "modelVersion": "7",
    "maxDeployTimeInSeconds": 5400, "tags": [{"name": "team", "value": "a"}],
    "kvCacheSpec": {"enableL1Cache": True, "enableL2Cache": True, "l2CacheSpec": {
        "l2CacheBackend": "redis", "l2CacheLocalUrl": "redis://redis.caches.svc.cluster.local:6379"}},
    "intelligentRoutingSpec": {"enabled": True, "routingStrategy": "session"}, "entrance": "load-balancer",
    "loadBalancer": {"routingAlgorithm": "round_robin"}, "metrics": {"metricsScrapeIntervalSeconds": 30},
    "tlsConfig": {"tlsCertificateOutputS3Uri": "s3://certificates/qwen3"},
    "dataCapture": {"s3Uri": "s3://captured/qwen3", "modelPod": {
        "enabled": True, "captureOptions": [{"captureMode": "Input"}], "bufferConfig": {"batchSize": 20}}},
    "worker": {"requestLimits": {"maxConcurrentRequests": 32, "maxQueueSize": 8},
               "environmentVariables": [{"name": "LMCACHE_CHUNK_SIZE", "value": "256"}]},
    "pdSpec": {"prefillSpec": {"replicas": 1}, "decodingSpec": {"replicas": 2}, "routingThreshold": 2048},
    "queue": "inference", "priorityClass": "high",
}
CASES: dict[str, Spec] = {
    "s3": spec(),
    "fsx": spec(revision(artifact_kind="fsx", artifact_location="fsx://fs-0123456789abcdef0/qwen3", options={
        **INSTANCE, "modelSourceConfig": {"fsxStorage": {"mountName": "abcdefgh"}}})),
    "huggingface": spec(revision(artifact_kind="huggingface", artifact_location="Qwen/Qwen3-0.6B", artifact_revision="c" * 40,
                                 hub_token="hf_secret")),
    "claim": spec(revision(artifact_kind="volume", artifact_location="pvc://models/qwen3")),
    "preheated": spec(revision(weights=Weights("copy-1", "abc"))),
    "sglang": spec(revision(engine="sglang", release="sglang-0.5", resources=Resources(8000, 64 << 30, gpus=4), arguments={}),
                   replicas=2),
    "lmi": spec(revision(engine="lmi", release="lmi-15", arguments={}, environment={"OPTION_MAX_MODEL_LEN": "4096"})),
    "jumpstart": spec(revision(artifact_kind="jumpstart", artifact_location="meta-textgeneration-llama-3-8b",
                               artifact_revision="1.2.0", eula_accepted=True, options={
        "server": {"instanceType": "ml.g5.12xlarge"}, "sageMakerEndpoint": {"name": "llama"}, "entrance": "sagemaker"})),
    "autoscaled": spec(autoscale=SCALED),
    "everything": spec(revision(FULL)),
    "private-image": spec(revision(registry_user="robot", registry_password="reg-hidden-7")),
}


@pytest.mark.parametrize("name", CASES)
def test_the_objects_are_those_that_were_read_and_kept(name: str) -> None:
    made = json.dumps(shown(render(named_here(CASES[name]), PLACE)), indent=1, sort_keys=True) + "\n"
    path = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(made)
    assert made == path.read_text()


def made_of(wanted: Spec, kind: str = "") -> dict[str, Any]:
    objects = {each["kind"]: each for each in render(named_here(wanted), PLACE)}
    return objects[kind] if kind else objects.get("InferenceEndpointConfig") or objects["JumpStartModel"]


def body(wanted: Spec) -> dict[str, Any]:
    found: dict[str, Any] = made_of(wanted)["spec"]
    return found


def environment(wanted: Spec) -> dict[str, Any]:
    return {each["name"]: each.get("value") or each["valueFrom"] for each in body(wanted)["worker"]["environmentVariables"]}


@pytest.mark.parametrize(("wanted", "words"), [
    (revision(artifact_kind="path", artifact_location="/models/qwen3"), "can't load weights from /models/qwen3"),
    (revision(artifact_kind="volume", artifact_location="nfs://server/qwen3"), "claims only"),
    (revision(artifact_kind="huggingface", artifact_location="a/b", artifact_revision="v2"), "40 hex digits"),
    (revision(resources=Resources(1000, 1 << 30, gpus=8, nodes=2)), "one machine"),
    (revision(resources=Resources(1000, 1 << 30, gpus=1, devices=(0,))), "GPU numbers"),
    (revision(image=""), "no image"),
    (revision(engine="tgi"), "not tgi"),
])
def test_what_the_operator_can_not_run_is_refused_with_the_reason(wanted: Any, words: str) -> None:
    with pytest.raises(TargetError, match=words) as refused:
        render(spec(wanted), PLACE)
    assert refused.value.permanent
    assert refused.value.code == Cause.REFUSED


def test_an_archive_waits_for_its_copy() -> None:
    archive = {"artifact_kind": "http", "artifact_location": "https://x.example.org/qwen3.tar"}
    with pytest.raises(TargetError, match="preheat the artifact") as refused:
        render(spec(revision(**archive)), PLACE)
    assert (refused.value.code, refused.value.permanent) == (Cause.NOT_LOADED, False)
    loaded = body(spec(revision(**archive, weights=Weights("copy-1"))))
    assert loaded["modelSourceConfig"] == {"modelSourceType": "kubernetesVolume"}


def test_a_place_without_its_region_takes_no_weights_from_s3() -> None:
    with pytest.raises(TargetError, match="region of pod"):
        render(spec(), replace(PLACE, region=""))


def test_a_place_without_jumpstart_says_so() -> None:
    with pytest.raises(TargetError, match="update its inference operator"):
        render(CASES["jumpstart"], replace(PLACE, has_jumpstart=False))


def test_a_body_that_the_schema_does_not_know_is_never_sent() -> None:
    with pytest.raises(TargetError, match="minReplicas") as refused:
        render(spec(revision({**INSTANCE, "intelligentRoutingSpec": {"autoScalingSpec": {"minReplicas": 1}}})), PLACE)
    assert (refused.value.code, refused.value.permanent) == (Cause.INVALID, True)


def test_no_secret_stands_in_the_operators_object_or_in_what_people_see() -> None:
    wanted = spec(revision({**ROUTED, "entrance": "load-balancer"}, artifact_kind="huggingface", artifact_location="a/b",
                           artifact_revision="", hub_token="hf_hidden", registry_user="u", registry_password="p-hidden"))
    made = render(named_here(wanted), PLACE)
    hidden = ("hf_hidden", wanted.engine_key, "p-hidden")
    without_secrets = json.dumps([each for each in made if each["kind"] != "Secret"])
    encoded = [base64.b64encode(text.encode()).decode() for text in hidden]
    assert not [text for text in (*hidden, *encoded) if text in without_secrets]
    assert not [text for text in (*hidden, *encoded) if text in json.dumps(shown(made))]
    kept = {key: base64.b64decode(value).decode() for each in made if each["kind"] == "Secret"
            for key, value in each["data"].items()}
    assert {"hf_hidden", wanted.engine_key} <= set(kept.values())
    source = made_of(wanted)["spec"]["modelSourceConfig"]["huggingFaceModel"]["tokenSecretRef"]
    assert kept[source["key"]] == "hf_hidden"
    assert kept[environment(wanted)["VLLM_API_KEY"]["secretKeyRef"]["key"]] == wanted.engine_key


@pytest.mark.parametrize("entrance", ["cluster", "sagemaker"])
def test_an_engine_that_only_the_portal_or_sagemaker_calls_wants_no_key(entrance: str) -> None:
    wanted = spec(revision({**INSTANCE, "endpointName": "e", "entrance": entrance}))
    assert "VLLM_API_KEY" not in environment(wanted)


def test_sglang_gets_its_key_by_an_argument_that_kubernetes_fills() -> None:
    wanted = spec(revision({**ROUTED, "entrance": "load-balancer"}, engine="sglang", arguments={}))
    assert body(wanted)["worker"]["args"][-2:] == ["--api-key", "$(ENGINE_KEY)"]


def test_the_revision_is_marked_so_that_old_pods_are_told_from_new_ones() -> None:
    assert environment(spec(revision(number=7)))["PORTAL_REVISION"] == "7"
    js = body(CASES["jumpstart"])["environmentVariables"]
    assert {"name": "PORTAL_REVISION", "value": "1"} in js


@pytest.mark.parametrize(("engine", "port", "health", "path"), [
    ("vllm", 8000, "/health", "v1/chat/completions"), ("sglang", 8080, "/health", "v1/chat/completions"),
    ("lmi", 8080, "/ping", "invocations"),
])
def test_each_engine_is_asked_where_it_listens(engine: str, port: int, health: str, path: str) -> None:
    made = body(spec(revision(engine=engine, arguments={})))
    assert made["worker"]["modelInvocationPort"] == {"containerPort": port, "name": "http"}
    assert made["metrics"]["modelMetrics"] == {"path": "/metrics", "port": port}
    assert made["loadBalancer"]["healthCheckPath"] == health
    assert made["invocationEndpoint"] == path
    readiness = made["worker"]["probes"]["readinessProbe"]
    assert (readiness["httpGet"], readiness["timeoutSeconds"]) == ({"path": health, "port": port}, 5)
    service = made_of(spec(revision(engine=engine, arguments={})), "Service")
    assert service["spec"]["ports"][0]["targetPort"] == port


def test_extended_resources_are_requested_as_they_are_limited() -> None:
    resources = body(spec())["worker"]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
    assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_parts_of_a_gpu_come_in_place_of_whole_ones() -> None:
    options = {**INSTANCE, "worker": {"resources": {"limits": {"nvidia.com/mig-3g.20gb": "1"}}}}
    resources = body(spec(revision(options)))["worker"]["resources"]
    assert "nvidia.com/gpu" not in resources["limits"] | resources["requests"]
    assert resources["requests"]["nvidia.com/mig-3g.20gb"] == resources["limits"]["nvidia.com/mig-3g.20gb"] == "1"


def test_options_lie_over_what_the_portal_fills_and_lose_nothing_of_it() -> None:
    made = body(spec(revision({**INSTANCE, "worker": {"probes": {"readinessProbe": {"timeoutSeconds": 9}}},
                               "loadBalancer": {"routingAlgorithm": "round_robin"}})))
    assert made["worker"]["probes"]["readinessProbe"]["timeoutSeconds"] == 9
    assert made["worker"]["probes"]["readinessProbe"]["httpGet"]["port"] == 8000
    assert made["loadBalancer"] == {"healthCheckPath": "/health", "routingAlgorithm": "round_robin"}
    assert not {"entrance", "queue", "priorityClass"} & set(made)


def test_where_an_autoscaler_owns_the_replicas_none_are_sent() -> None:
    made = body(spec(autoscale=SCALED))
    assert "replicas" not in made
    scaling = made["autoScalingSpec"]
    assert (scaling["minReplicaCount"], scaling["maxReplicaCount"], scaling["scaleUpStabilizationTime"]) == (0, 6, 5)


@pytest.mark.parametrize(("trigger", "wanted"), [
    (Trigger("aws-cloudwatch", {"metricName": "m", "targetValue": "5", "dimensions": "A=1,B=2", "metricCollectionPeriod": "60",
                                "useCachedMetrics": "false"}),
     {"metricName": "m", "targetValue": 5, "metricCollectionPeriod": 60, "useCachedMetrics": False,
      "dimensions": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}),
    (Trigger("prometheus", {"signal": "waiting", "targetValue": "5"}, "AverageValue"),
     {"query": 'sum(vllm:num_requests_waiting{namespace="ip-alpha-abcdef0123",pod=~"chat-0123456789-[a-z0-9]+-[a-z0-9]+"})',
      "targetValue": 5, "metricType": "Average",
      "serverAddress": "https://aps-workspaces.us-west-2.amazonaws.com/workspaces/ws-0a1b2c3d"}),
])
def test_triggers_become_those_of_the_operator(trigger: Trigger, wanted: dict[str, Any]) -> None:
    scaling = body(spec(autoscale=Autoscale(1, 2, (trigger,))))["autoScalingSpec"]
    found = scaling.get("cloudWatchTriggerList") or scaling["prometheusTriggerList"]
    assert found == [wanted]


def test_a_trigger_that_the_operator_does_not_know_is_refused() -> None:
    with pytest.raises(TargetError, match="CloudWatch and Prometheus only"):
        render(spec(autoscale=Autoscale(1, 2, (Trigger("cpu", {"value": "50"}),))), PLACE)


def test_a_profiles_node_selector_becomes_an_affinity_where_no_machine_is_named() -> None:
    placed = revision({}, placement=Placement({"pool": "a"}))
    terms = body(spec(placed))["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a"]}]}]
    assert "nodeAffinity" not in body(spec(revision(placement=Placement({"pool": "a"}))))


@pytest.mark.parametrize(("text", "name"), [
    ("meta-llama/Llama-3-8B", "meta-llama-Llama-3-8B"), ("a--b_c", "a-b-c"), ("-x-", "x"), ("…", "model"),
    ("m" * 62 + ".x", "m" * 62), ("Qwen/Qwen2.5-7B", "Qwen-Qwen2-5-7B"),
])
def test_the_models_name_is_one_that_sagemaker_takes(text: str, name: str) -> None:
    assert model_name(text) == name
    assert check_body("InferenceEndpointConfig", {**made_of(spec()), "spec": {**body(spec()), "modelName": name}}) == []


LONG = "a" * 39 + "-0123456789"


@pytest.mark.parametrize(("options", "namespace", "name"), [
    (INSTANCE, "ip-alpha-abcdef0123", LONG), (ROUTED, "default", "a" * 28 + "-0123456789"),
    (ROUTED, "ip-alpha-abcdef0123", "a" * 25 + "-0123456789"),
])
def test_a_name_leaves_room_for_what_the_operator_adds(options: dict[str, Any], namespace: str, name: str) -> None:
    wanted = named_here(spec(revision(options), external_name=LONG, namespace=namespace))
    assert wanted.object_name == name
    render(wanted, PLACE)
    assert len(f"{name}-{namespace}-router") <= 63 or options is INSTANCE


def test_a_namespace_that_leaves_no_room_for_routing_is_refused() -> None:
    with pytest.raises(TargetError, match="too long for intelligent routing"):
        render(named_here(spec(revision(ROUTED), namespace="ip-" + "a" * 39 + "-0123456789")), PLACE)
    with pytest.raises(TargetError, match="at most 50"):
        render(spec(external_name="a" * 51), PLACE)


def test_only_a_load_balancer_opens_the_pods_to_the_vpc() -> None:
    def cidrs(wanted: Spec) -> set[str]:
        policy = made_of(wanted, "NetworkPolicy")["spec"]
        return {peer["ipBlock"]["cidr"] for rule in policy["ingress"] for peer in rule["from"] if "ipBlock" in peer}

    assert cidrs(spec()) == {"10.0.0.1/32"}
    assert "10.0.0.0/8" in cidrs(spec(revision(ROUTED)))
    assert "10.0.0.0/8" in cidrs(spec(revision({**INSTANCE, "endpointName": "e"})))


def test_kueues_labels_and_our_marks_stand_on_the_object() -> None:
    metadata = made_of(spec(revision({**INSTANCE, "queue": "q", "priorityClass": "high"})))["metadata"]
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    assert metadata["labels"]["kueue.x-k8s.io/priority-class"] == "high"
    assert metadata["labels"]["inference-portal/endpoint"] == str(spec().uid)
    assert metadata["annotations"] == {"inference-portal/revision": "1", "inference-portal/entrance": "cluster"}
    assert "app" not in metadata["labels"], "the operator's own label"
