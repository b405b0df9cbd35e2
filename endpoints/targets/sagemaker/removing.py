"""Taking an endpoint away: scaling first, then components, the endpoint, and last its configurations and models.

Each step finds what is left and goes on there; what is gone already is fine.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters.drivers.aws_errors import AwsError
from endpoints.options.sagemaker import variants
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError

from . import scaling
from .calls import Calls
from .errors import is_busy, unless_gone
from .live import DELETING, Live
from .look import NEW_PAUSE, is_ours
from .memory import Memory
from .tidying import objects_of

GOING_PAUSE = 5.0


def remove(calls: Calls, memory: Memory, spec: Spec) -> None:
    """Raises AwsError; and TargetError, not permanent, while something is still there."""
    live = calls.endpoint(spec.external_name)
    if live is not None and not is_ours(calls, memory, spec, live):
        live = None  # Somebody else's of the same name: it is not ours to delete.
    _unscale(calls, spec, live)
    if live is not None:
        raise _going(_end(calls, spec, live))
    _drop(calls, memory, spec)
    memory.forget(spec.external_name)


def _drop(calls: Calls, memory: Memory, spec: Spec) -> None:
    """What the endpoint used, unless it was asked for a moment ago: then it may be there, only not to be seen yet.

    Without its configuration and its row nobody would find it again, and it would cost for ever.
    """
    made = list(objects_of(calls, spec))
    if memory.is_new(spec.external_name) or any(calls.is_new(each.at) for each in made):
        raise TargetError(Cause.LOADING, _("What was made a moment ago may be seen late: SageMaker is asked for it again."),
                          pause=NEW_PAUSE)
    for each in made:
        calls.drop(each.kind, each.name)


def _going(what: str) -> TargetError:
    return TargetError(Cause.LOADING, _("SageMaker is taking it away: %(what)s.") % {"what": what}, pause=GOING_PAUSE)


def _unscale(calls: Calls, spec: Spec, live: Live | None) -> None:
    """Before the endpoint goes, or what it was registered under is known to nobody."""
    if live is None and spec.autoscale is None:
        return
    there = live.variants if live is not None else ()
    named = {each["VariantName"] for each in variants(spec.wanted.options, 1)} | {each.name for each in there}
    resources = [scaling.resource_of(spec.external_name, name) for name in sorted(named)]
    found = calls.scalable([*resources, scaling.component_resource(spec.external_name)])
    if found or (spec.autoscale is not None and not spec.autoscale.min_replicas):
        scaling.drop_alarm(calls, spec.external_name)
    for each in found:
        scaling.deregister(calls, each["ResourceId"])


def _end(calls: Calls, spec: Spec, live: Live) -> str:
    """Go one step further; what is on its way out."""
    if live.status != DELETING and live.has_components and (waits := _end_component(calls, spec)):
        return waits
    if live.status != DELETING:
        try:
            unless_gone(lambda: calls.do("delete_endpoint", EndpointName=live.name))
        except AwsError as error:
            if not is_busy(error):
                raise
            return _("it is in the middle of a change (%(status)s) and can go only after it") % {"status": live.status}
    return _("endpoint %(name)s") % {"name": live.name}


def _end_component(calls: Calls, spec: Spec) -> str:
    there = calls.component(spec.external_name)
    if there is None:
        return ""
    if there.status != DELETING:
        try:
            unless_gone(lambda: calls.do("delete_inference_component", InferenceComponentName=there.name))
        except AwsError as error:
            if not is_busy(error):
                raise
    return _("inference component %(name)s") % {"name": there.name}
