"""One look at all endpoints of a HyperPod cluster: a list a kind, then arithmetic. No call for a single endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from django.utils.translation import gettext as _

from clusters.drivers.kinds import INFERENCE_ENDPOINT_CONFIG, JUMPSTART_MODEL, POD, SERVICE
from clusters.drivers.kube import Kube, KubeError, Problem
from clusters.namespaces import ENDPOINT_UID
from endpoints.states import Cause
from endpoints.targets.base import Observation, ReplicaSeen, TargetError
from portal.tenancy.text import clean

from .entrance import Closed, Doors
from .names import BY_CLUSTER, DEPLOYING, ENTRANCE, OPERATOR
from .place import HyperPodPlace
from .seen import Config, OperatorPod, Service
from .status import observation

# With more, one list of all is cheaper than a long selector, which is part of the address of the call.
MOST_NAMED = 50
MISSING_PAUSE = 60.0
ALL_PODS = f"{DEPLOYING}={OPERATOR}"


def observe(kube: Kube, place: HyperPodPlace, doors: Doors, uids: Collection[UUID] | None) -> dict[UUID, Observation]:
    """Raises KubeError, or TargetError where the operator is not installed: then nothing is known of any of them."""
    configs = _configs(kube, place, uids)
    if not configs:
        return {}
    doors.services = _services(kube, configs.values())
    pods = _pods(kube, configs.values(), some=uids is not None and len(uids) <= MOST_NAMED)
    return {uid: _entered(config, observation(config, pods.get((config.metadata.namespace, config.metadata.name), [])), doors)
            for uid, config in configs.items()}


def _configs(kube: Kube, place: HyperPodPlace, uids: Collection[UUID] | None) -> dict[UUID, Config]:
    """By endpoint; one that is going counts only where no other is there."""
    labels = ENDPOINT_UID
    if uids is not None and len(uids) <= MOST_NAMED:
        labels = f"{ENDPOINT_UID} in ({','.join(sorted(map(str, uids)))})"
    kinds = [INFERENCE_ENDPOINT_CONFIG, *([JUMPSTART_MODEL] if place.has_jumpstart else [])]
    try:
        found = [config for kind in kinds for config in kube.list(kind, Config, labels=labels).items]
    except KubeError as error:
        if error.problem is not Problem.NO_KIND:
            raise
        raise TargetError(Cause.NO_KIND, _("The HyperPod inference operator is not installed in this cluster: %(why)s") % {
            "why": error.message}, of_the_place=True, pause=MISSING_PAUSE) from error
    by_uid: dict[UUID, Config] = {}
    for config in sorted(found, key=lambda each: not each.is_going):
        try:
            by_uid[UUID(config.metadata.label(ENDPOINT_UID))] = config
        except ValueError:
            continue  # Somebody else's label; no row of ours has it.
    return by_uid


def _services(kube: Kube, configs: Collection[Config]) -> Mapping[tuple[str, str], Service]:
    """Those that the operator has put before its pods, by namespace and the object's name."""
    called = [each for each in configs if each.metadata.annotation(ENTRANCE) == BY_CLUSTER]
    spaces = {each.metadata.namespace for each in called}
    if not called:
        return {}
    listing = kube.list(SERVICE, Service, namespace=spaces.pop() if len(spaces) == 1 else "")
    theirs = [each for each in listing.items if each.app and each.port and not each.metadata.label(ENDPOINT_UID)]
    # Of several, the one of the object's own name.
    ordered = sorted(theirs, key=lambda each: each.metadata.name == each.app)
    return {(each.metadata.namespace, each.app): each for each in ordered}


def _pods(kube: Kube, configs: Collection[Config], *, some: bool) -> Mapping[tuple[str, str], list[OperatorPod]]:
    """By namespace and the object's name. They are listed last, so that nothing is seen that no object has made yet."""
    names = ",".join(sorted({config.metadata.name for config in configs}))
    found: dict[tuple[str, str], list[OperatorPod]] = defaultdict(list)
    for pod in kube.list(POD, OperatorPod, labels=f"{ALL_PODS},app in ({names})" if some else ALL_PODS).items:
        found[pod.metadata.namespace, pod.metadata.label("app")].append(pod)
    return found


def _entered(config: Config, seen: Observation, doors: Doors) -> Observation:
    """With the way in, once a call would be answered."""
    if config.is_going or not any(each.ready for each in seen.replicas):
        return seen
    try:
        return replace(seen, entrance=doors.entrance(config))
    except Closed as closed:
        why = clean(str(closed), 500)
        return replace(seen, replicas=_unreachable(seen.replicas, why), problem=Cause.ROUTE, message=why)


def _unreachable(replicas: Sequence[ReplicaSeen], why: str) -> tuple[ReplicaSeen, ...]:
    return tuple(replace(each, ready=False, phase="No route", cause=Cause.ROUTE, message=why) if each.ready else each
                 for each in replicas)


