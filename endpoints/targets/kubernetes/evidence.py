"""What a cluster shows of one endpoint, in at most eight calls: pods, events, and around them what a wish needs.

Reasons and messages are those of the kubelet, the scheduler and the controllers (Kubernetes 1.28 to 1.36), cleaned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from django.utils import timezone

from clusters.drivers.kinds import EVENT, HTTP_ROUTE, POD, PVC, SCALED_OBJECT, Kind
from clusters.drivers.kube import Kube, KubeError
from clusters.models import Cluster, Node
from clusters.namespaces import ENDPOINT_UID, REVISION
from endpoints.explaining import Condition, Evidence, Happening, Machine, Replica
from endpoints.planning.preflight import tolerated
from endpoints.targets.asked import asked_of
from endpoints.targets.base import LOG_CHARS, LOG_LINES, Placement, Spec
from portal.tenancy.text import clean

from .keda import scaler_name
from .names import LWS_WORKER_INDEX
from .pod import GPU
from .replicas import ENGINE, index_of, number
from .seen import Condition as Seen
from .seen import ContainerStatus, Meta, Pod, PodStatus, Struct, Waiting
from .weights import claim_of

MOST_CALLS = 8
MOST_EVENTS = 100
SAID = 1000
T = TypeVar("T")
LONG_AGO = datetime.min.replace(tzinfo=UTC)
# Events of type Normal that tell of a trouble all the same.
TELLING = ("failed liveness probe", "failed startup probe", "Preempted by")


class _Meta(Meta, frozen=True):
    creation_timestamp: datetime | None = None


class _Status(PodStatus, frozen=True):
    start_time: datetime | None = None


class WholePod(Pod, frozen=True):
    """A pod with what only an explanation needs."""

    metadata: _Meta = _Meta()
    status: _Status = _Status()


class _Ref(Struct, frozen=True):
    kind: str = ""
    name: str = ""


class _Series(Struct, frozen=True):
    count: int = 1
    last_observed_time: datetime | None = None


class ClusterEvent(Struct, frozen=True):
    """An event of either form, core/v1 or events.k8s.io."""

    metadata: _Meta = _Meta()
    involved_object: _Ref = _Ref()
    reason: str | None = ""
    message: str | None = ""
    type: str | None = ""
    count: int | None = 1
    series: _Series | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None


class Gatherer:
    """One look at one endpoint. What can't be read is named in `unread`, so that its absence is no good news."""

    def __init__(self, kube: Kube, cluster: Cluster, spec: Spec) -> None:
        self.kube = kube
        self.cluster = cluster
        self.spec = spec
        self.left = MOST_CALLS
        self.unread: list[str] = []

    def gather(self, *, deep: bool = True, routed: bool = False) -> Evidence:
        """Raises KubeError where not even the pods can be listed. `routed` says that an HTTPRoute should be there."""
        nodes = list(Node.objects.filter(cluster=self.cluster))
        replicas = self.replicas({node.name for node in nodes if node.simulated})
        events = self._events({replica.name for replica in replicas})
        conditions = [*_lost_nodes(replicas, nodes)]
        if deep:
            conditions += self.around(routed=routed)
            replicas = self._with_logs(replicas)
        return Evidence(
            wanted=self.spec.replicas * self.spec.wanted.resources.nodes, looked_at=timezone.now(),
            replicas=tuple(replicas), conditions=tuple(conditions), events=tuple(events), asked=asked_of(self.spec),
            machines=tuple(machine_of(node, self.spec.wanted.placement) for node in nodes), unread=tuple(self.unread))

    def replicas(self, simulated: Collection[str]) -> list[Replica]:
        """Every pod of the endpoint, in the order of their names."""
        self.left -= 1
        found = self.pods(simulated)
        return sorted(found, key=lambda one: (one.index, one.name))

    def pods(self, simulated: Collection[str]) -> list[Replica]:
        return [replica_of(pod, simulated) for pod in pods_of(self.kube, self.spec)]

    def _events(self, pods: set[str]) -> list[Happening]:
        """The newest events of our objects; those of pods that were there before count as ours by their name."""
        with_ours = self.read("events", lambda: self.kube.list(EVENT, ClusterEvent, namespace=self.spec.namespace).items)
        name = self.spec.object_name
        claim = claim_of(self.spec.wanted)
        ours = {name, *pods, *({claim.claim} if claim else ())}
        found = [happening_of(event) for event in with_ours or ()
                 if event.involved_object.name in ours or event.involved_object.name.startswith(f"{name}-")]
        return sorted(found, key=lambda one: one.last or LONG_AGO, reverse=True)[:MOST_EVENTS]

    def around(self, *, routed: bool) -> Iterator[Condition]:
        claim = claim_of(self.spec.wanted)
        if claim is not None and (found := self.get(PVC, claim.claim)):
            phase = str(found.get("status", {}).get("phase", ""))
            yield Condition(f"PersistentVolumeClaim/{claim.claim}", "Phase", phase)
        if self.spec.autoscale is not None and (found := self.get(SCALED_OBJECT, scaler_name(self.spec))):
            yield from conditions_of("ScaledObject", found, found.get("status", {}).get("conditions"))
        if routed and (found := self.get(HTTP_ROUTE, self.spec.object_name)):
            for parent in found.get("status", {}).get("parents") or ():
                yield from conditions_of("HTTPRoute", found, parent.get("conditions"))

    def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        return self.read(kind.resource, lambda: self.kube.get(kind, self.spec.namespace, name))

    def read(self, what: str, ask: Callable[[], T | None]) -> T | None:
        """One call within the budget; a refusal of this kind alone leaves a gap and not an error."""
        if self.left <= 0:
            self.unread.append(what)
            return None
        self.left -= 1
        try:
            return ask()
        except KubeError as error:
            self.unread.append(f"{what}: {clean(error.message, 200)}")
            return None

    def _with_logs(self, replicas: list[Replica]) -> list[Replica]:
        """With the last lines of those that are worst off: of their run before first, where causes stand."""
        worst = sorted((one for one in replicas if not one.ready and not one.going and one.ran),
                       key=lambda one: (one.exit_code is None, -one.restarts, one.index))
        read: dict[str, Replica] = {}
        for one in worst:
            if self.left <= 0:
                break
            previous = self._log(one, previous=True) if one.restarts else ""
            current = self._log(one, previous=False) if self.left > 0 and (not previous or not read) else ""
            read[one.name] = replace(one, log=current, previous_log=previous)
        return [read.get(one.name, one) for one in replicas]

    def _log(self, replica: Replica, *, previous: bool) -> str:
        said = self.read(f"log of {replica.name}", lambda: self.kube.read_log(
            self.spec.namespace, replica.name, replica.container, lines=LOG_LINES, previous=previous))
        return clean(said or "", LOG_CHARS)


