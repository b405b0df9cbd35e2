"""Autoscaling as pure functions: every trigger and key of KEDA that the portal takes, and all that it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest

from endpoints.autoscale import check_autoscale, sentences
from endpoints.autoscale.signals import SIGNALS
from endpoints.autoscale.triggers import TRIGGERS
from endpoints.states import Cause
from endpoints.targets.base import Autoscale, Origin, Resources, RevisionSpec, Spec, TargetError, Trigger
from endpoints.targets.kubernetes.keda import interceptor_host, scaled_objects
from portal.tenancy.errors import Invalid

PROMETHEUS = {"serverAddress": "http://prometheus:9090", "threshold": "10"}
RABBIT = {"queueName": "jobs", "mode": "QueueLength", "value": "20", "host": "amqp://broker.queues:5672/"}
CLOUD = {"awsRegion": "us-east-1", "targetMetricValue": "5"}


def wish(*triggers: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"max_replicas": 4, "triggers": list(triggers), **values}


def of(kind: str, metadata: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "metadata": metadata, **more}


def one(kind: str, metadata: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The only trigger of a wish, as it is kept."""
    found, _notes = check_autoscale(wish(of(kind, metadata, **more)))
    return found["triggers"][0]


def refusal(value: Any) -> str:
    with pytest.raises(Invalid) as error:
        check_autoscale(value)
    assert error.value.field == "autoscale"
    return error.value.message


def test_nothing_is_no_autoscaling() -> None:
    assert check_autoscale({}) == ({}, [])
    assert sentences({}) == []


def test_the_wish_is_kept_whole_with_its_defaults() -> None:
    found, notes = check_autoscale(wish(of("prometheus", {"signal": "waiting", "threshold": 5})))
    assert notes == []
    assert found == {
        "min_replicas": 1, "max_replicas": 4, "polling_seconds": 30, "cooldown_seconds": 300, "stabilisation_up_seconds": 0,
        "stabilisation_down_seconds": 300, "triggers": [{
            "type": "prometheus", "metadata": {"signal": "waiting", "threshold": "5"}, "metric_type": "AverageValue",
            "authentication": ""}]}


@pytest.mark.parametrize(("kind", "metadata", "metric_type"), [
    ("prometheus", {**PROMETHEUS, "signal": "kv-cache", "threshold": 0.8}, "Value"),
    ("prometheus", {**PROMETHEUS, "query": "sum(x)", "activationThreshold": 1, "namespace": "tenant",
                    "ignoreNullValues": False, "queryParameters": "a=1,b=2", "unsafeSsl": True, "timeout": 500,
                    "authModes": "bearer,tls"}, "AverageValue"),
    ("cpu", {"value": 80, "containerName": "engine"}, "Utilization"),
    ("memory", {"value": "80", "containerName": "engine"}, "Utilization"),
    ("rabbitmq", RABBIT, "AverageValue"),
    ("rabbitmq", {**RABBIT, "mode": "MessageRate", "host": "http://broker:15672/vhost", "protocol": "http",
                  "activationValue": 2, "vhostName": "/", "useRegex": True, "pageSize": 10, "operation": "max",
                  "timeout": 100, "excludeUnacknowledged": True, "unsafeSsl": False}, "AverageValue"),
    ("redis", {"address": "redis:6379", "listName": "jobs", "listLength": 5, "databaseIndex": 1, "enableTLS": True,
               "activationListLength": 1, "unsafeSsl": False}, "AverageValue"),
    ("redis", {"host": "redis", "port": 6379, "listName": "jobs", "listLength": 5}, "AverageValue"),
    ("kafka", {"bootstrapServers": "a:9092,b:9092", "consumerGroup": "g"}, "AverageValue"),
    ("kafka", {"bootstrapServers": "a:9092", "consumerGroup": "g", "topic": "t", "lagThreshold": 10,
               "activationLagThreshold": 0, "offsetResetPolicy": "latest", "allowIdleConsumers": False,
               "scaleToZeroOnInvalidOffset": False, "excludePersistentLag": True, "limitToPartitionsWithLag": False,
               "ensureEvenDistributionOfPartitions": False, "version": "2.5.0", "partitionLimitation": "1,2,10-12",
               "sasl": "scram_sha512", "saslTokenProvider": "bearer", "tls": "enable", "unsafeSsl": "false",
               "awsRegion": "us-east-1"}, "AverageValue"),
    ("aws-cloudwatch", {**CLOUD, "expression": "SELECT MAX(x) FROM y"}, "AverageValue"),
    ("aws-cloudwatch", {**CLOUD, "namespace": "AWS/SQS", "metricName": "m", "dimensionName": "a;b", "dimensionValue": "c;d",
                        "minMetricValue": 0, "activationTargetMetricValue": 1, "metricStat": "Sum", "metricStatPeriod": 60,
                        "metricCollectionTime": 300, "metricEndTimeOffset": 0, "metricUnit": "Count",
                        "ignoreNullValues": True, "awsEndpoint": "https://monitoring.example"}, "AverageValue"),
    ("http", {"concurrency": 10}, "AverageValue"),
    ("http", {"requestRate": 5, "window": "1m", "granularity": "1s"}, "AverageValue"),
])
def test_every_trigger_of_keda_is_taken_with_all_its_keys_as_text(
    kind: str, metadata: dict[str, Any], metric_type: str,
) -> None:
    kept = one(kind, metadata)
    assert kept["metric_type"] == metric_type
    assert set(kept["metadata"]) == set(metadata)
    assert all(isinstance(value, str) for value in kept["metadata"].values())


