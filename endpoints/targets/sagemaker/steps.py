"""One step of one endpoint towards its wish: find or create, update, count. Safe to repeat, safe to be killed at any call.

What an object may be doing decides: SageMaker changes one thing at a time, and while it does, nothing but looking helps.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters.drivers.aws_errors import AwsError, AwsProblem
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError

from . import scaling
from .bodies import Bodies, Body, deployment, variant_types
from .calls import Calls
from .components import ComponentSteps
from .errors import unless_gone
from .live import FAILED, ROLLBACK_FAILED, Live
from .look import is_ours
from .making import Making, mark, name_taken, require_new_try, was_tried
from .memory import Memory
from .tidying import tidy

# Kept of the fleet that the autoscaler has made, when an update comes.
RETAINED: Body = {
    "RetainAllVariantProperties": True,
    "ExcludeRetainedVariantProperties": [{"VariantPropertyType": kind} for kind in ("DesiredWeight", "DataCaptureConfig")],
}
GOING_PAUSE = 5.0


class Steps:
    """`changed` says afterwards whether anything was sent, so that what was seen before is old."""

    def __init__(self, calls: Calls, memory: Memory, spec: Spec, made: Bodies) -> None:
        self.calls, self.memory, self.spec, self.made = calls, memory, spec, made
        self.name = spec.external_name
        self.making = Making(calls, spec)
        self.changed = False

    def apply(self) -> Live | None:
        """What was there before it. Raises AwsError, and TargetError where a name is taken or an update failed."""
        live = self.calls.endpoint(self.name)
        if live is None:
            self._create()
            return None
        require_ours(self.calls, self.memory, self.spec, live)
        if live.is_moving:
            return live
        if live.status == FAILED:
            self._make_anew(live)
        elif live.config != self.made.config["EndpointConfigName"] or live.status == ROLLBACK_FAILED:
            self._update(live)
        elif self.made.component is not None:
            self._with_component(live)
        else:
            self._settle(live)
        return live

    def _create(self) -> None:
        self.changed = True
        for body in self.made.models:
            self.making.make("Model", body)
        self.making.make_for_endpoint(self.made.config)
        try:
            self.calls.do("create_endpoint", **self.made.endpoint)
        except AwsError as error:
            if error.problem is not AwsProblem.TAKEN:
                raise
            # Made a moment ago and not to be seen yet, or somebody else's: the next look tells.
        self.memory.note_created(self.name)

    def _make_anew(self, live: Live) -> None:
        """A failed endpoint can only be deleted; it is, once, when somebody wishes something else, or wishes it again."""
        if was_tried(self.calls.tags(live.arn), self.spec):
            return
        self.changed = True
        self.calls.do("delete_endpoint", EndpointName=self.name)
        raise TargetError(Cause.LOADING, _("The endpoint that failed is being deleted; then it is made anew."),
                          pause=GOING_PAUSE)

    def _update(self, live: Live) -> None:
        if live.has_components != (self.made.component is not None):
            raise TargetError(Cause.REFUSED, _(
                "An endpoint can't change between one model and inference components while it runs: stop it, change it, then "
                "start it."), permanent=True)
        if live.reason or live.status == ROLLBACK_FAILED:
            require_new_try(self.calls, self.spec, live.arn, live.modified, live.reason)
        self.changed = True
        for body in self.made.models:
            self.making.make("Model", body)
        self.making.make("EndpointConfig", self.made.config)
        self._let_go_of_scaling(live)
        mark(self.calls, self.spec, live.arn, live.modified)
        self._send_update(live)

    def _send_update(self, live: Live) -> None:
        retained = RETAINED if self.spec.autoscale is not None and self.made.component is None else {}
        try:
            self.calls.do("update_endpoint", EndpointName=self.name, **retained, **deployment(self.spec),
                          EndpointConfigName=self.made.config["EndpointConfigName"])
        except AwsError as error:
            if live.status != ROLLBACK_FAILED or error.problem is not AwsProblem.INVALID:
                raise
            raise TargetError(Cause.REFUSED, _(
                "An update failed and so did the way back, and SageMaker takes no other: %(why)s Stop the endpoint and start "
                "it to have it made anew.") % {"why": live.reason or error.message}, permanent=True) from error

    def _let_go_of_scaling(self, live: Live) -> None:
        """SageMaker wants a variant that goes, or moves to other instances, to be deregistered first."""
        resources = {scaling.resource_of(self.name, each.name): each.name for each in live.variants}
        there = self.calls.scalable(sorted(resources))
        if not there:
            return
        config = unless_gone(lambda: self.calls.do("describe_endpoint_config", EndpointConfigName=live.config))
        before = variant_types(config) if config else {}
        for each in there:
            variant = resources[each["ResourceId"]]
            if before.get(variant) != self.made.types.get(variant):
                scaling.deregister(self.calls, each["ResourceId"])

    def _settle(self, live: Live) -> None:
        """In service with the right configuration: who owns the number, what it is, and what is left of before."""
        known = [scaling.resource_of(self.name, each.name) for each in live.variants]
        scaled = scaling.sync(self.calls, self.spec, self.made, known)
        self.memory.note_scaling(self.name, autoscaled=scaled)
        if not scaled:
            self._count(live)
        tidy(self.calls, self.memory, self.spec, {live.config, *self._models()})

    def _count(self, live: Live) -> None:
        there = {each.name: each.desired for each in live.variants}
        wanted = [{"VariantName": name, "DesiredInstanceCount": count} for name, count in self.made.counts.items()
                  if there.get(name, count) != count]
        if wanted:
            self.changed = True
            self.calls.do("update_endpoint_weights_and_capacities", EndpointName=self.name, DesiredWeightsAndCapacities=wanted)

    def _with_component(self, live: Live) -> None:
        steps = ComponentSteps(self.calls, self.making, self.memory, self.spec, self.made)
        settled = steps.go()
        self.changed |= steps.changed
        if settled:
            tidy(self.calls, self.memory, self.spec, {live.config, *self._models()})

    def _models(self) -> set[str]:
        return {each["ModelName"] for each in self.made.models}


def require_ours(calls: Calls, memory: Memory, spec: Spec, live: Live) -> None:
    """Raises TargetError, permanent, for an endpoint of this name that does not carry our uid."""
    if not is_ours(calls, memory, spec, live):
        raise name_taken("Endpoint", live.name)
