"""Autoscaling in sentences: what it will do, for pages and plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .check import ALL_TRIGGERS, is_tracking
from .signals import SIGNALS

_AMOUNTS = ("threshold", "value", "listLength", "lagThreshold", "targetMetricValue", "concurrency", "requestRate",
            "targetValue", "target")
_OBJECTS = ("queueName", "listName", "topic", "consumerGroup", "metricName", "metric")


def sentences(wish: Mapping[str, Any]) -> list[str]:
    """What this wish (as `check_autoscale` returns it) does; empty without autoscaling."""
    if not wish:
        return []
    low, high = wish["min_replicas"], wish["max_replicas"]
    keeps = _("SageMaker keeps between %(low)d and %(high)d replicas.") if is_tracking(wish) else (
        _("KEDA keeps between %(low)d and %(high)d replicas."))
    lines = [keeps % {"low": low, "high": high}]
    lines += [_("More when: %(why)s.") % {"why": trigger_words(trigger)} for trigger in wish["triggers"]]
    if is_tracking(wish):  # its cooldowns are the triggers' own, and it looks by alarms
        return lines
    lines.append(_("It looks every %(poll)d s, waits %(up)d s before it adds and %(down)d s before it takes away.") % {
        "poll": wish["polling_seconds"], "up": wish["stabilisation_up_seconds"], "down": wish["stabilisation_down_seconds"]})
    if low == 0:
        lines.append(ngettext(
            "After %(n)d second without need the last replica goes; the next need starts one, which takes as long as a start.",
            "After %(n)d seconds without need the last replica goes; the next need starts one, which takes as long as a start.",
            wish["cooldown_seconds"]) % {"n": wish["cooldown_seconds"]})
    return lines


def trigger_words(trigger: Mapping[str, Any]) -> str:
    """One trigger in a few words, such as “waiting requests above 5 for each replica”."""
    metadata = trigger["metadata"]
    signal = SIGNALS.get(metadata.get("signal", ""))
    what = str(signal.label if signal else ALL_TRIGGERS[trigger["type"]].label)
    name = next((metadata[key] for key in _OBJECTS if key in metadata), metadata.get("query", ""))
    amount = next((metadata[key] for key in _AMOUNTS if key in metadata), "10")
    words = {"what": f"{what} {name}".strip(), "amount": amount}
    if trigger["metric_type"] == "Utilization":
        return _("%(what)s above %(amount)s %% of the request") % words
    if trigger["metric_type"] == "Value":
        return _("%(what)s above %(amount)s") % words
    return _("%(what)s above %(amount)s for each replica") % words