def test_the_table_of_the_test_has_every_key_that_there_is() -> None:
    cases = test_every_trigger_of_keda_is_taken_with_all_its_keys_as_text.pytestmark[0].args[1]
    for kind, rule in TRIGGERS.items():
        assert {key for name, metadata, _type in cases if name == kind for key in metadata} == set(rule.keys), kind


@pytest.mark.parametrize(("kind", "metadata", "words"), [
    ("prometheus", {"serverAddress": "http://p:9090", "signal": "waiting"}, "needs threshold"),
    ("prometheus", PROMETHEUS, "needs signal or query"),
    ("prometheus", {**PROMETHEUS, "signal": "waiting", "query": "x"}, "not both"),
    ("prometheus", {**PROMETHEUS, "signal": "queue"}, "must be one of: waiting"),
    ("prometheus", {**PROMETHEUS, "query": "x", "treshold": "1"}, "Did you mean “threshold”?"),
    ("prometheus", {**PROMETHEUS, "query": "x", "server": "x"}, "has no “server”"),
    ("prometheus", {**PROMETHEUS, "query": "x", "threshold": "many"}, "“threshold” takes a number"),
    ("prometheus", {**PROMETHEUS, "query": "x", "threshold": "-1"}, "“threshold” takes a number"),
    ("prometheus", {**PROMETHEUS, "query": "x", "threshold": ["1"]}, "takes text or a number"),
    ("prometheus", {**PROMETHEUS, "query": "x\x00"}, "plain text"),
    ("prometheus", {**PROMETHEUS, "query": "x" * 2001}, "at most 2000"),
    ("prometheus", {**PROMETHEUS, "query": "x", "serverAddress": "http://user:pass@p:9090"}, "must not hold a user"),
    ("prometheus", {**PROMETHEUS, "query": "x", "serverAddress": "file:///etc/passwd"}, "starts with http://"),
    ("prometheus", {**PROMETHEUS, "query": "x", "serverAddress": "p:9090"}, "starts with http://"),
    ("prometheus", {**PROMETHEUS, "query": "x", "serverAddress": "http://p:99999"}, "starts with http://"),
    ("prometheus", {**PROMETHEUS, "query": "x", "customHeaders": "Authorization=x"}, "TriggerAuthentication"),
    ("prometheus", {**PROMETHEUS, "query": "x", "queryParameters": "token=x"}, "must not hold a secret"),
    ("prometheus", {**PROMETHEUS, "query": "x", "unsafeSsl": "yes"}, "true or false"),
    ("prometheus", {**PROMETHEUS, "query": "x", "authModes": "magic"}, "must be one of: bearer"),
    ("prometheus", {**PROMETHEUS, "metricName": "vllm:num_request_waiting"}, "Did you mean vllm:num_requests_waiting?"),
    ("prometheus", {**PROMETHEUS, "metricName": "my_metric"}, "write a query"),
    ("cpu", {}, "needs value"),
    ("cpu", {"value": "lots"}, "“value” takes"),
    ("cpu", {"value": "500m"}, "whole per cent"),
    ("rabbitmq", {"queueName": "q", "mode": "QueueLength", "value": "5"}, "needs host or authentication"),
    ("rabbitmq", {**RABBIT, "host": "amqp://guest:guest@broker:5672/"}, "must not hold a user"),
    ("rabbitmq", {**RABBIT, "hostFromEnv": "RABBIT"}, "TriggerAuthentication"),
    ("rabbitmq", {**RABBIT, "passwordFromEnv": "HF_TOKEN"}, "TriggerAuthentication"),
    ("rabbitmq", {**RABBIT, "mode": "MessageRate"}, "HTTP interface"),
    ("rabbitmq", {**RABBIT, "mode": "Length"}, "must be one of: QueueLength"),
    ("rabbitmq", {"mode": "QueueLength", "value": "1", "host": "amqp://b:1"}, "needs queueName"),
    ("redis", {"listName": "l", "listLength": "5"}, "needs address or host + port"),
    ("redis", {"host": "redis", "listName": "l", "listLength": "5"}, "needs address or host + port"),
    ("redis", {"address": "redis", "listName": "l", "listLength": "5"}, "takes host:port"),
    ("redis", {"addressFromEnv": "X", "listName": "l", "listLength": "5"}, "TriggerAuthentication"),
    ("kafka", {"bootstrapServers": "a:9092"}, "needs consumerGroup"),
    ("kafka", {"bootstrapServers": "a", "consumerGroup": "g"}, "takes host:port"),
    ("kafka", {"bootstrapServers": "a:1", "consumerGroup": "g", "lag": "5"}, "has no “lag”"),
    ("aws-cloudwatch", CLOUD, "needs namespace + metricName + dimensionName + dimensionValue or expression"),
    ("aws-cloudwatch", {**CLOUD, "expression": "x", "identityOwner": "pod"}, "has no “identityOwner”"),
    ("aws-cloudwatch", {**CLOUD, "expression": "x", "metricStatPeriod": 600}, "must not be shorter"),
    ("http", {}, "needs concurrency or requestRate"),
    ("http", {"concurrency": "5", "requestRate": "5"}, "not both"),
    ("http", {"concurrency": "0"}, "from 1"),
    ("http", {"concurrency": "5", "window": "1m"}, "belong to requestRate"),
    ("external-push", {"scalerAddress": "evil:9090"}, "Write the type “http”"),
    ("promethius", {}, "Did you mean “prometheus”?"),
    ("cron", {}, "There are: prometheus, http"),
])
def test_wrong_metadata_is_refused_with_what_would_be_right(kind: str, metadata: dict[str, Any], words: str) -> None:
    assert words in refusal(wish(of(kind, metadata)))


