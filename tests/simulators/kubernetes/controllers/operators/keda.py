"""KEDA: a ScaledObject makes a HorizontalPodAutoscaler, and its target follows the metrics that a test sets.

Conditions, reasons and events after kedacore/keda, controllers/keda and pkg/scaling/executor (2.18).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ..base import (
    Controller,
    Object,
    annotations_of,
    name_of,
    namespace_of,
    owner_reference,
    set_condition,
    terminating,
    uid_of,
    with_metadata,
)
from ..lookups import amount

if TYPE_CHECKING:
    from .. import Controllers

KIND = "ScaledObject.keda.sh"
FINALIZER = "finalizer.keda.sh"
PAUSED, PAUSED_AT = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"
TARGETS = ("threshold", "targetMetricValue", "value", "listLength", "lagThreshold", "targetQueryValue")
ACTIVATIONS = (
    "activationThreshold",
    "activationTargetMetricValue",
    "activationValue",
    "activationListLength",
    "activationLagThreshold",
)
SCALABLE = ("StatefulSet", "Deployment", "ReplicaSet", "LeaderWorkerSet", "InferenceEndpointConfig", "VLLMCluster")


class Keda(Controller):
    kinds = (KIND, *SCALABLE[:3])

    def __init__(self, controllers: Controllers) -> None:
        super().__init__(controllers.hands)
        self.metrics: dict[tuple[str, str], Fraction] = {}
        self._inactive_since: dict[str, int] = {}

    def set_metric(self, namespace: str, name: str, value: float) -> None:
        """What the triggers of a ScaledObject measure from now on, summed over the target's pods."""
        self.metrics[namespace, name] = Fraction(value)
        self.enqueue(namespace, name)

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == KIND:
            self.enqueue(namespace_of(obj), name_of(obj))
            return
        if event == "MODIFIED" and old is not None and size(old) == size(obj):
            return
        for each in self.cluster.list(KIND, namespace_of(obj)):
            if each["spec"]["scaleTargetRef"]["name"] == name_of(obj):
                self.enqueue(namespace_of(each), name_of(each))

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get(KIND, namespace, name)
        if found is None:
            return
        if terminating(found):
            self._end(found)
            return
        if FINALIZER not in (found["metadata"].get("finalizers") or ()):
            found = self.cluster.update(
                KIND, with_metadata(found, finalizers=[*found["metadata"].get("finalizers", ()), FINALIZER])
            )
        kind, target = self._target(found)
        if target is None:
            self._broken(found)
            return
        self._autoscaler(found, kind, target)
        paused = annotations_of(found)
        if PAUSED_AT in paused:
            self._scale(found, kind, target, int(paused[PAUSED_AT]))
        elif paused.get(PAUSED) != "true":
            self._follow(found, kind, target)
        self._write(found, kind, target)

    def _target(self, found: Object) -> tuple[str, Object | None]:
        ref = found["spec"]["scaleTargetRef"]
        kind = self.cluster.kind_of(ref.get("apiVersion", "apps/v1"), ref.get("kind", "Deployment"))
        if kind is None:
            return "", None
        return kind, self.cluster.get(kind, namespace_of(found), ref["name"])

    def _broken(self, found: Object) -> None:
        words = {
            "reason": "ScaledObjectCheckFailed",
            "message": "ScaledObject doesn't have correct scaleTargetRef specification",
        }
        conditions = set_condition(
            (found.get("status") or {}).get("conditions") or (),
            self.cluster.now(),
            type="Ready",
            status="False",
            **words,
        )
        self._put(found, {**(found.get("status") or {}), "conditions": bare(conditions)})
        self.cluster.record_event(
            found, "Warning", "ScaledObjectCheckFailed", "Target resource doesn't exist", "keda-operator"
        )

    def _end(self, found: Object) -> None:
        """Restores the replicas if asked, and lets the object go; its autoscaler follows as a dependent."""
        kind, target = self._target(found)
        advanced = found["spec"].get("advanced") or {}
        if target is not None and advanced.get("restoreToOriginalReplicaCount"):
            self._scale(found, kind, target, (found.get("status") or {}).get("originalReplicaCount", 1))
        finalizers = [each for each in found["metadata"].get("finalizers") or () if each != FINALIZER]
        self.metrics.pop((namespace_of(found), name_of(found)), None)
        if len(finalizers) != len(found["metadata"].get("finalizers") or ()):
            self.cluster.update(KIND, with_metadata(found, finalizers=finalizers or None))

    def _bounds(self, found: Object) -> tuple[int, int]:
        return found["spec"].get("minReplicaCount", 0), found["spec"].get("maxReplicaCount", 100)

    def _measured(self, found: Object) -> tuple[Fraction, Fraction, Fraction] | None:
        """Value, target and activation of the first trigger; None while no test has set a value."""
        value = self.metrics.get((namespace_of(found), name_of(found)))
        if value is None:
            return None
        metadata = found["spec"]["triggers"][0].get("metadata") or {}
        target = next((amount(metadata[key]) for key in TARGETS if key in metadata), Fraction(1))
        return value, target, next((amount(metadata[key]) for key in ACTIVATIONS if key in metadata), Fraction(0))

    def _follow(self, found: Object, kind: str, target: Object) -> None:
        measured = self._measured(found)
        least, most = self._bounds(found)
        now = target["spec"].get("replicas", 1)
        if measured is None:
            if not least <= now <= most and now:
                self._scale(found, kind, target, min(most, max(least, now)))
            return
        value, each, activation = measured
        if value > activation:
            self._inactive_since.pop(uid_of(found), None)
            wanted = -(-value // each) if each else most
            self._scale(found, kind, target, int(min(most, max(least, 1, wanted))))
        elif now > max(least, 1):
            self._scale(found, kind, target, max(least, 1))
        elif now and not least:
            self._cool_down(found)

    def _cool_down(self, found: Object) -> None:
        """To zero, when nothing has happened for cooldownPeriod."""
        uid, key = uid_of(found), (namespace_of(found), name_of(found))
        if uid in self._inactive_since:
            return
        turn = self._inactive_since[uid] = len(self._inactive_since) + self.cluster.store.revision

        def expire() -> None:
            fresh = self.cluster.get(KIND, *key)
            if fresh is None or self._inactive_since.get(uid) != turn:
                return
            del self._inactive_since[uid]
            kind, target = self._target(fresh)
            if target is not None:
                self._scale(fresh, kind, target, fresh["spec"].get("idleReplicaCount", 0))

        self.cluster.later(found["spec"].get("cooldownPeriod", 300), expire)

    def _scale(self, found: Object, kind: str, target: Object, count: int) -> None:
        before = target["spec"].get("replicas", 1)
        if before == count:
            return
        self.cluster.update(kind, {**target, "spec": {**target["spec"], "replicas": count}}, manager="keda")
        version = found["spec"]["scaleTargetRef"].get("apiVersion", "apps/v1")
        where = f"{version}.{target['kind']} {namespace_of(found)}/{name_of(target)}"
        if not before:
            self._event(
                found,
                "KEDAScaleTargetActivated",
                f"Scaled {where} from 0 to {count}, triggered by {self._triggers(found)}",
            )
        elif not count:
            self._event(found, "KEDAScaleTargetDeactivated", f"Deactivated {where} from {before} to 0")
        else:
            autoscaler = self.cluster.get("HorizontalPodAutoscaler", namespace_of(found), hpa_name(found))
            if autoscaler is not None:
                message = f"New size: {count}; reason: external metric {self._metric_names(found)[0]} above target"
                self.cluster.record_event(
                    autoscaler, "Normal", "SuccessfulRescale", message, "horizontal-pod-autoscaler"
                )

    def _triggers(self, found: Object) -> str:
        return ",".join(f"{each['type']}Scaler" for each in found["spec"]["triggers"])

    def _metric_names(self, found: Object) -> list[str]:
        return [f"s{number}-{each['type']}" for number, each in enumerate(found["spec"]["triggers"])]

    def _autoscaler(self, found: Object, kind: str, target: Object) -> None:
        least, most = self._bounds(found)
        metrics = []
        for name, trigger in zip(self._metric_names(found), found["spec"]["triggers"], strict=True):
            metadata = trigger.get("metadata") or {}
            wanted = next((metadata[key] for key in TARGETS if key in metadata), "1")
            chosen = {
                "metric": {"name": name, "selector": {"matchLabels": {"scaledobject.keda.sh/name": name_of(found)}}}
            }
            metrics.append(
                {"type": "External", "external": {**chosen, "target": {"type": "AverageValue", "averageValue": wanted}}}
            )
        ref, default = found["spec"]["scaleTargetRef"], {"apiVersion": "apps/v1", "kind": "Deployment"}
        spec = {
            "scaleTargetRef": {key: {**default, **ref}[key] for key in ("apiVersion", "kind", "name")},
            "minReplicas": max(1, least), "maxReplicas": most, "metrics": metrics,
        }  # fmt: skip
        if behavior := ((found["spec"].get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}).get(
            "behavior"
        ):
            spec["behavior"] = behavior
        count = (target.get("status") or {}).get("replicas", 0)
        status = {
            "currentReplicas": count,
            "desiredReplicas": target["spec"].get("replicas", 1),
            "currentMetrics": None,
            "conditions": [],
        }
        existing = self.cluster.get("HorizontalPodAutoscaler", namespace_of(found), hpa_name(found))
        if existing is None:
            labels = {"app.kubernetes.io/managed-by": "keda-operator", "scaledobject.keda.sh/name": name_of(found)}
            owner = [owner_reference(found, "keda.sh/v1alpha1", "ScaledObject")]
            metadata = {
                "name": hpa_name(found),
                "namespace": namespace_of(found),
                "labels": labels,
                "ownerReferences": owner,
            }
            existing = self.cluster.create(
                "HorizontalPodAutoscaler", {"metadata": metadata, "spec": spec}, manager="keda"
            )
            self._event(found, "KEDAScalersStarted", "Started scalers watch")
            self._event(found, "ScaledObjectReady", "ScaledObject is ready for scaling")
        elif {**existing["spec"], **spec} != existing["spec"]:
            existing = self.cluster.update("HorizontalPodAutoscaler", {**existing, "spec": spec}, manager="keda")
        self.cluster.put_status(
            "HorizontalPodAutoscaler", existing, {key: value for key, value in status.items() if value is not None}
        )

    def _write(self, found: Object, kind: str, target: Object) -> None:
        before = found.get("status") or {}
        notes, measured = annotations_of(found), self._measured(found)
        active = measured is not None and measured[0] > measured[2]
        paused = notes.get(PAUSED) == "true" or PAUSED_AT in notes
        fine = {"reason": "ScaledObjectReady", "message": "ScaledObject is defined correctly and is ready for scaling"}
        idle = {"reason": "ScalerNotActive", "message": "Scaling is not performed because triggers are not active"}
        busy = {"reason": "ScalerActive", "message": "Scaling is performed because triggers are active"}
        halted = {"reason": "ScaledObjectPaused", "message": "ScaledObject is paused"}
        going = {"reason": "ScaledObjectUnpaused", "message": "pause annotation removed for ScaledObject"}
        told = {
            "Ready": ("True", fine), "Active": (str(active), busy if active else idle),
            "Fallback": ("False", {"reason": "NoFallbackFound", "message": "No fallbacks are active on this scaled object"}),
            "Paused": (str(paused), halted if paused else going),
        }  # fmt: skip
        conditions = [{"type": type_, "status": status, **words} for type_, (status, words) in told.items()]
        names = self._metric_names(found)
        ref = found["spec"]["scaleTargetRef"]
        group, _, version = ref.get("apiVersion", "apps/v1").rpartition("/")
        gvkr = {
            "group": group,
            "version": version,
            "kind": target["kind"],
            "resource": self.cluster.resource(kind).plural,
        }
        status = {
            **before, "conditions": conditions, "hpaName": hpa_name(found), "externalMetricNames": names,
            "originalReplicaCount": before.get("originalReplicaCount", target["spec"].get("replicas", 1)),
            "scaleTargetKind": f"{ref.get('apiVersion', 'apps/v1')}.{target['kind']}", "scaleTargetGVKR": gvkr,
            "triggersTypes": ",".join(sorted({each["type"] for each in found["spec"]["triggers"]})),
            "health": {name: {"numberOfFailures": 0, "status": "Happy"} for name in names},
            **({"lastActiveTime": self.cluster.now()} if active and "lastActiveTime" not in before else {}),
        }  # fmt: skip
        self._put(found, status)

    def _put(self, found: Object, status: Object) -> None:
        if (found.get("status") or {}) != status:
            self.cluster.put_status(KIND, found, status)

    def _event(self, found: Object, reason: str, message: str) -> None:
        self.cluster.record_event(found, "Normal", reason, message, "keda-operator")


def hpa_name(found: Object) -> str:
    config = (found["spec"].get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    return config.get("name") or f"keda-hpa-{name_of(found)}"


def bare(conditions: list[Object]) -> list[Object]:
    """KEDA's conditions have no times."""
    return [{key: value for key, value in each.items() if key != "lastTransitionTime"} for each in conditions]


def size(target: Object) -> tuple[int | None, int | None]:
    """The replicas that are wanted and those that are there."""
    return target["spec"].get("replicas"), (target.get("status") or {}).get("replicas")
