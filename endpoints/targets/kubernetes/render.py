"""From a spec to the objects of one endpoint, in the order in which they are sent. Pure."""

from __future__ import annotations

import base64
from typing import Any

from clusters.drivers.kinds import POD_DISRUPTION_BUDGET, POD_MONITOR, SECRET, SERVICE_ACCOUNT
from endpoints.targets.base import Spec

from .engine import secret_data
from .keda import scaled_objects
from .names import adopted, manifest, secret_name, selector, serving_selector
from .network import network_policy, services
from .place import PlaceView
from .refusals import check
from .route import http_route
from .workload import workload


def render(spec: Spec, place: PlaceView) -> list[dict[str, Any]]:
    """Everything that the endpoint is in this cluster; the workload comes when all it needs is there.

    Raises TargetError, permanent for what this cluster can never run.
    """
    check(spec, place)
    made = [manifest(SERVICE_ACCOUNT, spec, spec.object_name, automountServiceAccountToken=False)]
    kept = secret_data(spec, place)
    made += [_secret(spec, kept)] if kept else []
    made += [*services(spec), network_policy(spec, place)]
    if spec.replicas > 1 or spec.autoscale is not None:
        made.append(_disruption_budget(spec))
    if place.gateway:
        made.append(http_route(spec, place))
    if place.has("prometheus"):
        made.append(_monitor(spec))
    made.append(workload(spec, place))
    return [*made, *(adopted(each, spec) for each in scaled_objects(spec, place))]


def _secret(spec: Spec, kept: dict[str, str]) -> dict[str, Any]:
    return manifest(SECRET, spec, secret_name(spec), type="Opaque", data={
        key: base64.b64encode(value.encode()).decode() for key, value in kept.items()})


def shown(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same objects for people: no secret's value is in them."""
    return [{**each, "data": dict.fromkeys(each["data"], "")} if each["kind"] == SECRET.kind else each for each in made]


def _disruption_budget(spec: Spec) -> dict[str, Any]:
    return manifest(POD_DISRUPTION_BUDGET, spec, spec.object_name, spec={
        "maxUnavailable": 1, "selector": {"matchLabels": serving_selector(spec)}})


def _monitor(spec: Spec) -> dict[str, Any]:
    return manifest(POD_MONITOR, spec, spec.object_name, spec={
        "selector": {"matchLabels": selector(spec)},
        "podMetricsEndpoints": [{"port": "http", "path": "/metrics"}]})
