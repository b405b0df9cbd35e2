"""Verbs on endpoints. People's wishes are in `wishes`, what becomes of them in `reconcile` and `sweep`."""

from .explain import explain, logs, plan
from .reconcile import reconcile
from .sweep import look_at_cluster, sweep
from .wishes import create, delete, deploy, retry, roll_back, scale, start, stop, update

__all__ = [
    "create", "delete", "deploy", "explain", "logs", "look_at_cluster", "plan", "reconcile", "retry", "roll_back",
    "scale", "start", "stop", "sweep", "update",
]
