"""From a pod to a replica: one word for its phase, one cause, one sentence. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.utils.translation import gettext as _

from clusters.namespaces import REVISION
from endpoints.states import Cause
from endpoints.targets.base import ReplicaSeen
from portal.tenancy.text import clean

from .names import LWS_GROUP_INDEX, LWS_WORKER_INDEX
from .seen import ContainerStatus, Pod, Terminated

IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
                   "RegistryUnavailable"})
# Reasons that come only after a container has failed more than once, or can't succeed at all.
BROKEN = frozenset({"CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
OUT_OF_MEMORY = 137
# What the scheduler says when a claim, not a node, is missing.
VOLUME = re.compile(r"persistentvolumeclaim|PersistentVolumeClaim|volume node affinity")
TERMINATING = "Terminating"
ENGINE = "engine"


def replica_of(pod: Pod, engine: str = ENGINE) -> ReplicaSeen:
    """`engine` is the name of the container that answers calls."""
    status = next((each for each in pod.status.container_statuses or () if each.name == engine), None)
    seen = ReplicaSeen(
        key=pod.metadata.name, index=index_of(pod), revision=number(pod.metadata.label(REVISION)), ready=_is_ready(pod),
        phase="Ready", where=clean(pod.spec.node_name, 253), restarts=status.restart_count if status else 0)
    if pod.metadata.deletion_timestamp is not None:
        return replace(seen, ready=False, phase=TERMINATING, message=_("is being stopped"),
                       since=pod.metadata.deletion_timestamp)
    if seen.ready:
        return replace(seen, since=pod.condition("Ready").last_transition_time)
    return _waiting(pod, status, seen)


def replicas_of(pods: Iterable[Pod], size: int) -> list[ReplicaSeen]:
    """All replicas by index; `size` is how many pods make one."""
    if size == 1:
        return sorted((replica_of(pod) for pod in pods), key=lambda seen: seen.index)
    groups: dict[int, list[Pod]] = {}
    for pod in pods:
        groups.setdefault(index_of(pod), []).append(pod)
    return [group_of(groups[index], size) for index in sorted(groups)]


def group_of(pods: Iterable[Pod], size: int) -> ReplicaSeen:
    """One replica over several pods: what its leader says, unless a worker is worse off. Ready when all are there."""
    members = sorted(pods, key=lambda pod: number(pod.metadata.label(LWS_WORKER_INDEX)))
    seen = [replica_of(pod) for pod in members]
    worst = next((each for each in seen if each.broken), None) or next((each for each in seen if not each.ready), seen[0])
    leads = seen[0]
    ready = len(seen) == size and all(each.ready for each in seen)
    return replace(worst, key=leads.key, index=leads.index, revision=leads.revision, ready=ready,
                   where=", ".join(dict.fromkeys(each.where for each in seen if each.where)),
                   restarts=max(each.restarts for each in seen))


def index_of(pod: Pod) -> int:
    group = pod.metadata.label(LWS_GROUP_INDEX)
    return number(group or pod.metadata.name.rpartition("-")[2])


def number(text: str) -> int:
    """A label's number; 0 for anything else."""
    return int(text) if text.isascii() and text.isdecimal() else 0


def _is_ready(pod: Pod) -> bool:
    return pod.condition("Ready").status == "True" and pod.metadata.deletion_timestamp is None


def _waiting(pod: Pod, status: ContainerStatus | None, seen: ReplicaSeen) -> ReplicaSeen:
    if pod.status.phase in ("Failed", "Unknown"):
        gone = pod.status.reason or pod.status.phase
        cause = {"Evicted": Cause.EVICTED, "NodeLost": Cause.HOST_LOST}.get(gone, Cause.CRASH_LOOP)
        return _because(seen, gone, cause, pod.status.message, None)
    status = pod.status.preparing or status
    if status is None:
        return _unplaced(pod, seen)
    if status.state.waiting is not None:
        return _container_waits(status, seen)
    if status.state.terminated is not None:
        ended = status.state.terminated
        return _because(seen, ended.reason or "Ended", _cause_of(ended), _ended(ended), ended.finished_at)
    since = status.state.running.started_at if status.state.running else None
    if status.started:
        return _because(seen, "Running", Cause.PROBE, _("runs, but does not answer its health check"), since)
    return _because(seen, "Loading", Cause.LOADING, _("loads the model"), since)


def _container_waits(status: ContainerStatus, seen: ReplicaSeen) -> ReplicaSeen:
    waiting = status.state.waiting
    assert waiting is not None, "the caller has looked"
    last = status.last_state.terminated
    reason, message, since = waiting.reason or "Pending", waiting.message, last.finished_at if last else None
    if reason in IMAGE:
        cause = Cause.IMAGE
    elif reason == "CrashLoopBackOff" and last is not None:
        cause, message = _cause_of(last), _ended(last)
    elif reason == "CrashLoopBackOff":
        cause = Cause.CRASH_LOOP
    elif reason in ("CreateContainerConfigError", "CreateContainerError"):
        cause = Cause.SECRET if "secret" in message else Cause.ERROR
    else:
        cause = Cause.LOADING
    return replace(_because(seen, reason, cause, message, since), broken=reason in BROKEN)


def _unplaced(pod: Pod, seen: ReplicaSeen) -> ReplicaSeen:
    placed = pod.condition("PodScheduled")
    if placed.status != "False":
        return _because(seen, "Pending", Cause.LOADING, _("waits for its node"), placed.last_transition_time)
    said = placed.message or ""
    cause = Cause.VOLUME if VOLUME.search(said) else Cause.UNSCHEDULABLE
    return _because(seen, placed.reason or "Pending", cause, said, placed.last_transition_time)


def _cause_of(ended: Terminated) -> Cause:
    return Cause.MEMORY if ended.reason == "OOMKilled" or ended.exit_code == OUT_OF_MEMORY else Cause.CRASH_LOOP


def _ended(ended: Terminated) -> str:
    said = ended.message or ended.reason
    return _("ended with exit code %(code)d: %(said)s") % {"code": ended.exit_code, "said": said}


def _because(seen: ReplicaSeen, phase: str, cause: Cause, message: str, since: datetime | None) -> ReplicaSeen:
    return replace(seen, ready=False, phase=clean(phase, 60), cause=cause, message=clean(message, 500), since=since)
