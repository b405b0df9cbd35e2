"""From a spec to the objects of one endpoint, in the order in which they are sent. Pure."""

from __future__ import annotations

from typing import Any

from clusters.drivers.kinds import POD_DISRUPTION_BUDGET, POD_MONITOR, SERVICE_ACCOUNT
from endpoints.targets.base import Spec

from .keda import scaled_objects
from .names import adopted, manifest, selector, serving_selector
from .network import network_policy, services
from .place import PlaceView
from .refusals import check
from .route import http_route
from .secrets import secrets
from .workload import workload


def render(spec: Spec, place: PlaceView) -> list[dict[str, Any]]:
    """Everything that the endpoint is in this cluster; the workload comes when all it needs is there.

    Raises TargetError, permanent for what this cluster can never run.
    """
    check(spec, place)
    made = [manifest(SERVICE_ACCOUNT, spec, spec.object_name, automountServiceAccountToken=False)]
    made += secrets(spec, place)
    made += [*services(spec), network_policy(spec, place)]
    if spec.replicas > 1 or spec.autoscale is not None:
        made.append(_disruption_budget(spec))
    if place.gateway:
        made.append(http_route(spec, place))
    if place.has("prometheus"):
        made.append(_monitor(spec))
    made.append(workload(spec, place))
    return [*made, *(adopted(each, spec) for each in scaled_objects(spec, place))]


def _disruption_budget(spec: Spec) -> dict[str, Any]:
    return manifest(POD_DISRUPTION_BUDGET, spec, spec.object_name, spec={
        "maxUnavailable": 1, "selector": {"matchLabels": serving_selector(spec)}})


def _monitor(spec: Spec) -> dict[str, Any]:
    return manifest(POD_MONITOR, spec, spec.object_name, spec={
        "selector": {"matchLabels": selector(spec)},
        "podMetricsEndpoints": [{"port": "http", "path": "/metrics"}]})
