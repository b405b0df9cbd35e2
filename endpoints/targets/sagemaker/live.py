"""What SageMaker says of an endpoint and its component, in the few fields that we read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.tenancy.text import clean

from .names import is_for_components

IN_SERVICE, FAILED, ROLLBACK_FAILED, OUT = "InService", "Failed", "UpdateRollbackFailed", "OutOfService"
CREATING, DELETING = "Creating", "Deleting"
# Nothing but looking is of use while SageMaker itself is at work.
MOVING = frozenset({CREATING, "Updating", "SystemUpdating", "RollingBack", DELETING})
# Calls are answered all the while.
ANSWERS = frozenset({IN_SERVICE, "Updating", "SystemUpdating", "RollingBack", ROLLBACK_FAILED})
SAID = 500


@dataclass(frozen=True)
class Variant:
    """One production variant: how many instances there are and should be, and what happens to it now."""

    name: str
    current: int
    desired: int
    stage: str = ""
    message: str = ""


@dataclass(frozen=True)
class Live:
    """An endpoint as describe_endpoint has it. `coming` is the configuration of an update under way."""

    name: str
    arn: str
    status: str
    config: str
    created: datetime
    modified: datetime
    reason: str = ""
    variants: tuple[Variant, ...] = ()
    coming: str = ""
    coming_variants: tuple[Variant, ...] = ()
    answers_to: str = ""  # the bucket where an asynchronous endpoint leaves its answers

    @property
    def has_components(self) -> bool:
        return is_for_components(self.config)

    @property
    def is_moving(self) -> bool:
        return self.status in MOVING


@dataclass(frozen=True)
class Component:
    """An inference component as describe_inference_component has it."""

    name: str
    arn: str
    status: str
    model: str
    specification: Mapping[str, Any]
    modified: datetime
    current: int = 0
    desired: int = 0
    reason: str = ""

    @property
    def is_moving(self) -> bool:
        return self.status in MOVING


def live_of(said: Mapping[str, Any]) -> Live:
    pending = said.get("PendingDeploymentSummary") or {}
    output = (said.get("AsyncInferenceConfig") or {}).get("OutputConfig") or {}
    return Live(
        name=said["EndpointName"], arn=said["EndpointArn"], status=said["EndpointStatus"],
        config=said.get("EndpointConfigName", ""), created=said["CreationTime"], modified=said["LastModifiedTime"],
        reason=clean(said.get("FailureReason", ""), 2 * SAID), variants=_variants(said),
        coming=pending.get("EndpointConfigName", ""), coming_variants=_variants(pending),
        answers_to=str(output.get("S3OutputPath", "")).removeprefix("s3://").partition("/")[0])


def _variants(said: Mapping[str, Any]) -> tuple[Variant, ...]:
    return tuple(map(_variant, said.get("ProductionVariants") or ()))


def _variant(said: Mapping[str, Any]) -> Variant:
    """The newest stage is the last of the list."""
    stage = (said.get("VariantStatus") or [{}])[-1]
    current = said.get("CurrentInstanceCount", 0)
    return Variant(said["VariantName"], current, said.get("DesiredInstanceCount", current), clean(stage.get("Status", ""), 60),
                   clean(stage.get("StatusMessage", ""), SAID))


def component_of(said: Mapping[str, Any]) -> Component:
    runtime, specification = said.get("RuntimeConfig") or {}, said.get("Specification") or {}
    current = runtime.get("CurrentCopyCount", 0)
    return Component(
        name=said["InferenceComponentName"], arn=said["InferenceComponentArn"], status=said.get("InferenceComponentStatus", ""),
        model=specification.get("ModelName", ""), specification=specification, modified=said["LastModifiedTime"],
        current=current, desired=runtime.get("DesiredCopyCount", current),
        reason=clean(said.get("FailureReason", ""), 2 * SAID))
