"""One look at all endpoints of a place: a listing, and a question only about those that have changed since the last one.

500 endpoints that rest cost five pages of a listing and one call more a period, whose turn it is to look at what a listing
does not show. Those with inference components cost as many pages again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from endpoints.states import Cause
from endpoints.targets.base import Observation, Spec, TargetError

from . import names
from .calls import MOST_RESOURCES, Calls
from .live import ANSWERS, Live
from .memory import Mark, Memory, Seen
from .place import PlaceView
from .replicas import made_a_moment_ago, observation_of
from .scaling import component_resource, resource_of

# With more, one listing of all is cheaper than one for each.
MOST_NAMED = 3
WORKERS = 8
# Seconds after which what moves, or hides from the listing, is asked again; and what rests.
MOVING_AGE, RESTING_AGE = 8.0, 300.0
NEW_PAUSE = 10.0


def observe(calls: Calls, memory: Memory, place: PlaceView, uids: Collection[UUID] | None) -> dict[UUID, Observation]:
    """Raises AwsError: then nothing is known of any of them."""
    digests = None if uids is None else {names.digest_of(uid): uid for uid in uids}
    found = [each for each in _listing(calls, digests) if _is_asked(each["EndpointName"], digests)]
    if digests is None or len(digests) > MOST_NAMED:
        found = _with_components(calls, memory, found)
    if digests is None or len(digests) > MOST_NAMED:
        _refresh_one_thing(calls, memory, found)
    if digests is None:
        memory.keep_only([each["EndpointName"] for each in found])
    changed = [each for each in found if _has_changed(memory, each)]
    seen = _asked(calls, memory, [each["EndpointName"] for each in changed])
    memory.note_looked(seen)
    for each in changed:
        memory.note_listed(each["EndpointName"], _mark(each))
    seen |= {each["EndpointName"]: known for each in found if (known := memory.get(each["EndpointName"])) is not None}
    return {each.uid: observation_of(each, place) for each in seen.values()
            if digests is None or digests.get(names.digest_of(each.uid)) == each.uid}


def observe_named(calls: Calls, memory: Memory, place: PlaceView, uid: UUID, name: str) -> dict[UUID, Observation]:
    """Of one endpoint whose name is known: no listing is needed. Raises AwsError."""
    seen = _asked(calls, memory, [name]).get(name)
    if seen is not None and seen.uid == uid:
        return {uid: observation_of(seen, place)}
    return {uid: made_a_moment_ago(name)} if seen is None and memory.is_new(name) else {}


def remember(calls: Calls, memory: Memory, live: Live) -> Seen | None:
    """Note what was described, with what belongs to it; None where it is not ours. Raises AwsError."""
    uid = owner_of(calls, memory, live)
    if uid is None or not live.name.endswith(names.digest_of(uid)):
        memory.forget(live.name)
        return None
    component = calls.component(live.name) if live.has_components and live.status in ANSWERS else None
    known = memory.get(live.name)
    scaling = (known.autoscaled, known.asked_at) if known is not None else (False, 0.0)
    seen = Seen(uid, live, component, memory.clock(), *scaling)
    memory.put(seen)
    return seen


def owner_of(calls: Calls, memory: Memory, live: Live) -> UUID | None:
    """Whose endpoint it is by its tags; None for one that is not the portal's. Raises AwsError."""
    return memory.owner(live, lambda: names.uid_of(calls.tags(live.arn)), is_settled=not calls.is_new(live.created))


def is_ours(calls: Calls, memory: Memory, spec: Spec, live: Live) -> bool:
    """Whether it carries our uid. Raises AwsError; and TargetError, not permanent, while its tags may not be seen yet."""
    owner = owner_of(calls, memory, live)
    if owner is None and calls.is_new(live.created):
        raise TargetError(Cause.LOADING, _("Endpoint %(name)s was made a moment ago: SageMaker does not say yet by whom.") % {
            "name": live.name}, pause=NEW_PAUSE)
    return owner == spec.uid


