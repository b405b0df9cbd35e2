"""Specs and places for tests of the HyperPod target; every value can be overridden."""

from __future__ import annotations

from typing import Any

from endpoints.targets.base import Autoscale, RevisionSpec, Spec, Trigger
from endpoints.targets.hyperpod.place import HyperPodPlace
from endpoints.targets.kubernetes.place import PlaceView
from tests.endpoints.kubernetes.making import gpu_revision
from tests.endpoints.kubernetes.making import spec as kubernetes_spec

ACCOUNT = "0123456789abcdef0123456789abcdef"
AMP = "https://aps-workspaces.us-west-2.amazonaws.com/workspaces/ws-0a1b2c3d"
VIEW = PlaceView(name="pod", server=f"eks+https://{'f' * 32}@10.0.0.1", api_addresses=("10.0.0.1",), prometheus=AMP)
PLACE = HyperPodPlace(VIEW, account=ACCOUNT, region="us-west-2", state="InService", tiered_storage=True, has_jumpstart=True)
INSTANCE = {"instanceType": "ml.g5.12xlarge"}
ROUTED = {**INSTANCE, "intelligentRoutingSpec": {"enabled": True, "routingStrategy": "kvaware"}}


def revision(options: dict[str, Any] | None = None, **values: Any) -> RevisionSpec:
    """vLLM on one GPU with weights in S3."""
    return gpu_revision(**{
        "artifact_kind": "s3", "artifact_location": "s3://models/qwen3/", "artifact_revision": "",
        "options": INSTANCE if options is None else options, **values})


def spec(wanted: RevisionSpec | None = None, **values: Any) -> Spec:
    return kubernetes_spec(wanted or revision(), **values)


SCALED = Autoscale(min_replicas=0, max_replicas=6, polling_seconds=60, cooldown_seconds=600, stabilisation_up_seconds=5,
                   stabilisation_down_seconds=120, triggers=(
    Trigger("aws-cloudwatch", {"namespace": "AWS/ApplicationELB", "metricName": "RequestCount", "metricStat": "Sum",
                               "dimensions": "LoadBalancer=app/x,TargetGroup=tg/y", "targetValue": "100",
                               "metricCollectionPeriod": "60", "useCachedMetrics": "false"}, "AverageValue"),
    Trigger("prometheus", {"query": "sum(model_concurrent_requests)", "targetValue": "2.5"}, "Value")))
