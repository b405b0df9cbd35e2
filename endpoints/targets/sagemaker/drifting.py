"""What others have changed of an endpoint: its configuration, its number of instances, and who scales it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from endpoints.planning.paths import REPLICAS
from endpoints.targets.base import FieldChange, Spec, TargetError

from . import scaling
from .bodies import Bodies, bodies_of
from .calls import Calls
from .look import observe
from .memory import Memory, Seen
from .names import revision_of_config
from .place import PlaceView

Changes = tuple[FieldChange, ...]


def find_drift(calls: Calls, memory: Memory, place: PlaceView, specs: Iterable[Spec]) -> dict[UUID, Changes]:
    """`before` is there now, `after` is ours; nothing is said of what is moving. Raises AwsError."""
    observe(calls, memory, place, None)
    resting = {spec.uid: (spec, seen, made) for spec in specs if (seen := _at_rest(memory, spec)) is not None
               and (made := _made(spec, place)) is not None}
    wishes = {uid: scaling.wished(spec, made) for uid, (spec, _seen, made) in resting.items()}
    wanted = sorted(each.resource for wish in wishes.values() for each in wish)
    there = {each["ResourceId"]: each for each in calls.scalable(wanted)}
    return {uid: (*_of_endpoint(spec, seen, made), *(change for wish in wishes[uid] for change in wish.drift(there)))
            for uid, (spec, seen, made) in resting.items()}


def _at_rest(memory: Memory, spec: Spec) -> Seen | None:
    seen = memory.get(spec.external_name)
    if seen is None or seen.uid != spec.uid or seen.live.is_moving:
        return None
    return None if seen.component is not None and seen.component.is_moving else seen


def _made(spec: Spec, place: PlaceView) -> Bodies | None:
    """None where it can't be made any more: the row's own step says so."""
    try:
        return bodies_of(spec, place)
    except TargetError:
        return None


def _of_endpoint(spec: Spec, seen: Seen, made: Bodies) -> Iterator[FieldChange]:
    live, name = seen.live, f"Endpoint/{spec.external_name}"
    ours = made.config["EndpointConfigName"]
    of_serving = spec.serving is not None and revision_of_config(live.config) == spec.serving.number
    if live.config != ours and not of_serving:
        yield FieldChange(name, "EndpointConfigName", live.config, ours)
    elif spec.autoscale is None and len(live.variants) == 1:
        there = live.variants[0].desired if seen.component is None else seen.component.desired
        if (seen.component is None) == (made.component is None) and there != spec.replicas:
            yield FieldChange(name, REPLICAS, there, spec.replicas)