@pytest.mark.parametrize(("value", "words"), [
    ([], "object"), ("x", "object"), (wish(), "1 to 8 triggers"), ({"max_replicas": 4}, "1 to 8 triggers"),
    ({"triggers": [of("cpu", {"value": 80})]}, "Give max_replicas"),
    (wish(of("cpu", {"value": 80}), min_replicas=5), "more than max_replicas"),
    (wish(of("cpu", {"value": 80}), max_replicas=65), "from 1 to 64"),
    (wish(of("cpu", {"value": 80}), min_replicas=True), "whole number"),
    (wish(of("cpu", {"value": 80}), min_replicas="1"), "whole number"),
    (wish(of("cpu", {"value": 80}), cooldown=1), "Did you mean “cooldown_seconds”?"),
    (wish(of("cpu", {"value": 80}), polling_seconds=1), "from 5 to 3600"),
    (wish(of("cpu", {"value": 80}), stabilisation_down_seconds=3601), "from 0 to 3600"),
    (wish("cpu"), "type and metadata"), (wish(of("cpu", [])), "object of names"),
    (wish(of("cpu", {"value": 80}, metric_type="Value")), "Utilization or AverageValue"),
    (wish(of("prometheus", {**PROMETHEUS, "query": "x"}, metric_type="Utilization")), "AverageValue or Value"),
    (wish(of("prometheus", {**PROMETHEUS, "signal": "kv-cache"}, metric_type="AverageValue")), "leave the metric type empty"),
    (wish(of("cpu", {"value": 80}, authenticationRef={"name": "x", "kind": "ClusterTriggerAuthentication"})),
     "TriggerAuthentication in the endpoint's namespace"),
    (wish(of("cpu", {"value": 80}, authentication="Not a name")), "TriggerAuthentication"),
    (wish(of("cpu", {"value": 80}, useCachedMetrics=True)), "has no “useCachedMetrics”"),
    (wish(of("http", {"concurrency": 1}), of("http", {"concurrency": 2})), "One trigger “http” is enough"),
    (wish(*[of("cpu", {"value": 80})] * 9), "1 to 8"),
])
def test_a_wish_that_nothing_could_keep_is_refused(value: Any, words: str) -> None:
    assert words in refusal(value)


