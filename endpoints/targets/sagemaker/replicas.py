"""From what SageMaker says to an observation: instances or copies as replicas, one entrance, one follow. Pure.

The statuses' meaning is that of facts.md 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from endpoints.states import Cause
from endpoints.targets.base import Follow, Observation, ReplicaSeen

from .causes import cause_of
from .live import ANSWERS, DELETING, FAILED, IN_SERVICE, OUT, ROLLBACK_FAILED, Component, Live, Variant
from .memory import Seen
from .names import revision_of_config, revision_of_model
from .place import PlaceView

SOURCE = "sagemaker"
# Seconds to the next look while SageMaker is at work, which takes it minutes.
MOVING_PAUSE = 10.0


def observation_of(seen: Seen, place: PlaceView) -> Observation:
    """What is to be seen of one endpoint."""
    live, component = seen.live, seen.component
    replicas = tuple(_of_component(live, component) if live.has_components else _of_variants(live))
    several = len(live.variants) > 1
    # A component tells of its new model at once, and not which copies have it already.
    mixed = component is not None and component.is_moving
    moving = live.is_moving or mixed
    return Observation(
        replicas, source=SOURCE, entrance=_entrance(seen, place, replicas), pause=MOVING_PAUSE if moving else 0.0,
        follow=Follow.STEP if mixed else Follow.WRITE, keeps_time=moving,
        wanted_replicas=_wanted(live, component) if seen.autoscaled or several else None)


def made_a_moment_ago(name: str) -> Observation:
    """Of an endpoint that we have just made, while AWS does not show it everywhere yet."""
    waits = ReplicaSeen(key=name, index=0, revision=0, ready=False, phase="Creating", cause=Cause.LOADING,
                        message=_("SageMaker has taken the order."))
    return Observation((waits,), source=SOURCE, follow=Follow.WRITE, pause=MOVING_PAUSE, keeps_time=True)


def _wanted(live: Live, component: Component | None) -> int:
    return component.desired if component is not None else sum(each.desired for each in live.variants)


def _entrance(seen: Seen, place: PlaceView, replicas: tuple[ReplicaSeen, ...]) -> ReplicaSeen | None:
    """The address for the gateway, which signs calls; also with nobody there, where a call wakes or waits."""
    live, component = seen.live, seen.component
    asleep = live.status == IN_SERVICE and (bool(live.answers_to) or (component is not None and component.status == IN_SERVICE))
    if live.status not in ANSWERS or not (asleep or any(each.ready for each in replicas)):
        return None
    url = f"sagemaker://{place.account}/{place.region}/{live.name}"
    url += f"/{component.name}" if component is not None else ""
    url += f"?async={live.answers_to}" if live.answers_to else ""
    revision = revision_of_model(component.model) if component is not None else revision_of_config(live.config)
    return ReplicaSeen(key="sagemaker", index=0, revision=revision, ready=True, phase="Ready", where=place.region, url=url)


def _of_variants(live: Live) -> Iterator[ReplicaSeen]:
    revision = revision_of_config(live.config)
    if live.status not in ANSWERS or not live.variants:
        yield _whole(live, revision)
        return
    index = 0
    for variant in live.variants:
        for number in range(max(variant.current, variant.desired)):
            yield _instance(live, variant, index, number, revision, ready=number < variant.current)
            index += 1
    if live.coming and live.coming != live.config:
        for variant in live.coming_variants:
            yield _coming(live, variant, index)
            index += 1
    if live.status == ROLLBACK_FAILED:
        yield _stuck(live, index, revision)


def _whole(live: Live, revision: int) -> ReplicaSeen:
    """An endpoint of which no instance is to be seen: it comes, goes, or failed."""
    failed = live.status == FAILED
    said = {
        DELETING: _("is being deleted"), OUT: _("SageMaker has taken it out of service"),
        FAILED: live.reason or _("SageMaker gives no reason"),
    }.get(live.status) or _("its instances are being provisioned and load the model")
    cause = cause_of(live.reason) or Cause.ERROR if failed else Cause.NONE if live.status == DELETING else Cause.LOADING
    return ReplicaSeen(key=live.name, index=0, revision=revision, ready=False, phase=live.status, message=said, cause=cause,
                       broken=failed, since=live.modified)


def _instance(live: Live, variant: Variant, index: int, number: int, revision: int, *, ready: bool) -> ReplicaSeen:
    stage = variant.message or variant.stage
    return ReplicaSeen(
        key=f"{variant.name}/{number}", index=index, revision=revision, ready=ready, where=variant.name,
        phase="Ready" if ready else variant.stage or live.status, since=live.modified,
        message=stage if ready else stage or _("waits for an instance"), cause=Cause.NONE if ready else Cause.LOADING)


def _coming(live: Live, variant: Variant, index: int) -> ReplicaSeen:
    """Of the fleet that an update makes; SageMaker tells of it as a whole until it has the traffic."""
    said = variant.message or (_("SageMaker goes back to the configuration before: %(why)s") % {"why": live.reason}
                               if live.reason else _("the update makes its instances"))
    return ReplicaSeen(
        key=f"{variant.name}/new", index=index, revision=revision_of_config(live.coming), ready=False, where=variant.name,
        phase=variant.stage or live.status, message=said, cause=Cause.LOADING, since=live.modified)


def _stuck(live: Live, index: int, revision: int) -> ReplicaSeen:
    return ReplicaSeen(
        key=f"{live.name}/update", index=index, revision=revision, ready=False, phase=live.status, broken=True,
        message=_("An update failed and so did the way back: %(why)s") % {"why": live.reason or _("SageMaker gives no reason")},
        cause=Cause.UPDATE_FAILED, since=live.modified)


def _of_component(live: Live, component: Component | None) -> Iterator[ReplicaSeen]:
    if component is None or live.status not in ANSWERS:
        yield _whole(live, 0)
        return
    revision = revision_of_model(component.model)
    failed = component.status == FAILED
    if failed:
        yield ReplicaSeen(key=component.name, index=component.current, revision=revision, ready=False, phase=FAILED,
                          broken=True, message=component.reason or _("SageMaker gives no reason"), since=component.modified,
                          cause=cause_of(component.reason) or Cause.ERROR)
    for number in range(component.current if failed else max(component.current, component.desired)):
        ready = number < component.current and component.status != DELETING
        yield ReplicaSeen(
            key=f"{component.name}/{number}", index=number, revision=revision, ready=ready,
            phase="Ready" if ready else component.status, since=component.modified,
            message="" if ready else _("the copy loads the model"), cause=Cause.NONE if ready else Cause.LOADING)
    if component.status == DELETING and not component.desired and not component.current:
        yield _whole(live, revision)
