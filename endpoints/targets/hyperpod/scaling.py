"""From the one form of autoscaling to the operator's `autoScalingSpec` (facts.md 1.5), which it makes a ScaledObject of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _

from endpoints.autoscale import signals
from endpoints.autoscale.aws import AMP
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError, Trigger

_NUMBERS = ("targetValue", "activationTargetValue", "minValue")
_COUNTS = ("metricCollectionPeriod", "metricCollectionStartTime")
_TEXTS = ("name", "namespace", "metricName", "metricStat", "query", "customHeaders", "serverAddress")
_METRIC_TYPES = {"Value": "Value", "AverageValue": "Average"}


def auto_scaling(spec: Spec, prometheus: str) -> dict[str, Any]:
    """{} without autoscaling. Raises TargetError, permanent, for a trigger that the operator does not know."""
    wish = spec.autoscale
    if wish is None:
        return {}
    made: dict[str, Any] = {
        "minReplicaCount": wish.min_replicas, "maxReplicaCount": wish.max_replicas, "pollingInterval": wish.polling_seconds,
        "cooldownPeriod": wish.cooldown_seconds, "initialCooldownPeriod": wish.initial_cooldown_seconds,
        "scaleUpStabilizationTime": wish.stabilisation_up_seconds,
        "scaleDownStabilizationTime": wish.stabilisation_down_seconds,
    }
    for trigger in wish.triggers:
        field, make = _kind_of(trigger)
        made.setdefault(field, []).append(make(spec, trigger, prometheus))
    return made


def _kind_of(trigger: Trigger) -> tuple[str, Callable[[Spec, Trigger, str], dict[str, Any]]]:
    kinds = {"aws-cloudwatch": ("cloudWatchTriggerList", _cloud_watch), "prometheus": ("prometheusTriggerList", _prometheus)}
    if trigger.type not in kinds:
        raise TargetError(Cause.REFUSED, _("HyperPod scales by CloudWatch and Prometheus only, not by “%(type)s”.") % {
            "type": trigger.type}, permanent=True)
    return kinds[trigger.type]


def _cloud_watch(_spec: Spec, trigger: Trigger, _prometheus: str) -> dict[str, Any]:
    pairs = [pair.partition("=")[::2] for pair in trigger.metadata.get("dimensions", "").split(",") if pair]
    dimensions = [{"name": name.strip(), "value": value.strip()} for name, value in pairs]
    return {**_plain(trigger), **({"dimensions": dimensions} if dimensions else {})}


def _prometheus(spec: Spec, trigger: Trigger, prometheus: str) -> dict[str, Any]:
    made = _plain(trigger)
    signal = trigger.metadata.get("signal", "")
    if signal:
        try:
            made["query"] = signals.query(spec.wanted.engine, signal, spec.namespace, spec.object_name, signals.HASHED)
        except KeyError as error:
            raise TargetError(Cause.REFUSED, _("%(engine)s has no figure for the signal “%(signal)s”: write a query.") % {
                "engine": spec.wanted.engine, "signal": signal}, permanent=True) from error
    if "serverAddress" not in made and AMP.fullmatch(prometheus):
        made["serverAddress"] = prometheus
    return made


def _plain(trigger: Trigger) -> dict[str, Any]:
    said = trigger.metadata
    made: dict[str, Any] = {key: said[key] for key in _TEXTS if said.get(key)}
    made |= {key: _number(said[key]) for key in _NUMBERS if key in said}
    made |= {key: int(said[key]) for key in _COUNTS if key in said}
    if "useCachedMetrics" in said:
        made["useCachedMetrics"] = said["useCachedMetrics"] == "true"
    if trigger.metric_type in _METRIC_TYPES:
        made["metricType"] = _METRIC_TYPES[trigger.metric_type]
    return made


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value
