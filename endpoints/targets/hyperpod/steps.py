"""Apply and remove: one step of one endpoint on HyperPod. Safe to repeat, safe to be killed at any call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.kinds import POD, kind_of
from clusters.drivers.kube import Kube
from endpoints.states import Cause
from endpoints.targets.base import ReplicaSeen, Spec, TargetError
from endpoints.targets.kubernetes.bundle import SCALED, Bundle, Key, There, key_of
from endpoints.targets.kubernetes.names import AUTOSCALED, GENERATION
from endpoints.targets.kubernetes.seen import Workload
from endpoints.targets.kubernetes.steps import with_replicas

from .names import GIVEN_BACK, is_routed, selector_of, shortened
from .place import HyperPodPlace
from .render import kinds_in
from .seen import NOT_DELETED, Config, OperatorPod
from .status import not_deleted, replicas_of

Manifest = dict[str, Any]


def staged(spec: Spec, manifest: Manifest, live: Workload | None = None) -> Manifest:
    """With the marks of this step, on what the operator reads."""
    if kind_of(manifest) not in SCALED:
        return manifest
    metadata = manifest["metadata"]
    marks = {**metadata["annotations"], GENERATION: str(spec.generation)}
    if spec.autoscale is not None:
        marks[AUTOSCALED] = "yes"
    elif live is not None and _takes_back(spec, live):
        marks[AUTOSCALED] = GIVEN_BACK
    return {**manifest, "metadata": {**metadata, "annotations": marks}}


def _takes_back(spec: Spec, live: Workload) -> bool:
    """Whether the autoscaler that was may write the number once more: the operator takes it away in its own time."""
    still = isinstance(live, Config) and live.scales_itself
    return bool(live.metadata.annotation(AUTOSCALED)) and (still or live.replicas != spec.replicas)


def apply(kube: Kube, place: HyperPodPlace, spec: Spec, made: Sequence[Manifest]) -> None:
    """Send what differs; what is not wanted any more goes after it. Raises KubeError and TargetError."""
    bundle = Bundle(kube, kinds_in(place), spec)
    there = bundle.live()
    wanted = {key_of(manifest) for manifest in made}
    require_same_shape(spec, there, wanted)
    for manifest in made:
        if kind_of(manifest) in SCALED:
            _put(kube, bundle, spec, manifest, there)
        else:
            bundle.put(manifest, there)
    for key, known in there.items():
        if key not in wanted:
            bundle.drop(key, known)


def require_same_shape(spec: Spec, there: There, wanted: set[Key]) -> None:
    """The operator refuses routing on an object that is there, and two objects would make pods beside each other."""
    for key, live in there.items():
        if not isinstance(live, Config):
            continue
        if live.is_going:
            raise TargetError(Cause.ENDING, _("Its object from before is still being taken away."))
        if key not in wanted or live.is_routed != is_routed(spec.wanted.options):
            raise TargetError(Cause.REFUSED, _(
                "%(what)s can't be changed into this: intelligent routing and JumpStart are chosen when an endpoint is made. "
                "Stop the endpoint, then start it with these settings.") % {"what": f"{key[0].kind} {key[1]}"}, permanent=True)


def _put(kube: Kube, bundle: Bundle, spec: Spec, manifest: Manifest, there: There) -> None:
    known = there.get(key_of(manifest))
    live = known if isinstance(known, Config) else None
    sent = staged(spec, manifest, live)
    if live is None:
        bundle.put(sent, there)
        return
    # A person asked for another try; back-off would wait minutes.
    again = live.metadata.annotation(GENERATION) != str(spec.generation)
    pods = pods_of(kube, spec) if again else []
    if again and live.is_current and live.has_failed and not any(pod.ready for pod in pods):
        bundle.drop(key_of(manifest), live)
        raise TargetError(Cause.ENDING, _("The operator has given this object up: it is deleted, then made anew."))
    bundle.put(with_replicas(kube, kind_of(manifest), spec, sent, live), there)
    for pod in pods:
        if pod.broken:
            kube.delete(POD, spec.namespace, pod.key)


def pods_of(kube: Kube, spec: Spec) -> list[ReplicaSeen]:
    """Those with our mark: somebody else's object may have the name, and pods."""
    listing = kube.list(POD, OperatorPod, namespace=spec.namespace, labels=selector_of(spec.object_name))
    return replicas_of(pod for pod in listing.items if pod.revision)


def remove(kube: Kube, place: HyperPodPlace, spec: Spec) -> None:
    """Delete everything of this endpoint, under whichever of its two names. Raises TargetError, not permanent, while
    something of it is still there."""
    left: list[str] = []
    for each in dict.fromkeys((spec.external_name, shortened(spec).external_name)):
        left += _remove(kube, place, replace(spec, external_name=each))
    if left:
        names = ", ".join(sorted(set(left)))
        raise TargetError(Cause.ENDING, _("These objects are being deleted: %(names)s.") % {"names": names})


def _remove(kube: Kube, place: HyperPodPlace, spec: Spec) -> list[str]:
    """What is still there. Of a kind that the cluster does not know there is nothing: its CRD took all of them along."""
    kinds = {kind: read for kind, read in kinds_in(place).items() if kind not in SCALED or kube.has(kind)}
    bundle = Bundle(kube, kinds, spec)
    there = bundle.live()
    for key, known in there.items():
        bundle.drop(key, known)
    for known in there.values():
        if isinstance(known, Config) and known.status.state == NOT_DELETED:
            raise TargetError(Cause.OPERATOR, not_deleted(known))
    return [f"{kind.kind} {name}" for kind, name in there] or [f"Pod {pod.key}" for pod in pods_of(kube, spec)]