@pytest.mark.parametrize(("trigger", "wakes"), [
    (of("cpu", {"value": 80}), False), (of("memory", {"value": 80}), False),
    (of("prometheus", {**PROMETHEUS, "signal": "waiting"}), False), (of("prometheus", {**PROMETHEUS, "signal": "gpu"}), False),
    (of("prometheus", {**PROMETHEUS, "query": "sum(vllm:num_requests_running)"}), False),
    (of("prometheus", {**PROMETHEUS, "query": "sum(portal_gateway_waiting)"}), True),
    (of("rabbitmq", RABBIT), True), (of("redis", {"address": "r:1", "listName": "l", "listLength": "5"}), True),
    (of("kafka", {"bootstrapServers": "a:1", "consumerGroup": "g"}), True), (of("http", {"concurrency": 5}), True),
    (of("aws-cloudwatch", {**CLOUD, "expression": "x"}), True),
])
def test_scale_to_zero_needs_a_trigger_that_can_wake(trigger: dict[str, Any], wakes: bool) -> None:
    value = wish(trigger, min_replicas=0)
    if wakes:
        assert any("the last replica goes" in line for line in sentences(check_autoscale(value)[0]))
    else:
        assert "sleep for ever" in refusal(value)
    assert check_autoscale(wish(of("cpu", {"value": 80}), of("http", {"concurrency": 5}), min_replicas=0))


@pytest.mark.parametrize(("metric", "signal"), [
    ("vllm_request_queue_size", "waiting"), ("vllm_queue_size", "waiting"), ("vllm:num_requests_waiting", "waiting"),
    ("vllm:gpu_cache_usage_perc", "kv-cache"), ("vllm:num_requests_running", "running"),
])
def test_metric_names_become_signals_with_a_note(metric: str, signal: str) -> None:
    found, notes = check_autoscale(wish(of("prometheus", {**PROMETHEUS, "metricName": metric})))
    assert found["triggers"][0]["metadata"] == {**PROMETHEUS, "signal": signal}
    assert len(notes) == 1
    assert metric in notes[0]
    assert signal in notes[0]


