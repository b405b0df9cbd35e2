"""Autoscaling by Application Auto Scaling: what is wished, and making it so (facts.md 2.4).

It owns the number of instances, or of copies, once it is registered: we never set that number then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from endpoints.planning.paths import IGNORED, SUPERSEDED
from endpoints.targets.base import FieldChange, Spec, Trigger

from .bodies import Bodies
from .calls import Calls
from .errors import unless_gone

VARIANT, COPIES = "sagemaker:variant:DesiredInstanceCount", "sagemaker:inference-component:DesiredCopyCount"
# What CloudWatch counts when a call finds nothing that could answer it.
NO_CAPACITY, BACKLOG = "NoCapacityInvocationFailures", "HasBacklogWithoutCapacity"
WAKE_PERIOD = 60


@dataclass(frozen=True)
class Scaled:
    """One thing whose number is scaled. `policies` by name; `wakes` is the metric that starts the first one."""

    resource: str
    dimension: str
    minimum: int
    maximum: int
    policies: Mapping[str, Mapping[str, Any]]
    wakes: str = ""
    # Bounds that people left to others, or took over from them.
    accepted: Mapping[str, FieldChange] = field(default_factory=dict)

    @property
    def key(self) -> dict[str, str]:
        return {"ResourceId": self.resource, "ScalableDimension": self.dimension}

    @property
    def bounds(self) -> dict[str, int]:
        """Those that are ours to keep."""
        found = {"MinCapacity": self.minimum, "MaxCapacity": self.maximum}
        taken = {name: change.after for name, change in self.accepted.items() if change.manager != IGNORED}
        return {name: taken.get(name, value) for name, value in found.items()
                if name not in self.accepted or name in taken}

    def drift(self, there: Mapping[str, Mapping[str, Any]]) -> Iterator[FieldChange]:
        """What others have changed of it, among the scalable targets that are there."""
        object_, live = f"ScalableTarget/{self.resource}", there.get(self.resource)
        if live is None:
            yield FieldChange(object_, "", None, self.dimension)
            return
        for name, value in self.bounds.items():
            if live[name] != value:
                yield FieldChange(object_, name, live[name], value)


def resource_of(endpoint: str, variant: str) -> str:
    return f"endpoint/{endpoint}/variant/{variant}"


def component_resource(name: str) -> str:
    return f"inference-component/{name}"


def dimension_of(resource: str) -> str:
    return COPIES if resource.startswith("inference-component/") else VARIANT


def wished(spec: Spec, made: Bodies) -> tuple[Scaled, ...]:
    """What should be registered. Pure. A trigger that names no variant is for every one."""
    scaled = spec.autoscale
    if scaled is None:
        return ()
    if made.component is not None:
        resources = {component_resource(spec.external_name): ""}
    else:
        resources = {resource_of(spec.external_name, name): name for name in made.counts}
    wakes = "" if scaled.min_replicas else BACKLOG if "AsyncInferenceConfig" in made.config else NO_CAPACITY
    return tuple(Scaled(
        resource, dimension_of(resource), scaled.min_replicas, scaled.max_replicas,
        dict(_policies(spec, [each for each in scaled.triggers if each.metadata.get("variant", variant) == variant])), wakes,
        {each.path: each for each in spec.accepted if each.object == f"ScalableTarget/{resource}"
         and each.manager != SUPERSEDED})
        for resource, variant in resources.items())


def _policies(spec: Spec, triggers: list[Trigger]) -> Iterator[tuple[str, dict[str, Any]]]:
    assert spec.autoscale is not None, "the caller has looked"
    for index, trigger in enumerate(triggers):
        asked, calm = trigger.metadata, spec.autoscale.cooldown_seconds
        yield f"{spec.external_name}-{index}", {
            "TargetValue": float(asked["target"]),
            "PredefinedMetricSpecification": {"PredefinedMetricType": asked["metric"]},
            "ScaleOutCooldown": int(asked.get("scaleOutCooldown", spec.autoscale.stabilisation_up_seconds)),
            "ScaleInCooldown": int(asked.get("scaleInCooldown", calm)),
            "DisableScaleIn": asked.get("disableScaleIn", "false") == "true",
        }


def alarm_name(endpoint: str) -> str:
    return f"{endpoint}-wake"


def sync(calls: Calls, spec: Spec, made: Bodies, known: list[str]) -> bool:
    """Register what is wished and deregister the rest; whether anything of `known` is scaled now. Raises AwsError."""
    wish = {each.resource: each for each in wished(spec, made)}
    there = {each["ResourceId"]: each for each in calls.scalable(sorted({*known, *wish}))}
    gone = there.keys() - wish.keys()
    if gone and not any(scaled.wakes for scaled in wish.values()):
        drop_alarm(calls, spec.external_name)  # first: a target that is still there brings the next try here again
    for resource in gone:
        deregister(calls, resource)
    for resource, scaled in wish.items():
        _register(calls, scaled, there.get(resource))
        policies = _policies_there(calls, scaled) if resource in there else {}
        _put_policies(calls, spec, scaled, policies)
    return bool(wish)


def _register(calls: Calls, scaled: Scaled, there: Mapping[str, Any] | None) -> None:
    if there is None:
        whole = {"MinCapacity": scaled.minimum, "MaxCapacity": scaled.maximum, **scaled.bounds}
        calls.scaling("register_scalable_target", **scaled.key, **whole)
    elif any(there[name] != value for name, value in scaled.bounds.items()):
        calls.scaling("register_scalable_target", **scaled.key, **scaled.bounds)


def _policies_there(calls: Calls, scaled: Scaled) -> dict[str, dict[str, Any]]:
    said = calls.aws.pages("application-autoscaling", "describe_scaling_policies", "ScalingPolicies",
                           ServiceNamespace="sagemaker", **scaled.key)
    return {each["PolicyName"]: each for each in said}


def _put_policies(calls: Calls, spec: Spec, scaled: Scaled, there: Mapping[str, Mapping[str, Any]]) -> None:
    kept = {*scaled.policies, *({alarm_name(spec.external_name)} if scaled.wakes else ())}
    for name in sorted(there.keys() - kept):
        _drop_policy(calls, scaled, name)
        if name == alarm_name(spec.external_name):
            drop_alarm(calls, spec.external_name)
    for name, policy in scaled.policies.items():
        if there.get(name, {}).get("TargetTrackingScalingPolicyConfiguration") != policy:
            calls.scaling("put_scaling_policy", PolicyName=name, PolicyType="TargetTrackingScaling", **scaled.key,
                          TargetTrackingScalingPolicyConfiguration=policy)
    if scaled.wakes and not there.get(alarm_name(spec.external_name), {}).get("Alarms"):
        _put_wake(calls, spec, scaled)


def _drop_policy(calls: Calls, scaled: Scaled, name: str) -> None:
    unless_gone(lambda: calls.scaling("delete_scaling_policy", PolicyName=name, **scaled.key))


def _put_wake(calls: Calls, spec: Spec, scaled: Scaled) -> None:
    """From none to one: target tracking can't, so an alarm on calls that nobody could answer does (AWS developer guide,
    "Scale an endpoint to zero instances")."""
    policy = calls.scaling(
        "put_scaling_policy", PolicyName=alarm_name(spec.external_name), PolicyType="StepScaling", **scaled.key,
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity", "MetricAggregationType": "Maximum", "Cooldown": WAKE_PERIOD,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}]})
    named = "InferenceComponentName" if scaled.dimension == COPIES else "EndpointName"
    calls.aws.call(
        "cloudwatch", "put_metric_alarm", AlarmName=alarm_name(spec.external_name), AlarmActions=[policy["PolicyARN"]],
        Namespace="AWS/SageMaker", MetricName=scaled.wakes, Dimensions=[{"Name": named, "Value": spec.external_name}],
        Statistic="Maximum", Period=WAKE_PERIOD, EvaluationPeriods=1, DatapointsToAlarm=1, Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold", TreatMissingData="missing")


def deregister(calls: Calls, resource: str) -> None:
    """Its policies go with it, and the alarms of target tracking (API reference, DeregisterScalableTarget)."""
    unless_gone(lambda: calls.scaling("deregister_scalable_target", ResourceId=resource,
                                      ScalableDimension=dimension_of(resource)))


def drop_alarm(calls: Calls, endpoint: str) -> None:
    """It outlives its policy, and one that is not there is fine."""
    unless_gone(lambda: calls.aws.call("cloudwatch", "delete_alarms", AlarmNames=[alarm_name(endpoint)]))
