"""Verbs on endpoints. People's wishes are in `wishes`, what becomes of them in `reconcile` and `sweep`."""

from .changes import change
from .drift import accept, find_drift, ignore, put_back, ring_for_drift
from .explain import evidence, explain, logs
from .following import follow_log
from .governance import set_governance
from .hub_deploy import deploy_hub
from .hub_deploy import named as clusters_named
from .leftovers import collect_leftovers, ring_for_leftovers
from .measures import measures
from .plan import Planned, approved_uid, plan, plan_change, plan_creation, require_unchanged
from .reconcile import reconcile
from .sweep import look_at_cluster, sweep
from .wishes import (
    create,
    delete,
    deploy,
    follow,
    retry,
    roll_back,
    scale,
    set_affinity,
    set_autoscale,
    start,
    stop,
    update,
)

__all__ = [
    "Planned", "accept", "approved_uid", "change", "clusters_named", "collect_leftovers", "create", "delete", "deploy",
    "deploy_hub", "evidence", "explain", "find_drift", "follow", "follow_log", "ignore", "logs", "look_at_cluster",
    "measures", "plan", "plan_change", "plan_creation", "put_back", "reconcile", "require_unchanged", "retry",
    "ring_for_drift", "ring_for_leftovers", "roll_back", "scale", "set_affinity", "set_autoscale", "set_governance", "start",
    "stop", "sweep", "update",
]