def test_the_guides_own_scaled_object_is_understood_with_a_note_on_each_change() -> None:
    metadata = {**PROMETHEUS, "metricName": "vllm_queue_size", "query": 'avg(vllm_request_queue_size{job="vllm"})'}
    found, notes = check_autoscale(wish(of("prometheus", metadata)))
    assert found["triggers"][0]["metadata"]["query"] == 'avg(vllm:num_requests_waiting{job="vllm"})'
    assert found["triggers"][0]["metric_type"] == "Value"
    assert [word for word in ("left out", "now reads", "compared as Value") if not any(word in note for note in notes)] == []


def test_what_keda_calls_deprecated_becomes_what_it_takes_now() -> None:
    kept, notes = check_autoscale(wish(of("cpu", {"type": "AverageValue", "value": "500m"})))
    assert kept["triggers"][0] == {"type": "cpu", "metadata": {"value": "500m"}, "metric_type": "AverageValue",
                                   "authentication": ""}
    assert "metadata.type" in notes[0]
    kept, notes = check_autoscale(wish(of("rabbitmq", {"queueName": "q", "queueLength": "5", "host": "amqp://b:5672"})))
    assert kept["triggers"][0]["metadata"]["mode"] == "QueueLength"
    assert "queueLength" in notes[0]


def test_keda_s_own_spelling_is_taken() -> None:
    kept = one("prometheus", {**PROMETHEUS, "query": "x"}, metricType="Value", authenticationRef={"name": "prom-auth"})
    assert (kept["metric_type"], kept["authentication"]) == ("Value", "prom-auth")


def test_what_is_kept_is_taken_again_unchanged() -> None:
    cases = test_every_trigger_of_keda_is_taken_with_all_its_keys_as_text.pytestmark[0].args[1]
    for kind, metadata, _metric_type in cases:
        found, _notes = check_autoscale(wish(of(kind, metadata)))
        assert check_autoscale(found) == (found, [])


def test_the_sentences_say_what_will_happen() -> None:
    found, _notes = check_autoscale(wish(of("prometheus", {"signal": "waiting", "threshold": 5}), of("cpu", {"value": 80})))
    text = " ".join(sentences(found))
    for words in ("between 1 and 4 replicas", "waiting requests above 5 for each replica", "CPU above 80 % of the request",
                  "every 30 s"):
        assert words in text


# What KEDA gets


@dataclass
class Place:
    prometheus: str = "http://prometheus.monitoring:9090"
    found: set[str] = field(default_factory=lambda: {"keda", "keda_http"})

    def has(self, capability: str) -> bool:
        return capability in self.found


def spec_with(value: dict[str, Any], *, nodes: int = 1, engine: str = "vllm", **more: Any) -> Spec:
    found, _notes = check_autoscale(value)
    revision = RevisionSpec(
        number=1, engine=engine, release="vllm-0.32.0", device="cuda", task="chat", artifact_kind="huggingface",
        artifact_location="a/b", artifact_revision="", arguments={}, environment={}, start_seconds=60,
        resources=Resources(cpu_millis=1000, memory_bytes=1, gpus=1, nodes=nodes))
    return Spec(
        uid=UUID(int=1), name="chat", external_name="chat-0123456789", workspace="alpha", cluster_id=1, public_name="chat",
        generation=1, replicas=1, wanted=revision, namespace="ip-alpha",
        autoscale=Autoscale(**{**found, "triggers": tuple(Trigger(**t) for t in found["triggers"])}) if found else None, **more)


