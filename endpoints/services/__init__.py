"""Verbs on endpoints. People's wishes are in `wishes`, what becomes of them in `reconcile` and `sweep`."""

from .explain import evidence, explain, logs
from .following import follow_log
from .plan import Planned, approved_uid, plan, plan_change, plan_creation, require_unchanged
from .reconcile import reconcile
from .sweep import look_at_cluster, sweep
from .wishes import create, delete, deploy, follow, retry, roll_back, scale, set_autoscale, start, stop, update

__all__ = [
    "Planned", "approved_uid", "create", "delete", "deploy", "evidence", "explain", "follow", "follow_log", "logs",
    "look_at_cluster", "plan", "plan_change", "plan_creation", "reconcile", "require_unchanged", "retry", "roll_back",
    "scale", "set_autoscale", "start", "stop", "sweep", "update",
]
