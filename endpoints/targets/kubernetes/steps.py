"""Apply and remove: one step of one endpoint in its cluster. Safe to repeat, safe to be killed at any call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.drivers.kinds import POD, Kind
from clusters.drivers.kube import Kube
from endpoints.states import Cause
from endpoints.targets.base import ReplicaSeen, Spec, TargetError

from .bundle import WORKLOADS, Bundle, Key, There, key_of, kinds_of
from .names import AUTOSCALED, GENERATION
from .place import PlaceView
from .replicas import replicas_of
from .seen import Pod, Workload
from .stage import HANDOVER, handed_over, staged

# Deleted in this order, so that nothing starts or reaches pods that are going.
FIRST_TO_GO = ("ScaledObject", "InterceptorRoute", "HTTPRoute", "PodMonitor", "LeaderWorkerSet", "StatefulSet")


def apply(kube: Kube, place: PlaceView, spec: Spec, made: Sequence[dict[str, Any]]) -> None:
    """Send what differs, the workload with the next stage of its rollout; what is not wanted any more goes first.

    Raises KubeError, and TargetError where a name is taken.
    """
    bundle = Bundle(kube, kinds_of(place), spec)
    there = bundle.live()
    if _tidy(bundle, there, {key_of(manifest) for manifest in made}):
        raise TargetError(Cause.LOADING, _("Its old pods are being taken away: a replica takes another number of nodes now."))
    for manifest in made:
        if key_of(manifest)[0] in WORKLOADS:
            _put_workload(kube, bundle, spec, manifest, there)
        else:
            bundle.put(manifest, there)


def _tidy(bundle: Bundle, there: There, wanted: set[Key]) -> bool:
    """Delete what is not wanted; whether that is a workload of another shape, whose pods have the names of the new ones."""
    gone = {key: each for key, each in there.items() if key not in wanted}
    for key, each in gone.items():
        bundle.drop(key, each)
    return any(kind in WORKLOADS for kind, _name in gone)


def _put_workload(kube: Kube, bundle: Bundle, spec: Spec, manifest: dict[str, Any], there: There) -> None:
    kind, name = key_of(manifest)
    known = there.get((kind, name))
    live = known if isinstance(known, Workload) else None
    pods = pods_of(kube, bundle, spec)
    sent, drop = staged(manifest, spec, live, pods, timezone.now())
    if live is not None:
        sent = with_replicas(kube, kind, spec, sent, live)
    bundle.put(sent, there)
    if live is not None and live.metadata.annotation(GENERATION) != str(spec.generation):
        drop |= {pod.key for pod in pods if pod.broken}  # A person asked for another try; back-off would wait minutes.
    for pod in sorted(drop):
        kube.delete(POD, spec.namespace, pod)


def as_sent(kube: Kube, bundle: Bundle, spec: Spec, manifest: dict[str, Any], live: Workload | None) -> dict[str, Any]:
    """What the endpoint's own next step would send of one object, but for the hand-over to an autoscaler."""
    if key_of(manifest)[0] not in WORKLOADS:
        return manifest
    pods = pods_of(kube, bundle, spec) if live is not None else []
    sent, _drop = staged(manifest, spec, live, pods, timezone.now())
    return sent


def with_replicas(kube: Kube, kind: Kind, spec: Spec, sent: dict[str, Any], live: Workload) -> dict[str, Any]:
    """Give the number of replicas to the autoscaler, or take it back, without ever leaving it to nobody.

    A field that its only owner stops sending falls back to its default, which would be one replica.
    """
    mark = live.metadata.annotation(AUTOSCALED)
    if spec.autoscale is None and mark:
        kube.merge_patch(kind, spec.namespace, live.metadata.name, {"spec": {"replicas": sent["spec"]["replicas"]}},
                         subresource="scale")
    elif spec.autoscale is not None and mark != "yes" and not handed_over(kube.get(kind, spec.namespace, live.metadata.name)):
        marks = {**sent["metadata"]["annotations"], AUTOSCALED: HANDOVER}
        return {**sent, "metadata": {**sent["metadata"], "annotations": marks},
                "spec": {**sent["spec"], "replicas": live.replicas}}
    return sent


def pods_of(kube: Kube, bundle: Bundle, spec: Spec) -> list[ReplicaSeen]:
    listing = kube.list(POD, Pod, namespace=spec.namespace, labels=bundle.labels)
    return replicas_of(listing.items, spec.wanted.resources.nodes)


def remove(kube: Kube, place: PlaceView, spec: Spec) -> None:
    """Delete everything of this endpoint. Raises TargetError, not permanent, while something of it is still there."""
    bundle = Bundle(kube, kinds_of(place), spec)
    there = bundle.live(with_claims=True)
    for key, each in sorted(there.items(), key=lambda item: _turn(item[0])):
        bundle.drop(key, each)
    if there:
        names = ", ".join(f"{kind.kind} {name}" for kind, name in there)
        raise TargetError(Cause.LOADING, _("These objects are being deleted: %(names)s.") % {"names": names})


def _turn(key: Key) -> int:
    kind = key[0].kind
    return FIRST_TO_GO.index(kind) if kind in FIRST_TO_GO else len(FIRST_TO_GO)
