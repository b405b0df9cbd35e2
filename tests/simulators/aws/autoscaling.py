"""Application Auto Scaling of SageMaker: what it is told is kept and told again; it scales nothing by itself.

moto does not know the dimension of inference components (libraries.md 3.8), so the whole `sagemaker` namespace is played
here; other namespaces go to moto. Not verified on AWS: the words of refusals for resources, and that they are checked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulators.aws.errors import AwsFault, invalid
from tests.simulators.aws.messages import Answer, Call, Params, Request
from tests.simulators.aws.sagemaker import SageMaker
from tests.simulators.aws.sagemaker.lists import page
from tests.simulators.aws.sagemaker.state import Region
from tests.simulators.aws.world import PerSpot, Spot

VARIANT, COPIES = "sagemaker:variant:DesiredInstanceCount", "sagemaker:inference-component:DesiredCopyCount"
ROLE = ("aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint")  # fmt: skip
# Which predefined metrics belong to which dimension: facts.md 2.4.
METRICS = {
    VARIANT: ("SageMakerVariantInvocationsPerInstance", "SageMakerVariantConcurrentRequestsPerModelHighResolution"),
    COPIES: ("SageMakerInferenceComponentInvocationsPerCopy",
             "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"),
}  # fmt: skip
Key = tuple[str, str]


@dataclass(slots=True)
class Kept:
    """Targets by resource and dimension; policies and scheduled actions by these and their names."""

    targets: dict[Key, Params] = field(default_factory=dict)
    policies: dict[tuple[Key, str], Params] = field(default_factory=dict)
    actions: dict[tuple[Key, str], Params] = field(default_factory=dict)


def _key(asked: Params) -> Key:
    return asked["ResourceId"], asked["ScalableDimension"]


class Autoscaling:
    def __init__(self, sagemaker: SageMaker, forward: Callable[[Request], Answer]) -> None:
        self._sagemaker, self._forward = sagemaker, forward
        self.kept: PerSpot[Kept] = PerSpot(lambda _spot: Kept())

    def reset(self) -> None:
        self.kept.clear()

    def answer(self, call: Call) -> Params | Answer | None:
        """None: not played here."""
        if call.params.get("ServiceNamespace") != "sagemaker":
            return self._forward(call.request)
        doors = {
            "RegisterScalableTarget": self._register, "DescribeScalableTargets": _targets,
            "DeregisterScalableTarget": self._deregister, "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": _policies, "DeleteScalingPolicy": _delete_policy,
            "PutScheduledAction": self._put_action, "DescribeScheduledActions": _actions,
            "DeleteScheduledAction": _delete_action, "DescribeScalingActivities": lambda *_: {"ScalingActivities": []},
        }  # fmt: skip
        door = doors.get(call.operation)
        if door is None:
            return None
        spot = Spot.of(call.identity, call.region)
        with self._sagemaker.world.lock:
            here = self._sagemaker.here(spot)
            answer = door(here, self.kept[spot], call.params)
            here.scaled = {resource for resource, _ in self.kept[spot].targets}
            return answer

    def _register(self, here: Region, kept: Kept, asked: Params) -> Params:
        _check_resource(here, asked)
        old = kept.targets.get(_key(asked), {})
        if not old and not {"MinCapacity", "MaxCapacity"} <= asked.keys():
            raise invalid("MinCapacity and MaxCapacity must be specified when a scalable target is registered.")
        new = {**old, **{name: value for name, value in asked.items() if name != "Tags"}}
        if new["MinCapacity"] > new["MaxCapacity"]:
            raise invalid("Maximum capacity cannot be less than minimum capacity.")
        suspended = {f"{kind}Suspended": False for kind in ("DynamicScalingIn", "DynamicScalingOut", "ScheduledScaling")}
        arn = here.spot.arn("application-autoscaling", f"scalable-target/{uuid.uuid4().hex[:14]}")
        kept.targets[_key(asked)] = {
            "ScalableTargetARN": arn, "CreationTime": here.now, "SuspendedState": suspended,
            "RoleARN": f"arn:{here.spot.partition}:iam::{here.spot.account}:role/{ROLE}", **new,
        }  # fmt: skip
        return {"ScalableTargetARN": kept.targets[_key(asked)]["ScalableTargetARN"]}

    def _deregister(self, _here: Region, kept: Kept, asked: Params) -> Params:
        """Takes the target's policies and scheduled actions with it."""
        key = _found(kept, asked)
        del kept.targets[key]
        for things in (kept.policies, kept.actions):
            for each in [each for each in things if each[0] == key]:
                del things[each]
        return {}

    def _put_policy(self, here: Region, kept: Kept, asked: Params) -> Params:
        key = _found(kept, asked)
        tracking = asked.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType", "")
        if metric and metric not in METRICS.get(key[1], (metric,)):
            raise invalid(f"Unsupported predefined metric type {metric} for scalable dimension {key[1]}.")
        where = f"resource/sagemaker/{key[0]}:policyName/{asked['PolicyName']}"
        arn = here.spot.arn("autoscaling", f"scalingPolicy:{uuid.uuid4()}:{where}")
        old = kept.policies.get((key, asked["PolicyName"]), {"PolicyARN": arn, "CreationTime": here.now, "Alarms": []})
        kept.policies[key, asked["PolicyName"]] = {"PolicyType": "StepScaling", **old, **asked}
        return {"PolicyARN": old["PolicyARN"], "Alarms": []}

    def _put_action(self, here: Region, kept: Kept, asked: Params) -> Params:
        key = _found(kept, asked)
        arn = here.spot.arn("autoscaling", f"scheduledAction:{uuid.uuid4()}:resource/sagemaker/{key[0]}")
        kept.actions[key, asked["ScheduledActionName"]] = {"ScheduledActionARN": arn, "CreationTime": here.now, **asked}
        return {}