def _listing(calls: Calls, digests: Mapping[str, UUID] | None) -> Iterable[dict[str, Any]]:
    if digests is None or len(digests) > MOST_NAMED:
        yield from calls.endpoints()
        return
    for digest in digests:
        yield from calls.endpoints(NameContains=digest)


def _with_components(calls: Calls, memory: Memory, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Beside each endpoint its component as another listing has it, where any is known to have one."""
    if not any(known.live.has_components for each in found if (known := memory.get(each["EndpointName"])) is not None):
        return found
    listed = {each["InferenceComponentName"]: each for each in calls.components()}
    return [{**each, "Component": listed.get(each["EndpointName"])} for each in found]


def _is_asked(name: str, digests: Mapping[str, UUID] | None) -> bool:
    return names.endpoint_of(name) == name and (digests is None or name[-10:] in digests)


def _has_changed(memory: Memory, listed: Mapping[str, Any]) -> bool:
    known = memory.get(listed["EndpointName"])
    if known is None or _mark(listed) not in (_mark_of(known), memory.listed(known.live.name)):
        return True
    moves = known.live.is_moving or (known.component is not None and known.component.is_moving)
    return moves and memory.clock() - known.at > MOVING_AGE


def _mark(listed: Mapping[str, Any]) -> Mark:
    part = listed.get("Component") or {}
    return (listed["EndpointStatus"], listed["LastModifiedTime"], part.get("InferenceComponentStatus", ""),
            part.get("LastModifiedTime"))


def _mark_of(seen: Seen) -> Mark:
    live, part = seen.live, seen.component
    return live.status, live.modified, part.status if part else "", part.modified if part else None


def _asked(calls: Calls, memory: Memory, wanted: Collection[str]) -> dict[str, Seen]:
    """Describe these, several at once where there are many; and ask in bundles which of them are scaled."""
    def look_at(name: str) -> Seen | None:
        live = calls.endpoint(name)
        return None if live is None else remember(calls, memory, live)

    if len(wanted) > 1:  # Where one breaks off, the others are remembered all the same.
        with ThreadPoolExecutor(WORKERS, "sagemaker") as workers:
            found = [seen for seen in workers.map(look_at, wanted) if seen is not None]
    else:
        found = [seen for name in wanted if (seen := look_at(name)) is not None]
    _ask_scaling(calls, memory, [each for each in found if not each.live.is_moving])
    return {each.live.name: memory.get(each.live.name) or each for each in found}


def _ask_scaling(calls: Calls, memory: Memory, wanted: Collection[Seen]) -> None:
    resources = {resource: each.live.name for each in wanted for resource in _resources(each)}
    scaled = {resources[each["ResourceId"]] for each in calls.scalable(sorted(resources))} if resources else set()
    for each in wanted:
        memory.note_scaling(each.live.name, autoscaled=each.live.name in scaled)


def _resources(seen: Seen) -> list[str]:
    live = seen.live
    if live.has_components:
        return [component_resource(live.name)]
    return [resource_of(live.name, each.name) for each in live.variants]


def _refresh_one_thing(calls: Calls, memory: Memory, found: Collection[Mapping[str, Any]]) -> None:
    """One call for what a listing can't show: who else scales them now, or instances that went without a word."""
    now = memory.clock()
    resting = [seen for each in found if not _has_changed(memory, each) and (seen := memory.get(each["EndpointName"]))]
    unasked = sorted((each for each in resting if now - each.asked_at > RESTING_AGE), key=lambda each: each.asked_at)
    if unasked:
        _ask_scaling(calls, memory, _bundle(unasked))
        return
    oldest = min(resting, key=lambda each: each.at, default=None)
    if oldest is not None and now - oldest.at > RESTING_AGE and (live := calls.endpoint(oldest.live.name)) is not None:
        remember(calls, memory, live)


def _bundle(wanted: Iterable[Seen]) -> list[Seen]:
    """As many as one call takes."""
    taken: list[Seen] = []
    room = MOST_RESOURCES
    for each in wanted:
        room -= len(_resources(each))
        if room < 0:
            break
        taken.append(each)
    return taken
