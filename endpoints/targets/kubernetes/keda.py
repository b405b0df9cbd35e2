"""The objects that let KEDA own the replicas of an endpoint: a ScaledObject, and a route for calls that wake it.

KEDA 2.18, HTTP add-on 0.14 (facts.md section 4). Our ScaledObject scales the StatefulSet or LeaderWorkerSet that we
made, never the VLLMCluster above it: two writers of one number would fight.
"""

from __future__ import annotations

from typing import Any, Protocol

from django.utils.translation import gettext as _

from clusters.drivers.kinds import INTERCEPTOR_ROUTE, LEADER_WORKER_SET, SCALED_OBJECT, STATEFUL_SET
from endpoints.autoscale import signals
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError, Trigger

HTTP_SCALER = "keda-add-ons-http-external-scaler.keda:9090"
# Where calls go when an HTTP trigger counts them, by the host name of `interceptor_host`.
HTTP_INTERCEPTOR = "keda-add-ons-http-interceptor-proxy.keda:8080"
ENGINE_PORT = 8000


class Place(Protocol):
    """What this needs to know of a cluster; a KubernetesAccess fits."""

    @property
    def prometheus(self) -> str:
        """Its address inside the cluster, or ""."""

    def has(self, capability: str) -> bool:
        """Whether a CRD or controller was found there."""


def scaled_objects(spec: Spec, place: Place) -> list[dict[str, Any]]:
    """The route (first: KEDA wants it there) and the ScaledObject; none without autoscaling.

    Raises TargetError, permanent, where the cluster lacks what a trigger needs.
    """
    if spec.autoscale is None:
        return []
    if not place.has("keda"):
        raise _refused(_("KEDA is not installed in this cluster, so nothing would scale %(name)s. Install it and test the "
                         "connection, or switch autoscaling off.") % {"name": spec.name}, Cause.NO_KIND)
    routes = [_route(spec, trigger) for trigger in spec.autoscale.triggers if trigger.type == "http"]
    if routes and not place.has("keda_http"):
        raise _refused(_("The trigger “http” needs KEDA's HTTP add-on, which is not installed in this cluster."), Cause.NO_KIND)
    return [*routes, _scaled_object(spec, place)]


def scaler_name(spec: Spec) -> str:
    return f"{spec.object_name}-scaler"


def interceptor_host(spec: Spec) -> str:
    """The Host header by which the interceptor knows calls for this endpoint."""
    return f"{spec.object_name}.{spec.namespace}"


def _refused(message: str, cause: Cause = Cause.REFUSED) -> TargetError:
    return TargetError(cause, message, permanent=True)


def _meta(spec: Spec) -> dict[str, Any]:
    return {"name": scaler_name(spec), "namespace": spec.namespace}


def _scaled_object(spec: Spec, place: Place) -> dict[str, Any]:
    wish = spec.autoscale
    assert wish is not None, "the caller has looked"
    kind = LEADER_WORKER_SET if spec.wanted.resources.nodes > 1 else STATEFUL_SET
    return {
        "apiVersion": SCALED_OBJECT.api_version, "kind": SCALED_OBJECT.kind, "metadata": _meta(spec),
        "spec": {
            "scaleTargetRef": {"apiVersion": kind.api_version, "kind": kind.kind, "name": spec.object_name},
            "pollingInterval": wish.polling_seconds, "cooldownPeriod": wish.cooldown_seconds,
            "minReplicaCount": wish.min_replicas, "maxReplicaCount": wish.max_replicas,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {
                "scaleUp": {"stabilizationWindowSeconds": wish.stabilisation_up_seconds},
                "scaleDown": {"stabilizationWindowSeconds": wish.stabilisation_down_seconds},
            }}},
            "triggers": [_trigger(spec, place, trigger) for trigger in wish.triggers],
        },
    }


def _trigger(spec: Spec, place: Place, trigger: Trigger) -> dict[str, Any]:
    if trigger.type == "http":
        kind, metadata = "external-push", {"scalerAddress": HTTP_SCALER, "interceptorRoute": scaler_name(spec)}
    elif trigger.type == "prometheus":
        kind, metadata = "prometheus", _prometheus(spec, place, dict(trigger.metadata))
    else:
        kind, metadata = trigger.type, dict(trigger.metadata)
    made: dict[str, Any] = {"type": kind, "metadata": metadata}
    if trigger.metric_type and trigger.type != "http":
        made["metricType"] = trigger.metric_type
    if trigger.authentication:
        made["authenticationRef"] = {"name": trigger.authentication}
    return made


def _prometheus(spec: Spec, place: Place, metadata: dict[str, str]) -> dict[str, str]:
    signal = metadata.pop("signal", "")
    if signal:
        try:
            metadata["query"] = signals.query(spec.wanted.engine, signal, spec.namespace, spec.object_name)
        except KeyError as error:
            raise _refused(_("%(engine)s has no figure for the signal “%(signal)s”: write a query.")
                           % {"engine": spec.wanted.engine, "signal": signal}) from error
    address = metadata.get("serverAddress") or place.prometheus
    if not address:
        raise _refused(_("A Prometheus trigger needs the address of Prometheus: give it with the trigger, or once for the "
                         "place."))
    return {**metadata, "serverAddress": address}


def _route(spec: Spec, trigger: Trigger) -> dict[str, Any]:
    said = trigger.metadata
    if "requestRate" in said:
        times = {name: said[name] for name in ("window", "granularity") if name in said}
        metric: dict[str, Any] = {"requestRate": {"targetValue": int(said["requestRate"]), **times}}
    else:
        metric = {"concurrency": {"targetValue": int(said["concurrency"])}}
    return {
        "apiVersion": INTERCEPTOR_ROUTE.api_version, "kind": INTERCEPTOR_ROUTE.kind, "metadata": _meta(spec),
        "spec": {
            "target": {"service": spec.object_name, "port": ENGINE_PORT},
            "rules": [{"hosts": [interceptor_host(spec)]}], "scalingMetric": metric,
        },
    }
