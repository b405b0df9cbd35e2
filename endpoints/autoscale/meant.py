"""What older guides write, in the words of today. Each change is a note that people see."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from .signals import GHOSTS, MEANT
from .values import refuse

_AVG = re.compile(r"\s*avg\s*(?:\(|by\b|without\b)")


def translated(name: str, given: Mapping[str, Any], metric_type: str) -> tuple[dict[str, Any], str, list[str]]:
    """Metadata and metric type as KEDA takes them now, with a note for each change. Raises Invalid."""
    metadata: dict[str, Any] = {str(key): value for key, value in given.items()}
    if name == "prometheus":
        return _prometheus(metadata, metric_type)
    if name in ("cpu", "memory") and "type" in metadata:
        moved = str(metadata.pop("type"))
        return metadata, metric_type or moved, [
            _("KEDA no longer reads metadata.type: “%(type)s” became the trigger's metric type.") % {"type": moved}]
    if name == "rabbitmq" and "queueLength" in metadata and "value" not in metadata:
        metadata |= {"value": metadata.pop("queueLength"), "mode": metadata.get("mode", "QueueLength")}
        return metadata, metric_type, [_("KEDA's “queueLength” is old: it became mode QueueLength with that value.")]
    return metadata, metric_type, []


def _prometheus(metadata: dict[str, Any], metric_type: str) -> tuple[dict[str, Any], str, list[str]]:
    notes = []
    metric = str(metadata.pop("metricName", "") or "")
    if metric and not metadata.get("query") and not metadata.get("signal"):
        metadata["signal"] = _signal_of(metric)
        notes.append(_renamed(metric, metadata["signal"]))
    elif metric:
        notes.append(_("KEDA has had no “metricName” since 2.12: %(metric)s was left out.") % {"metric": metric[:100]})
    query = metadata.get("query")
    if isinstance(query, str) and query:
        metadata["query"], metric_type, said = _query(query, metric_type)
        notes += said
    return metadata, metric_type, notes


def _renamed(metric: str, signal: str) -> str:
    words = {"metric": metric, "signal": signal, "real": GHOSTS.get(metric, "")}
    if metric in GHOSTS:
        return _("No engine has a metric %(metric)s, and KEDA has had no “metricName” since 2.12: the signal “%(signal)s” "
                 "(%(real)s) is used.") % words
    return _("KEDA has had no “metricName” since 2.12: %(metric)s became the signal “%(signal)s”.") % words


def _signal_of(metric: str) -> str:
    if metric in MEANT:
        return MEANT[metric]
    near = difflib.get_close_matches(metric, MEANT, n=1)
    hint = _(" Did you mean %(near)s?") % {"near": near[0]} if near else ""
    return refuse(_("KEDA has had no “metricName” since 2.12, and %(metric)s is no metric that the portal knows: choose a "
                    "signal or write a query.") % {"metric": metric[:100]} + hint)


def _query(query: str, metric_type: str) -> tuple[str, str, list[str]]:
    notes = []
    for ghost, real in GHOSTS.items():
        renamed = re.sub(rf"\b{ghost}\b", real, query)
        if renamed != query:
            query = renamed
            notes.append(_("No engine has a metric %(ghost)s: the query now reads %(real)s.") % {"ghost": ghost, "real": real})
    if _AVG.match(query) and metric_type in ("", "AverageValue"):
        metric_type = "Value"
        notes.append(_("avg() has divided by the replicas already, and AverageValue would do it again: the query is compared "
                       "as Value."))
    return query, metric_type, notes
