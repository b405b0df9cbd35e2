"""What scales endpoints in AWS: triggers of the HyperPod operator, in its own names, and target tracking of SageMaker.

HyperPod: facts.md 1.5, the operator hands these to KEDA. SageMaker: Application Auto Scaling, facts.md 2.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from .triggers import BOTH, Key, TriggerType, need
from .values import refuse

# Amazon Managed Prometheus: the operator takes no other server.
AMP = re.compile(r"https://aps-workspaces\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/workspaces/ws-[A-Za-z0-9-]+/?")
_NAME = Key("text", _("Name of the trigger, as KEDA shows it."))
_TARGET = need("number", _("From how much on another replica is wanted."))
_ACTIVATION = Key("number", _("Above this the first replica starts; only with no replica at least."))
_CACHED = Key("switch", _("false asks anew for each decision, between two looks too."))

_CLOUDWATCH = TriggerType(
    _("AWS CloudWatch"), _("A metric of AWS, such as the calls of the SageMaker endpoint."),
    {
        "namespace": need("text", _("Such as AWS/SageMaker.")),
        "metricName": need("text", _("Such as Invocations.")),
        "dimensions": Key("parameters", _("name=value, several with commas, such as EndpointName=chat.")),
        "targetValue": _TARGET, "activationTargetValue": _ACTIVATION,
        "minValue": Key("number", _("What counts where CloudWatch has no value.")),
        "metricStat": Key(choices=("Average", "Sum", "Minimum", "Maximum", "SampleCount")),
        "metricCollectionPeriod": Key("seconds", _("Of one value; 300 if empty.")),
        "metricCollectionStartTime": Key("seconds", _("How far back it looks; 300 if empty.")),
        "useCachedMetrics": _CACHED, "name": _NAME,
    }, BOTH, deprecated={"targetMetricValue": "targetValue", "metricCollectionTime": "metricCollectionStartTime"})
_PROMETHEUS = TriggerType(
    _("Prometheus"), _("A figure in Amazon Managed Prometheus: one of the engine's signals, or a query of your own."),
    {
        "signal": Key("signal", _("What to look at. Leave the query empty then.")),
        "query": Key("query", _("PromQL that gives one number.")), "targetValue": _TARGET,
        "activationTargetValue": _ACTIVATION,
        "serverAddress": Key("url", _("https://aps-workspaces.REGION.amazonaws.com/workspaces/ws-…, or empty.")),
        "namespace": Key("text", _("For Prometheus servers with tenants.")), "useCachedMetrics": _CACHED, "name": _NAME,
    }, BOTH, one_of=(("signal",), ("query",)), deprecated={"threshold": "targetValue"})
HYPERPOD: Mapping[str, TriggerType] = {"aws-cloudwatch": _CLOUDWATCH, "prometheus": _PROMETHEUS}

OF_VARIANTS = ("SageMakerVariantInvocationsPerInstance", "SageMakerVariantConcurrentRequestsPerModelHighResolution")
OF_COMPONENTS = ("SageMakerInferenceComponentInvocationsPerCopy",
                 "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution")
_TRACKING = TriggerType(
    _("Target tracking"), _("SageMaker keeps a figure near its target by adding and taking away instances, or copies."),
    {
        "metric": need("text", _("Calls a minute, or calls at the same time; of instances, or of a component's copies."),
                       *OF_VARIANTS, *OF_COMPONENTS),
        "target": need("number", _("What each instance or copy should have.")),
        "scaleOutCooldown": Key("seconds", _("After more were added; SageMaker's own default if empty.")),
        "scaleInCooldown": Key("seconds", _("After some were taken away; SageMaker's own default if empty.")),
        "disableScaleIn": Key("switch", _("true only adds.")),
        "variant": Key("text", _("Which variant; empty takes all.")),
    }, ("",))
SAGEMAKER: Mapping[str, TriggerType] = {"sagemaker": _TRACKING}

# KEDA's names, as guides write them, and the operator's.
KEDA: Mapping[str, Mapping[str, str]] = {
    "aws-cloudwatch": {
        "targetMetricValue": "targetValue", "activationTargetMetricValue": "activationTargetValue",
        "minMetricValue": "minValue",
        "metricStatPeriod": "metricCollectionPeriod", "metricCollectionTime": "metricCollectionStartTime",
    },
    "prometheus": {"threshold": "targetValue", "activationThreshold": "activationTargetValue"},
}


def operators_names(name: str, given: Mapping[str, Any], metric_type: str) -> tuple[dict[str, Any], str, list[str]]:
    """Metadata as the operator names it, with a note for each of KEDA's names. Raises Invalid."""
    metadata: dict[str, Any] = {str(key): value for key, value in given.items()}
    notes = []
    for old, new in KEDA.get(name, {}).items():
        if old in metadata and new not in metadata:
            metadata[new] = metadata.pop(old)
            notes.append(_now("“%(old)s” is KEDA's name: the HyperPod operator says “%(new)s”.") % {"old": old, "new": new})
    if name == "aws-cloudwatch" and "dimensionName" in metadata and "dimensions" not in metadata:
        metadata["dimensions"] = _dimensions(metadata.pop("dimensionName"), metadata.pop("dimensionValue", ""))
        notes.append(_now("KEDA's dimensionName and dimensionValue became “dimensions”."))
    if metric_type == "Average":  # the operator's own word
        metric_type = "AverageValue"
    return metadata, metric_type, notes


