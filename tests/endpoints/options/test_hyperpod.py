"""Options on HyperPod: what people may set, what the portal fills, and which combinations the operator refuses."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind
from endpoints.options import check_change, check_options, problems_of
from portal.tenancy.errors import Invalid

HYPERPOD = Cluster(name="hyper", kind=ClusterKind.HYPERPOD)
ROUTED = {"intelligentRoutingSpec": {"enabled": True}}
GPU = {"limits": {"nvidia.com/gpu": 1}}


def spec(**values: Any) -> dict[str, Any]:
    return {"engine": "vllm", "task": "chat", "artifact": {"kind": "s3", "location": "s3://models/chat"}, **values}


JUMPSTART = spec(artifact={"kind": "jumpstart", "location": "deepseek-llm-r1"})


def told(options: Any, its: dict[str, Any] | None = None, cluster: Cluster = HYPERPOD) -> list[str]:
    return [str(problem) for problem in problems_of(cluster, its or spec(), options)]


def paths(options: dict[str, Any], its: dict[str, Any] | None = None) -> list[str]:
    """Of everything that is wrong beside a right instance type."""
    kind = (its or {}).get("artifact", {}).get("kind")
    where = {} if kind == "jumpstart" or {"instanceTypes", "nodeAffinity"} & set(options) else {"instanceType": "ml.g5.8xlarge"}
    return [problem.path for problem in problems_of(HYPERPOD, its or spec(), {**where, **options})]


GOOD: list[dict[str, Any]] = [
    {"instanceTypes": ["ml.p5.48xlarge", "ml.p4d.24xlarge"]},
    {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["ml.p5.48xlarge"]}]}]}}},
    {"modelVersion": "3", "modelName": "chat", "maxDeployTimeInSeconds": 1800, "tags": [{"name": "team", "value": "chat"}]},
    {"kvCacheSpec": {"enableL1Cache": True}},
    {"kvCacheSpec": {"enableL2Cache": True, "l2CacheSpec": {"l2CacheBackend": "Redis",
                                                           "l2CacheLocalUrl": "redis://redis.caches.svc.cluster.local:6379"}}},
    {**ROUTED, "invocationEndpoint": "v1/chat/completions", "entrance": "load-balancer"},
    {"intelligentRoutingSpec": {"enabled": True, "routingStrategy": "kvaware", "autoScalingSpec": {"maxReplicaCount": 3}}},
    {"endpointName": "chat", "entrance": "sagemaker", "dataCapture": {"sagemakerEndpoint": {"enabled": True}}},
    {"queue": "chat-queue", "priorityClass": "inference-priority"},
    {"worker": {"requestLimits": {"maxConcurrentRequests": 8, "maxQueueSize": 4, "overflowStatusCode": 503},
                "probes": {"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}, "timeoutSeconds": 5}},
                "environmentVariables": [{"name": "LMCACHE_CHUNK_SIZE", "value": "256"},
                                         {"name": "HUB_TOKEN", "valueFrom": {
                                             "secretKeyRef": {"name": "hub", "key": "token"}}}]}},
    {"tlsConfig": {"customCertificateConfig": {"acmArn": "arn:aws:acm:us-west-2:123456789012:certificate/ab-12",
                                               "domainName": "chat.example.com"}}, "dnsConfig": {"hostedZoneId": "Z0ABC"}},
    {"metrics": {"modelMetrics": {"port": 8000, "path": "/metrics"}}},
    {"modelSourceConfig": {"prefetchEnabled": True, "fsxStorage": {"dnsName": "fs.example.com", "mountName": "fsx"}}},
    {"kubernetes": {"serviceAccountName": "models", "volumes": [{"name": "scratch", "emptyDir": {}}],
                    "initContainers": [{"name": "fetch", "image": "fetch:1", "command": ["fetch"],
                                        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}]}},
    {"pdSpec": {"prefillSpec": {"resources": GPU, "args": ["--max-num-seqs", "8"]},
                "decodingSpec": {"resources": GPU, "args": ["--gpu-memory-utilization=0.9"]}, "routingThreshold": 2048}},
    {"instanceType": "ml.p5.48xlarge", "worker": {"resources": {"limits": {"nvidia.com/mig-1g.10gb": 1}}}},
]


@pytest.mark.parametrize("options", GOOD, ids=",".join)
def test_good_options_are_kept_as_they_are(options: dict[str, Any]) -> None:
    if not {"instanceTypes", "nodeAffinity"} & set(options):
        options = {"instanceType": "ml.g5.8xlarge", **options}
    assert check_options(HYPERPOD, spec(), options) == options


@pytest.mark.parametrize(("options", "path"), [
    ({"replicas": 2}, "replicas"), ({"InitialReplicaCount": 2}, "InitialReplicaCount"),
    ({"autoScalingSpec": {"minReplicaCount": 1, "maxReplicaCount": 2}}, "autoScalingSpec.minReplicaCount"),
    ({"worker": {"image": "evil:latest"}}, "worker.image"), ({"worker": {"args": ["--trust-remote-code"]}}, "worker.args"),
    ({"worker": {"command": ["sh"]}}, "worker.command"),
    ({"worker": {"modelInvocationPort": {"containerPort": 9000}}}, "worker.modelInvocationPort.containerPort"),
    ({"worker": {"resources": {"limits": {"nvidia.com/gpu": 8}}}}, "worker.resources.limits.nvidia.com/gpu"),
    ({"modelSourceConfig": {"modelSourceType": "s3"}}, "modelSourceConfig.modelSourceType"),
    ({"modelSourceConfig": {"huggingFaceModel": {"modelId": "a/b"}}}, "modelSourceConfig.huggingFaceModel.modelId"),
])
def test_what_the_portal_fills_is_said_to_be_so(options: dict[str, Any], path: str) -> None:
    assert paths(options) == [path]
    assert "The portal fills this from" in told({"instanceType": "ml.g5.8xlarge", **options})[0]


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"instanceTypes": ["ml.p5.48xlarge"], "instanceType": "ml.p5.48xlarge"}, {}, "instanceTypes"),
    ({"instanceType": "ml.p3.8xlarge"}, {}, "instanceType"),
    ({"instanceTypes": ["ml.p5.48xlarge", "ml.p3.8xlarge"]}, {}, "instanceTypes.1"),
    ({"kvCacheSpec": {"enableL1Cache": True}}, {"engine": "sglang"}, "kvCacheSpec"),
    ({"kvCacheSpec": {"enableL2Cache": True}}, {}, "kvCacheSpec.l2CacheSpec.l2CacheBackend"),
    ({"kvCacheSpec": {"enableL2Cache": True, "l2CacheSpec": {"l2CacheBackend": "myredis"}}}, {},
     "kvCacheSpec.l2CacheSpec.l2CacheBackend"),
    ({"kvCacheSpec": {"enableL2Cache": True, "l2CacheSpec": {"l2CacheBackend": "redis"}}}, {},
     "kvCacheSpec.l2CacheSpec.l2CacheLocalUrl"),
    ({"kvCacheSpec": {"enableL2Cache": True, "l2CacheSpec": {
        "l2CacheBackend": "redis", "l2CacheLocalUrl": "redis://:pw@redis:6379"}}}, {},
     "kvCacheSpec.l2CacheSpec.l2CacheLocalUrl"),
    ({"kvCacheSpec": {"l2CacheSpec": {"l2CacheBackend": "redis"}}}, {}, "kvCacheSpec.l2CacheSpec"),
    ({"kvCacheSpec": {"enableL2Cache": True, "l2CacheSpec": {
        "l2CacheBackend": "redis", "l2CacheLocalUrl": "redis://redis:6379"}},
      "modelSourceConfig": {"prefetchEnabled": True}}, {}, "modelSourceConfig.prefetchEnabled"),
    ({"intelligentRoutingSpec": {"routingStrategy": "session"}}, {}, "intelligentRoutingSpec.enabled"),
    (ROUTED, {"engine": "lmi"}, "intelligentRoutingSpec.enabled"),
    (ROUTED, {"task": "embedding"}, "intelligentRoutingSpec.enabled"),
    ({**ROUTED, "invocationEndpoint": "invocations"}, {}, "invocationEndpoint"),
    ({"entrance": "load-balancer"}, {}, "entrance"), ({"entrance": "door"}, {}, "entrance"),
    ({"entrance": "sagemaker"}, {}, "endpointName"), ({"queue": "no queue"}, {}, "queue"),
    ({"dnsConfig": {"hostedZoneId": "Z0ABC"}}, {}, "tlsConfig.customCertificateConfig"),
    ({"worker": {"requestLimits": {"maxQueueSize": 4}}}, {}, "worker.requestLimits.maxConcurrentRequests"),
    ({"worker": {"requestLimits": {"maxConcurrentRequests": 4}}, "metrics": {"enabled": False}}, {}, "metrics.enabled"),
    ({"worker": {"requestLimits": {"maxConcurrentRequests": 4, "overflowStatusCode": 200}}}, {},
     "worker.requestLimits.overflowStatusCode"),
    ({"metrics": {"modelMetrics": {"port": 8080}}}, {}, "metrics.modelMetrics.port"),
    ({"dataCapture": {"s3Uri": "s3://capture/"}}, {}, "dataCapture"),
    ({"dataCapture": {"sagemakerEndpoint": {"enabled": True}}}, {}, "dataCapture.sagemakerEndpoint.enabled"),
    ({"dataCapture": {"loadBalancer": {"enabled": True}}}, {}, "dataCapture.loadBalancer.enabled"),
    ({"dataCapture": {"modelPod": {"enabled": True, "captureOptions": [{"captureMode": "Input"}] * 2}}}, {},
     "dataCapture.modelPod.captureOptions"),
    ({"tags": [{"name": "AWS:team", "value": "x"}]}, {}, "tags.0.name"),
    ({"pdSpec": {"prefillSpec": {"resources": GPU}, "decodingSpec": {"resources": GPU}}}, {"engine": "sglang"}, "pdSpec"),
    ({"pdSpec": {"prefillSpec": {"resources": GPU}, "decodingSpec": {}}}, {}, "pdSpec.decodingSpec.resources.limits"),
    ({"pdSpec": {"prefillSpec": {"resources": GPU}}}, {}, "pdSpec.decodingSpec"),
    ({"pdSpec": {"prefillSpec": {"resources": GPU, "args": ["--trust-remote-code"]}, "decodingSpec": {"resources": GPU}}}, {},
     "pdSpec.prefillSpec.args.0"),
    ({"instanceType": "ml.p5.48xlarge", "worker": {"resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}}, {},
     "worker.resources.limits.nvidia.com/mig-1g.5gb"),
    ({"worker": {"resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}}, {}, "worker.resources.limits.nvidia.com/mig-1g.5gb"),
    ({"intelligentRoutingSpec": {"enabled": True, "autoScalingSpec": {"minReplicaCount": 4, "maxReplicaCount": 2}}}, {},
     "intelligentRoutingSpec.autoScalingSpec.maxReplicaCount"),
    ({"intelligentRoutingSpec": {"enabled": True, "autoScalingSpec": {"prometheusTriggerList": [
        {"query": "up", "serverAddress": "http://169.254.169.254/"}]}}}, {},
     "intelligentRoutingSpec.autoScalingSpec.prometheusTriggerList.0.serverAddress"),
    ({"intelligentRoutingSpec": {"enabled": True, "autoScalingSpec": {"prometheusTrigger": {"customHeaders": "A=b"}}}}, {},
     "intelligentRoutingSpec.autoScalingSpec.prometheusTrigger.customHeaders"),
    ({"kubernetes": {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}}, {}, "kubernetes.volumes.0.hostPath"),
    ({"kubernetes": {"volumes": [{"name": "model", "emptyDir": {}}]}}, {}, "kubernetes.volumes.0.name"),
    ({"kubernetes": {"initContainers": [{"name": "x", "securityContext": {"privileged": True}}]}}, {},
     "kubernetes.initContainers.0.securityContext.privileged"),
    ({"kubernetes": {"initContainers": [{"name": "x", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]}}, {},
     "kubernetes.initContainers.0.securityContext"),
    ({"kubernetes": {"initContainers": [{"name": "x", "ports": [{"containerPort": 80, "hostPort": 80}]}]}}, {},
     "kubernetes.initContainers.0.ports.0"),
    ({"worker": {"probes": {"readinessProbe": {"httpGet": {"port": 80, "host": "169.254.169.254"}}}}}, {},
     "worker.probes.readinessProbe.httpGet.host"),
    ({"worker": {"environmentVariables": [{"name": "LD_PRELOAD", "value": "/x.so"}]}}, {},
     "worker.environmentVariables.0.name"),
    ({"worker": {"environmentVariables": [{"name": "OPTION_TRUST_REMOTE_CODE", "value": "true"}]}}, {},
     "worker.environmentVariables.0.name"),
    ({"pdSpec": {"prefillSpec": {"resources": {"limits": {"nvidia.com/gpu": "1e3"}}}, "decodingSpec": {"resources": GPU}}}, {},
     "pdSpec.prefillSpec.resources.limits.nvidia.com/gpu"),
    ({"pdSpec": {"prefillSpec": {"resources": GPU, "replicas": 65}, "decodingSpec": {"resources": GPU}}}, {},
     "pdSpec.prefillSpec.replicas"),
    ({"worker": {"environmentVariables": [{"name": "VLLM_API_KEY", "value": "x"}]}}, {}, "worker.environmentVariables.0.name"),
    ({"worker": {"environmentVariables": [{"name": "HUB_TOKEN", "value": "hf_abc"}]}}, {},
     "worker.environmentVariables.0.value"),
]


@pytest.mark.parametrize(("options", "its", "path"), BAD, ids=[f"{index}-{path}" for index, (_o, _i, path) in enumerate(BAD)])
def test_a_combination_that_is_refused_is_refused_at_its_path(options: dict[str, Any], its: dict[str, Any], path: str) -> None:
    assert paths(options, spec(**its)) == [path]


def test_labels_of_a_profile_choose_machines_too() -> None:
    assert told({}, spec(placement={"node_selector": {"node.kubernetes.io/instance-type": "ml.p5.48xlarge"}})) == []


def test_an_instance_type_has_to_be_named() -> None:
    assert told({}) == ["instanceType: Say where it runs: an instanceType, instanceTypes in order, or a nodeAffinity."]


@pytest.mark.parametrize(("options", "path"), [
    ({}, "server"), ({"server": {}}, "server.instanceType"),
    ({"server": {"instanceType": "ml.p5.48xlarge"}, "model": {"acceptEula": True}}, "model.acceptEula"),
    ({"server": {"instanceType": "ml.p5.48xlarge"}, "model": {"modelId": "other"}}, "model.modelId"),
    ({"server": {"instanceType": "ml.p5.48xlarge", "acceleratorPartitionType": "mig-1g.5gb"}},
     "server.acceleratorPartitionType"),
    ({"server": {"instanceType": "ml.g6.12xlarge", "acceleratorPartitionType": "mig-1g.5gb"}},
     "server.acceleratorPartitionType"),
    ({"server": {"instanceType": "ml.p5.48xlarge"}, "worker": {}}, "worker"),
    ({"server": {"instanceType": "ml.p5.48xlarge"}, "entrance": "sagemaker"}, "sageMakerEndpoint.name"),
    ({"server": {"instanceType": "ml.p5.48xlarge"}, "environmentVariables": [{"name": "LD_PRELOAD", "value": "x"}]},
     "environmentVariables.0.name"),
])
def test_jumpstart_has_fields_of_its_own(options: dict[str, Any], path: str) -> None:
    assert path in paths(options, JUMPSTART)


def test_good_jumpstart_options() -> None:
    options = {
        "server": {"instanceType": "ml.p5.48xlarge", "acceleratorPartitionType": "mig-1g.10gb"},
        "model": {"modelHubName": "SageMakerPublicHub", "additionalConfigs": [{"name": "a", "value": "b"}]},
        "sageMakerEndpoint": {"name": "chat"}, "environmentVariables": [{"name": "OPTION_X", "value": "1"}]}
    assert check_options(HYPERPOD, JUMPSTART, options) == options


@pytest.mark.django_db
@pytest.mark.parametrize("tiered", [True, False])
def test_tiered_storage_needs_the_clusters_own(tiered: bool) -> None:
    cluster = Cluster.objects.create(name="hyper", kind=ClusterKind.HYPERPOD)
    AwsPlace.objects.create(cluster=cluster, account=AwsAccount.objects.create(name="main"), region="us-west-2",
                            features={"tiered_storage": tiered})
    options = {"instanceType": "ml.p5.48xlarge", "kvCacheSpec": {"enableL2Cache": True, "l2CacheSpec": {
        "l2CacheBackend": "tieredstorage"}}}
    assert [text.partition(":")[0] for text in told(options, cluster=cluster)] == (
        [] if tiered else ["kvCacheSpec.l2CacheSpec.l2CacheBackend"])


@pytest.mark.parametrize("options", [[], "text", {"tags": float("nan")}, {"modelVersion": "x" * 70_000}])
def test_options_are_one_small_object(options: Any) -> None:
    assert told(options) == ["Options are one JSON object of at most 64 KB."]


def test_places_without_options_refuse_any() -> None:
    place = Cluster(name="kube", kind=ClusterKind.KUBERNETES)
    assert check_options(place, spec(), {}) == {}
    with pytest.raises(Invalid, match="no options of their own") as refused:
        check_options(place, spec(), {"instanceType": "ml.p5.48xlarge"})
    assert refused.value.field == "options"


def test_only_the_first_problems_are_told() -> None:
    with pytest.raises(Invalid, match="And 3 more") as refused:
        check_options(HYPERPOD, spec(), {f"a{number}": 1 for number in range(8)})
    assert refused.value.field == "options"


@pytest.mark.parametrize(("was", "will", "may"), [
    ({}, {}, True), (ROUTED, ROUTED, True), ({}, ROUTED, False), (ROUTED, {}, False),
    (ROUTED, {"intelligentRoutingSpec": {"enabled": True, "routingStrategy": "session"}}, True)])
def test_routing_comes_and_goes_with_the_object_only(was: dict[str, Any], will: dict[str, Any], may: bool) -> None:
    if may:
        check_change({"options": was}, {"options": will})
        return
    with pytest.raises(Invalid, match="can't be added"):
        check_change({"options": was}, {"options": will})
