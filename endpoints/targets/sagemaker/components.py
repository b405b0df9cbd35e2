"""The inference component of an endpoint: its model on the endpoint's instances, in copies that may be none."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.aws_errors import AwsError, AwsProblem
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError

from . import scaling
from .bodies import Bodies, Body
from .calls import Calls
from .live import FAILED, Component
from .making import Making, mark, require_new_try, was_tried
from .memory import Memory


class ComponentSteps:
    """One step of the component, once its endpoint is in service with the right configuration."""

    def __init__(self, calls: Calls, making: Making, memory: Memory, spec: Spec, made: Bodies) -> None:
        assert made.component is not None, "the caller has looked"
        self.calls, self.making, self.memory, self.spec, self.made = calls, making, memory, spec, made
        self.wish: Body = made.component
        self.name = spec.external_name
        self.changed = False

    def go(self) -> bool:
        """Whether it is as wished. Raises AwsError, and TargetError where an update failed."""
        there = self.calls.component(self.name)
        if there is None:
            self._create()
        elif there.is_moving:
            return False
        elif there.status == FAILED:
            self._after_failure(there)
        elif there.model != self.wish["Specification"]["ModelName"]:
            self._update(there)
        else:
            self._settle(there)
            return not self.changed
        return False

    def _create(self) -> None:
        self.changed = True
        for body in self.made.models:
            self.making.make("Model", body)
        try:
            self.calls.do("create_inference_component", **self.wish)
        except AwsError as error:
            if error.problem is not AwsProblem.TAKEN:  # Else it was made a moment ago, and is not to be seen yet.
                raise

    def _after_failure(self, there: Component) -> None:
        """Leave it until somebody wishes something else; then what has copies is updated, and what has none made anew."""
        if was_tried(self.calls.tags(there.arn), self.spec):
            if self.spec.serving is not None and self.spec.serving.number != self.spec.wanted.number:
                raise TargetError(Cause.UPDATE_FAILED, there.reason or _("SageMaker gives no reason."), permanent=True)
            return
        if there.current:
            self._update(there)
            return
        self.changed = True
        self.calls.do("delete_inference_component", InferenceComponentName=self.name)

    def _update(self, there: Component) -> None:
        if there.reason:
            require_new_try(self.calls, self.spec, there.arn, there.modified, there.reason)
        self.changed = True
        for body in self.made.models:
            self.making.make("Model", body)
        mark(self.calls, self.spec, there.arn, there.modified)
        self.calls.do("update_inference_component", InferenceComponentName=self.name,
                      Specification=self.wish["Specification"], **rolling(self.spec))

    def _settle(self, there: Component) -> None:
        scaled = scaling.sync(self.calls, self.spec, self.made, [scaling.component_resource(self.name)])
        self.memory.note_scaling(self.name, autoscaled=scaled)
        if not scaled and there.desired != self.spec.replicas:
            self.changed = True
            self.calls.do("update_inference_component_runtime_config", InferenceComponentName=self.name,
                          DesiredRuntimeConfig={"CopyCount": self.spec.replicas})


def rolling(spec: Spec) -> dict[str, Any]:
    """A rolling policy of the options, as components have it: they count copies. Blue/green is the endpoint's only."""
    wished = spec.wanted.options.get("DeploymentConfig", {})
    policy = wished.get("RollingUpdatePolicy")
    if not policy:
        return {}
    sizes = {name: {**policy[name], "Type": policy[name]["Type"].replace("INSTANCE_COUNT", "COPY_COUNT")}
             for name in ("MaximumBatchSize", "RollbackMaximumBatchSize") if name in policy}
    alarms = {name: wished[name] for name in ("AutoRollbackConfiguration",) if name in wished}
    return {"DeploymentConfig": {"RollingUpdatePolicy": {**policy, **sizes}, **alarms}}