def _lost_nodes(replicas: Iterable[Replica], nodes: Iterable[Node]) -> Iterator[Condition]:
    """Those that the inventory calls not ready, of the pods that are not ready."""
    names = {replica.node for replica in replicas if not replica.ready}
    for node in nodes:
        if node.name in names and not node.ready:
            yield Condition(f"Node/{node.name}", "Ready", "Unknown", "NodeStatusUnknown", clean(node.message, SAID))


def machine_of(node: Node, placement: Placement) -> Machine:
    """A row of the inventory as evidence. Pods with GPUs tolerate the taint of their own kind."""
    tolerations = (*placement.tolerations, {"key": GPU, "operator": "Exists"})
    taints = [f"{one.get('key', '')}={one.get('value', '')}:{one.get('effect', '')}".replace("=:", ":")
              for one in node.taints if not tolerated(one, tolerations)]
    chosen = all(node.labels.get(key) == value for key, value in placement.node_selector.items())
    return Machine(node.name, node.gpus, ", ".join(taints), chosen)


def read_log(kube: Kube, spec: Spec, pods: Iterable[Replica], *, replica: int, previous: bool, lines: int) -> str:
    """The last lines of a replica's newest pod; "" where there is none, or it has not run yet. Raises KubeError."""
    mine = sorted((pod for pod in pods if pod.index == replica), key=lambda pod: (pod.going, not pod.leads, -pod.revision))
    if not mine or not (mine[0].ran or mine[0].ready):
        return ""
    return kube.read_log(spec.namespace, mine[0].name, mine[0].container, lines=lines, previous=previous)


