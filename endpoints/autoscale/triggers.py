"""The triggers that KEDA knows, with the keys of their metadata (KEDA 2.18; facts.md 4.2). Data only.

Left out on purpose: whatever carries a secret in plain text (`customHeaders`), or reads one from the engine's
own environment (`…FromEnv`: it would send the hub's token to any address). A TriggerAuthentication, by name,
is the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

BOTH = ("AverageValue", "Value")
RESOURCE = ("Utilization", "AverageValue")


@dataclass(frozen=True)
class Key:
    """One key. `kind`: text, name, number, integer, switch, seconds, url, address, addresses, duration, query, or `choices`."""

    kind: str = "text"
    help: str | Promise = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True)
class TriggerType:
    """`one_of` lists ways to say the same: one whole group must be there. `wakes`: can start the first replica."""

    label: str | Promise
    help: str | Promise
    keys: Mapping[str, Key]
    metric_types: tuple[str, ...] = BOTH
    one_of: tuple[tuple[str, ...], ...] = ()
    wakes: bool = True
    deprecated: Mapping[str, str] = field(default_factory=dict)


def need(kind: str, help_text: str | Promise, *choices: str) -> Key:
    return Key(kind, help_text, required=True, choices=choices)


_NUMBER, _SWITCH, _SECONDS, _COUNT = Key("number"), Key("switch"), Key("seconds"), Key("integer")
_UNSAFE = Key("switch", _("true: don't check the certificate. For tests only."))
_ACTIVATION = Key("number", _("Above this the first replica starts."))

_PROMETHEUS = TriggerType(
    _("Prometheus"), _("A figure that Prometheus has: one of the engine's signals, or a query of your own."),
    {
        "signal": Key("signal", _("What to look at. Leave the query empty then.")),
        "query": Key("query", _("PromQL that gives one number.")),
        "threshold": need("number", _("From how much on another replica is wanted.")),
        "serverAddress": Key("url", _("Address of Prometheus; empty takes the place's own.")),
        "activationThreshold": _ACTIVATION, "namespace": Key("text", _("For Prometheus servers with tenants.")),
        "ignoreNullValues": Key("switch", _("true: no value counts as 0.")), "queryParameters": Key("parameters"),
        "unsafeSsl": _UNSAFE, "timeout": Key("integer", _("Milliseconds.")),
        "authModes": Key("text", choices=("bearer", "basic", "tls", "custom"), many=True),
    }, one_of=(("signal",), ("query",)))

_CPU = TriggerType(
    _("CPU"), _("Use of the requested CPU. Needs the metrics server."),
    {"value": need("quantity", _("Per cent for Utilization, else an amount such as 500m.")), "containerName": Key("name")},
    RESOURCE, wakes=False)
_MEMORY = TriggerType(
    _("memory"), _("Use of the requested memory. Engines take theirs at the start: rarely a good sign."),
    {"value": need("quantity", _("Per cent for Utilization, else an amount such as 4Gi.")), "containerName": Key("name")},
    RESOURCE, wakes=False)

_RABBITMQ = TriggerType(
    _("RabbitMQ queue"), _("Messages in a queue, or how fast they come."),
    {
        "queueName": need("text", _("Name of the queue.")),
        "mode": need("text", _("What is counted; all but QueueLength need the HTTP interface."), "QueueLength", "MessageRate",
                      "DeliverGetRate", "PublishedToDeliveredRatio", "ExpectedQueueConsumptionTime"),
        "value": need("number", _("Messages, or messages per second, for each replica.")),
        "host": Key("broker", _("Such as amqp://broker.queues:5672/; user and password come from an authentication.")),
        "protocol": Key(choices=("auto", "http", "amqp")), "activationValue": _ACTIVATION, "vhostName": Key(),
        "useRegex": _SWITCH, "pageSize": _COUNT, "operation": Key(choices=("sum", "max", "avg")),
        "timeout": _COUNT, "excludeUnacknowledged": _SWITCH, "unsafeSsl": _UNSAFE,
    }, one_of=(("host",), ("authentication",)), deprecated={"queueLength": "value"})

_REDIS = TriggerType(
    _("Redis list"), _("Length of a list."),
    {
        "address": Key("address", _("Host and port.")), "host": Key("host"), "port": Key("integer"),
        "listName": need("text", _("Name of the list.")),
        "listLength": need("number", _("Entries for each replica.")), "activationListLength": _ACTIVATION,
        "databaseIndex": _COUNT, "enableTLS": _SWITCH, "unsafeSsl": _UNSAFE,
    }, one_of=(("address",), ("host", "port")))

_KAFKA = TriggerType(
    _("Kafka lag"), _("Messages that a consumer group has not read yet."),
    {
        "bootstrapServers": need("addresses", _("Host and port, several with commas.")),
        "consumerGroup": need("text", _("Group whose lag counts.")),
        "topic": Key("text", _("Recommended: without it every topic of the group counts.")),
        "lagThreshold": Key("number", _("Messages for each replica; 10 if empty.")), "activationLagThreshold": _ACTIVATION,
        "offsetResetPolicy": Key(choices=("latest", "earliest")), "allowIdleConsumers": _SWITCH,
        "scaleToZeroOnInvalidOffset": _SWITCH, "excludePersistentLag": _SWITCH, "limitToPartitionsWithLag": _SWITCH,
        "ensureEvenDistributionOfPartitions": _SWITCH, "version": Key("version"), "partitionLimitation": Key("numbers"),
        "sasl": Key(choices=("none", "plaintext", "scram_sha256", "scram_sha512", "gssapi", "oauthbearer")),
        "saslTokenProvider": Key(choices=("bearer", "aws_msk_iam")), "tls": Key(choices=("enable", "disable")),
        "unsafeSsl": _UNSAFE, "awsRegion": Key("name"),
    })

_CLOUDWATCH = TriggerType(
    _("AWS CloudWatch"), _("A metric of AWS."),
    {
        "awsRegion": need("name", _("Such as us-east-1.")), "targetMetricValue": need("number", _("For each replica.")),
        "namespace": Key(), "metricName": Key(), "dimensionName": Key("text", _("Several with semicolons.")),
        "dimensionValue": Key("text", _("Several with semicolons.")), "expression": Key("query"), "minMetricValue": _NUMBER,
        "activationTargetMetricValue": _ACTIVATION,
        "metricStat": Key(choices=("Average", "Sum", "Minimum", "Maximum", "SampleCount")),
        "metricStatPeriod": _SECONDS, "metricCollectionTime": _SECONDS, "metricEndTimeOffset": _COUNT, "metricUnit": Key(),
        "ignoreNullValues": _SWITCH, "awsEndpoint": Key("url"),
    }, one_of=(("namespace", "metricName", "dimensionName", "dimensionValue"), ("expression",)))

_HTTP = TriggerType(
    _("HTTP requests"), _("Calls that are open, or come in: held at KEDA's HTTP add-on until a replica is there."),
    {
        "concurrency": Key("integer", _("Open calls for each replica.")),
        "requestRate": Key("integer", _("Calls per second for each replica.")),
        "window": Key("duration", _("Over which time the rate is taken, such as 1m.")),
        "granularity": Key("duration", _("In which steps, such as 1s.")),
    }, ("AverageValue",), one_of=(("concurrency",), ("requestRate",)))

TRIGGERS: Mapping[str, TriggerType] = {
    "prometheus": _PROMETHEUS, "http": _HTTP, "cpu": _CPU, "memory": _MEMORY, "rabbitmq": _RABBITMQ, "redis": _REDIS,
    "kafka": _KAFKA, "aws-cloudwatch": _CLOUDWATCH,
}