def _dimensions(names: Any, values: Any) -> str:
    parts, theirs = str(names).split(";"), str(values).split(";")
    if len(parts) != len(theirs):
        refuse(_now("Give as many values as names of dimensions."))
    return ",".join(f"{name}={value}" for name, value in zip(parts, theirs, strict=True))


def check_amp(clean: Mapping[str, str]) -> None:
    if "signal" in clean and "query" in clean:
        refuse(_now("Choose a signal or write a query, not both."))
    if "serverAddress" in clean and not AMP.fullmatch(clean["serverAddress"]):
        refuse(_now("The operator asks Amazon Managed Prometheus only: serverAddress is "
                    "https://aps-workspaces.REGION.amazonaws.com/workspaces/ws-…, or empty."))


def check_periods(clean: Mapping[str, str]) -> None:
    if int(clean.get("metricCollectionStartTime", "300")) < int(clean.get("metricCollectionPeriod", "300")):
        refuse(_now("metricCollectionStartTime must not be shorter than metricCollectionPeriod."))


def check_target(clean: Mapping[str, str]) -> None:
    if not float(clean["target"]):
        refuse(_now("“%(name)s” takes a number above 0.") % {"name": "target"})


def check_sagemaker(low: int, triggers: list[dict[str, Any]], options: Mapping[str, Any]) -> None:
    """Which figures an endpoint with these options has, and whether it can go without an instance. Raises Invalid."""
    component = "InferenceComponent" in options
    known = {str(one["VariantName"]) for one in options.get("Variants") or ()}
    for trigger in triggers:
        metadata = trigger["metadata"]
        if (metadata["metric"] in OF_COMPONENTS) != component:
            refuse(_now("%(metric)s is of inference components only.") % {"metric": metadata["metric"]} if not component
                   else _now("%(metric)s is of variants: an endpoint with an inference component scales its copies.")
                   % {"metric": metadata["metric"]})
        if metadata.get("variant", "") not in {"", *known}:
            refuse(_now("The options name no variant “%(name)s”.") % {"name": metadata["variant"]})
    seen = [(trigger["metadata"]["metric"], trigger["metadata"].get("variant", "")) for trigger in triggers]
    if len(seen) != len(set(seen)):
        refuse(_now("Give each metric one target."))
    if low == 0 and not component and "AsyncInferenceConfig" not in options:
        refuse(_now("SageMaker keeps at least one instance: no replica at all needs an inference component or an asynchronous "
                    "endpoint."))


CHECKS: Mapping[str, Callable[[Mapping[str, str]], None]] = {
    "prometheus": check_amp, "aws-cloudwatch": check_periods, "sagemaker": check_target,
}