def test_keda_scales_the_stateful_set_between_the_bounds() -> None:
    value = wish(of("prometheus", {"signal": "waiting", "threshold": 5}), min_replicas=2, stabilisation_up_seconds=15)
    [made] = scaled_objects(spec_with(value), Place())
    assert made == {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "chat-0123456789-scaler", "namespace": "ip-alpha"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "chat-0123456789"},
            "pollingInterval": 30, "cooldownPeriod": 300, "minReplicaCount": 2, "maxReplicaCount": 4,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 15}, "scaleDown": {"stabilizationWindowSeconds": 300}}}},
            "triggers": [{"type": "prometheus", "metricType": "AverageValue", "metadata": {
                "serverAddress": "http://prometheus.monitoring:9090", "threshold": "5",
                "query": 'sum(vllm:num_requests_waiting{namespace="ip-alpha",pod=~"chat-0123456789-[0-9]+"})'}}],
        }}


def test_a_replica_over_several_nodes_is_scaled_as_a_group() -> None:
    [made] = scaled_objects(spec_with(wish(of("cpu", {"value": 80})), nodes=2), Place())
    assert made["spec"]["scaleTargetRef"] == {
        "apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "name": "chat-0123456789"}
    assert made["spec"]["triggers"] == [{"type": "cpu", "metadata": {"value": "80"}, "metricType": "Utilization"}]


def test_an_http_trigger_makes_its_route_first() -> None:
    spec = spec_with(wish(of("http", {"requestRate": 7, "window": "2m"}), min_replicas=0))
    route, made = scaled_objects(spec, Place())
    assert route["kind"] == "InterceptorRoute"
    assert route["spec"] == {
        "target": {"service": "chat-0123456789", "port": 8000}, "rules": [{"hosts": [interceptor_host(spec)]}],
        "scalingMetric": {"requestRate": {"targetValue": 7, "window": "2m"}}}
    assert made["spec"]["triggers"] == [{"type": "external-push", "metadata": {
        "scalerAddress": "keda-add-ons-http-external-scaler.keda:9090", "interceptorRoute": route["metadata"]["name"]}}]
    assert made["spec"]["minReplicaCount"] == 0


def test_an_authentication_goes_by_its_name() -> None:
    value = wish(of("rabbitmq", {"queueName": "q", "mode": "QueueLength", "value": "5"}, authentication="rabbit"))
    [made] = scaled_objects(spec_with(value), Place())
    assert made["spec"]["triggers"][0]["authenticationRef"] == {"name": "rabbit"}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_every_signal_asks_only_the_endpoints_own_pods(signal: str, engine: str) -> None:
    value = wish(of("prometheus", {"signal": signal, "threshold": "1"}))
    origin = Origin("VLLMCluster", "x/v1", "team", "my.llm", "u")
    spec = replace(spec_with(value, engine=engine, origin=origin), namespace="team")
    query = scaled_objects(spec, Place())[0]["spec"]["triggers"][0]["metadata"]["query"]
    assert '{namespace="team",pod=~"my[.]llm-[0-9]+"}' in query
    assert "{pods}" not in query
    assert query.count("(") == query.count(")")


@pytest.mark.parametrize(("value", "place", "engine", "words"), [
    (wish(of("cpu", {"value": 80})), Place(found=set()), "vllm", "KEDA is not installed"),
    (wish(of("http", {"concurrency": 5})), Place(found={"keda"}), "vllm", "HTTP add-on"),
    (wish(of("prometheus", {"signal": "waiting", "threshold": 5})), Place(prometheus=""), "vllm", "address of Prometheus"),
    (wish(of("prometheus", {"signal": "waiting", "threshold": 5})), Place(), "lmi", "write a query"),
])
def test_what_the_cluster_lacks_is_said_and_is_permanent(value: Any, place: Place, engine: str, words: str) -> None:
    with pytest.raises(TargetError, match=words) as error:
        scaled_objects(spec_with(value, engine=engine), place)
    assert error.value.permanent
    assert error.value.code in (Cause.NO_KIND, Cause.REFUSED)


def test_without_autoscaling_there_is_no_object() -> None:
    assert scaled_objects(spec_with({}), Place(found=set())) == []