def pods_of(kube: Kube, spec: Spec) -> list[WholePod]:
    return kube.list(POD, WholePod, namespace=spec.namespace, labels=f"{ENDPOINT_UID}={spec.uid}").items


def replica_of(pod: WholePod, simulated: Collection[str] = (), engine: str = ENGINE) -> Replica:
    """A pod as evidence; `engine` is the name of the container that answers calls. Pure."""
    status, placed, ready = pod.status, pod.condition("PodScheduled"), pod.condition("Ready")
    told = _telling(status, engine)
    ended = told.state.terminated or told.last_state.terminated
    waiting = told.state.waiting or Waiting()
    thrown_out = status.phase == "Failed" and bool(status.reason)
    return Replica(
        name=pod.metadata.name, index=index_of(pod), phase=status.phase, node=pod.spec.node_name,
        ready=ready.status == "True" and not pod.metadata.deletion_timestamp, revision=number(pod.metadata.label(REVISION)),
        waiting=waiting.reason, message=clean(waiting.message, SAID),
        ended=status.reason if thrown_out else ended.reason if ended else "",
        ended_because=clean(status.message if thrown_out else ended.message if ended else "", SAID),
        exit_code=ended.exit_code if ended else None, restarts=told.restart_count,
        unplaced=clean(placed.message or "", SAID) if placed.status == "False" else "",
        made_at=pod.metadata.creation_timestamp, since=ready.last_transition_time or status.start_time,
        ended_at=ended.finished_at if ended else None, container=told.name, simulated=pod.spec.node_name in simulated,
        leads=pod.metadata.label(LWS_WORKER_INDEX) in ("", "0"), going=pod.metadata.deletion_timestamp is not None)


def _telling(status: _Status, engine: str) -> ContainerStatus:
    """The container whose state matters: one that prepares the pod and has not ended well, else the engine."""
    unready = status.preparing
    if unready is not None:
        return unready
    own = {container.name: container for container in status.container_statuses or ()}
    return own.get(engine) or next(iter(own.values()), ContainerStatus(name=engine))


def happening_of(event: ClusterEvent) -> Happening:
    """An event of either form: the older one counts, the newer one has a series. Pure."""
    series = event.series or _Series()
    last = series.last_observed_time or event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    message = clean(event.message or "", SAID)
    return Happening(
        object=f"{event.involved_object.kind}/{event.involved_object.name}", reason=clean(event.reason or "", 128),
        message=message,
        warning=event.type == "Warning" or any(words in message for words in TELLING),
        count=max(series.count, event.count or 1), first=event.first_timestamp or event.event_time, last=last)


def conditions_of(kind: str, found: Mapping[str, Any], listed: Any) -> Iterator[Condition]:
    """The conditions in an object's status, as evidence. Pure."""
    name = clean(found.get("metadata", {}).get("name", ""), 253)
    try:
        told = msgspec.convert(listed or (), tuple[Seen, ...])
    except msgspec.ValidationError:  # A controller of somebody else's wrote it; a form that we don't know tells nothing.
        return
    for one in told:
        yield Condition(f"{kind}/{name}", clean(one.type, 64), clean(one.status, 16), clean(one.reason or "", 128),
                        clean(one.message or "", SAID), one.last_transition_time)
