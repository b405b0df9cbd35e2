"""The autoScaling part of a VLLMCluster, in the words of `endpoints.autoscale`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

from .needs import Needs
from .parts import mapping, unknown, whole_at

PATH = "spec.autoScaling"
PARTS = ("enabled", "minReplicas", "maxReplicas", "triggers")


def autoscale_of(spec: Mapping[str, Any], replicas: int, needed: Needs, notes: list[str]) -> dict[str, Any]:
    """The wish for `check_autoscale`, which adds its own notes; {} where it is not enabled. Raises Invalid."""
    part = mapping(spec, "autoScaling", PATH)
    notes += unknown(part, PARTS, PATH)
    enabled = part.get("enabled", False)
    if not isinstance(enabled, bool):
        raise Invalid(_("%(path)s takes true or false.") % {"path": f"{PATH}.enabled"}, field=f"{PATH}.enabled")
    if not enabled:
        _count_gpus(replicas, needed, notes)
        return {}
    low = whole_at(part, "minReplicas", f"{PATH}.minReplicas", 1, 0)
    high = whole_at(part, "maxReplicas", f"{PATH}.maxReplicas", max(low, replicas, 1))
    if not low <= replicas <= high:
        notes.append(_("replicas %(replicas)d lies outside of %(low)d to %(high)d; KEDA keeps to its bounds.")
                     % {"replicas": replicas, "low": low, "high": high})
    _count_gpus(high, needed, notes)
    triggers = part.get("triggers") or []
    return {"min_replicas": low, "max_replicas": high, "triggers": triggers}


def _count_gpus(most: int, needed: Needs, notes: list[str]) -> None:
    one = needed.gpus * needed.nodes
    if one and most * one > one:
        notes.append(_("%(one)d GPUs for each replica: %(all)d GPUs at %(most)d replicas.")
                     % {"one": one, "all": most * one, "most": most})
