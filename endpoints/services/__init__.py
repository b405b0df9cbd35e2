"""Verbs on endpoints. People's wishes are in `wishes`, what becomes of them in `reconcile` and `sweep`."""

from .explain import evidence, explain, logs, plan
from .following import follow_log
from .reconcile import reconcile
from .sweep import look_at_cluster, sweep
from .wishes import create, delete, deploy, follow, retry, roll_back, scale, set_autoscale, start, stop, update

__all__ = [
    "create", "delete", "deploy", "evidence", "explain", "follow", "follow_log", "logs", "look_at_cluster", "plan",
    "reconcile", "retry", "roll_back", "scale", "set_autoscale", "start", "stop", "sweep", "update",
]
