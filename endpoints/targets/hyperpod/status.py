"""What the operator's status and its pods mean for an endpoint, by the table of facts.md 1.11. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from django.utils.translation import gettext as _

from clusters.namespaces import REVISION
from endpoints.states import Cause
from endpoints.targets.base import Follow, Lack, Observation, ReplicaSeen
from endpoints.targets.kubernetes.names import AUTOSCALED, LWS_GROUP_INDEX
from endpoints.targets.kubernetes.replicas import number, replica_of
from portal.tenancy.text import clean

from .names import GIVEN_BACK
from .seen import NOT_DELETED, Config, OperatorPod

SOURCE = "hyperpod"
SAID = 500
# The whole deployment as one replica, where the operator gives up before there is a pod.
DEPLOYMENT = "deployment"
REGISTERS = frozenset({"CreationInProgress", "UpdateInProgress"})
NOT_REGISTERED = frozenset({"CreationFailed", "UpdateFailed"})
# What a pod says of itself that tells less than the operator's word.
VAGUE = frozenset({Cause.NONE, Cause.LOADING})


def marked(pods: Iterable[OperatorPod], default: str = "") -> list[OperatorPod]:
    """In the order in which they were made, each with its place in it and its revision as labels, as our own pods have."""
    ordered = sorted(pods, key=lambda pod: (str(pod.metadata.creation_timestamp or ""), pod.metadata.name))
    return [_labelled(pod, {LWS_GROUP_INDEX: str(index), REVISION: pod.revision or default})
            for index, pod in enumerate(ordered)]


def _labelled(pod: OperatorPod, more: dict[str, str]) -> OperatorPod:
    meta: Any = msgspec.structs.replace(pod.metadata, labels={**(pod.metadata.labels or {}), **more})
    return msgspec.structs.replace(pod, metadata=meta)


def replicas_of(pods: Iterable[OperatorPod], default: str = "") -> list[ReplicaSeen]:
    """`default` is the revision of pods that don't say theirs."""
    return [replica_of(pod, pod.engine.name) for pod in marked(pods, default)]


def observation(config: Config, pods: Iterable[OperatorPod]) -> Observation:
    """Without the way in. A status of an older generation says nothing about this one, and a failed look is none."""
    revision = config.metadata.annotation(REVISION)
    replicas = replicas_of(pods, revision)
    if config.is_going or config.status.state.startswith("Deletion"):
        return _going(config, replicas)
    if config.is_current and config.has_failed:
        replicas = _given_up(config, replicas, number(revision))
    problem, lack, message = _rest(config, replicas)
    scaled = config.metadata.annotation(AUTOSCALED)
    counts = config.spec.pd_spec is not None or scaled not in ("", GIVEN_BACK)
    follow = Follow.STEP if scaled == GIVEN_BACK else Follow.WRITE
    return Observation(tuple(replicas), follow=follow, source=SOURCE, problem=problem, lack=lack, message=message,
                       wanted_replicas=config.pods if counts else None)


def _going(config: Config, replicas: Sequence[ReplicaSeen]) -> Observation:
    if config.status.state == NOT_DELETED:
        return Observation(tuple(replicas), source=SOURCE, problem=Cause.OPERATOR, message=not_deleted(config))
    return Observation(tuple(replicas), source=SOURCE, problem=Cause.ENDING, message=_("The operator takes it away."))


def not_deleted(config: Config) -> str:
    return _("The operator could not delete it: %(said)s") % {"said": clean(config.said or config.status.state, SAID)}


def _given_up(config: Config, replicas: Sequence[ReplicaSeen], revision: int) -> list[ReplicaSeen]:
    """The operator has called the deployment failed: what is not ready of it will not be, as far as the operator goes."""
    said = clean(config.said or _("The deployment failed."), SAID)
    told = [_broken(each, said) if each.revision == revision and not each.ready else each for each in replicas]
    if any(each.broken for each in told) or sum(each.revision == revision for each in told) >= config.pods:
        return told
    missing = ReplicaSeen(DEPLOYMENT, len(told), revision, ready=False, phase="Failed", broken=True, cause=Cause.OPERATOR,
                          message=said)
    return [*told, missing]


def _broken(replica: ReplicaSeen, said: str) -> ReplicaSeen:
    """What the pod says of itself is the nearer cause."""
    if replica.broken or replica.cause in VAGUE:
        return replace(replica, broken=True, cause=replica.cause if replica.broken else Cause.OPERATOR,
                       message=replica.message if replica.broken else said)
    return replace(replica, broken=True, message=clean(f"{replica.message} {said}", SAID))


def _rest(config: Config, replicas: Sequence[ReplicaSeen]) -> tuple[Cause, Lack, str]:
    """What is missing beside the replicas."""
    if not config.is_current:
        # An autoscaler changes the object all the time, and its pods tell whether they are those that are wanted.
        if replicas and config.metadata.annotation(AUTOSCALED):
            return Cause.NONE, Lack.NOTHING, ""
        return Cause.LOADING, Lack.COMING, _("The operator has not seen this change yet.")
    if not replicas:
        return Cause.LOADING, Lack.COMING, _("The operator has made no pod of it yet (%(state)s).") % {
            "state": clean(config.status.state, 60)}
    if config.has_failed and all(each.ready for each in replicas):
        return Cause.OPERATOR, Lack.LASTING, clean(config.said, SAID)
    if config.registration in REGISTERS:
        return Cause.LOADING, Lack.COMING, _("SageMaker registers the endpoint %(name)s.") % {"name": config.sagemaker_name}
    if config.registration in NOT_REGISTERED:
        return Cause.OPERATOR, Lack.LASTING, _(
            "Its pods serve, but SageMaker has no endpoint %(name)s for it (%(state)s). %(said)s") % {
                "name": config.sagemaker_name, "state": config.registration, "said": clean(config.said, SAID)}
    return Cause.NONE, Lack.NOTHING, ""
