"""What runs the pods: a StatefulSet, or a LeaderWorkerSet where a replica spans nodes."""

from __future__ import annotations

from typing import Any

from clusters.drivers.kinds import LEADER_WORKER_SET, STATEFUL_SET
from endpoints.targets.base import Spec

from .engine import ALONE, LEADER, WORKER
from .names import headless_name, manifest, selector
from .place import PlaceView
from .pod import pod_template


def workload(spec: Spec, place: PlaceView) -> dict[str, Any]:
    return _group_set(spec, place) if spec.wanted.resources.nodes > 1 else _stateful_set(spec, place)


def _replicas(spec: Spec) -> dict[str, int]:
    """Not sent where the autoscaler owns it."""
    return {} if spec.autoscale is not None else {"replicas": spec.replicas}


def _stateful_set(spec: Spec, place: PlaceView) -> dict[str, Any]:
    return manifest(STATEFUL_SET, spec, spec.object_name, spec={
        **_replicas(spec), "serviceName": headless_name(spec), "podManagementPolicy": "Parallel",
        "revisionHistoryLimit": 3,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "selector": {"matchLabels": selector(spec)}, "template": pod_template(spec, place, ALONE),
    })


def _group_set(spec: Spec, place: PlaceView) -> dict[str, Any]:
    """LeaderWorkerSet replaces group by group itself; a group more comes first where replicas are ours."""
    ours = spec.autoscale is None
    return manifest(LEADER_WORKER_SET, spec, spec.object_name, spec={
        **_replicas(spec), "startupPolicy": "LeaderCreated",
        "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": {
            "partition": 0, "maxSurge": 1 if ours else 0, "maxUnavailable": 0 if ours else 1}},
        "leaderWorkerTemplate": {
            "size": spec.wanted.resources.nodes, "restartPolicy": "RecreateGroupOnPodRestart",
            "leaderTemplate": pod_template(spec, place, LEADER), "workerTemplate": pod_template(spec, place, WORKER),
        },
    })