def _check_resource(here: Region, asked: Params) -> None:
    """
    :raises AwsFault: no such variant or component, one whose endpoint is busy, or a minimum that isn't allowed.
    """
    resource, dimension = _key(asked)
    kind, _, rest = resource.partition("/")
    is_component = kind == "inference-component"
    if dimension == COPIES and is_component:
        if rest not in here.components:
            raise invalid(f"Inference component {rest} not found.")
        return
    name, _, variant = rest.partition("/variant/")
    if is_component or kind != "endpoint" or not variant:
        raise invalid(f"Unsupported service namespace, resource type or scalable dimension: {resource}, {dimension}")
    endpoint = here.endpoints.get(name)
    if endpoint is None or variant not in endpoint.variants:
        raise invalid(f"Could not find variant {variant} of endpoint {name}.")
    if endpoint.status != "InService":
        raise invalid(f'Endpoint "{endpoint.arn}" is not InService.')
    if asked.get("MinCapacity", 1) < 1 and "AsyncInferenceConfig" not in endpoint.served:
        raise invalid("Minimum capacity must be at least 1 for this endpoint.")


def _found(kept: Kept, asked: Params) -> Key:
    """
    :raises AwsFault: ObjectNotFoundException.
    """
    key = _key(asked)
    if key not in kept.targets:
        raise AwsFault("ObjectNotFoundException", "No scalable target found for service namespace: sagemaker, resource ID: "
                                                  f"{key[0]}, scalable dimension: {key[1]}")  # fmt: skip
    return key


def _delete_policy(_here: Region, kept: Kept, asked: Params) -> Params:
    if kept.policies.pop((_key(asked), asked["PolicyName"]), None) is None:
        raise AwsFault("ObjectNotFoundException", f"No scaling policy found for policy name: {asked['PolicyName']}")
    return {}


def _delete_action(_here: Region, kept: Kept, asked: Params) -> Params:
    if kept.actions.pop((_key(asked), asked["ScheduledActionName"]), None) is None:
        raise AwsFault("ObjectNotFoundException", f"No scheduled action found: {asked['ScheduledActionName']}")
    return {}


def _targets(_here: Region, kept: Kept, asked: Params) -> Params:
    wanted = asked.get("ResourceIds", [])
    found = [target for target in kept.targets.values() if not wanted or target["ResourceId"] in wanted]
    return _listed("ScalableTargets", found, asked)


def _policies(_here: Region, kept: Kept, asked: Params) -> Params:
    wanted = asked.get("PolicyNames", [])
    found = [policy for policy in kept.policies.values() if not wanted or policy["PolicyName"] in wanted]
    return _listed("ScalingPolicies", found, asked)


def _actions(_here: Region, kept: Kept, asked: Params) -> Params:
    return _listed("ScheduledActions", list(kept.actions.values()), asked)


def _listed(member: str, things: list[Params], asked: Params) -> Params:
    same = ("ResourceId", "ScalableDimension")
    kept, more = page(asked, [each for each in things if all(asked.get(name, each[name]) == each[name] for name in same)], 50)
    return {member: kept, **more}
