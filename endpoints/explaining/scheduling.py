"""What the scheduler says when no node takes a pod, taken apart.

`0/4 nodes are available: 1 Insufficient nvidia.com/gpu, 3 node(s) had untolerated taint {a: b}. preemption: …`:
one part for each reason, with the number of nodes that it holds of. (Kubernetes 1.24 to 1.36.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from .evidence import Machine

_HEAD = re.compile(r"\b0/(?P<all>\d+) nodes are available: (?P<rest>.*)", re.DOTALL)
_PART = re.compile(r"(?:(?P<nodes>\d+) )?(?P<text>[^,{]+(?:\{[^}]*\})?[^,]*)(?:, |$)")
_TAIL = re.compile(r"[.;]? (?:no new claims to deallocate|preemption:|Preemption is not helpful).*|\.$", re.DOTALL)
# Taints by which a cluster keeps pods from nodes that are not meant for them or are ill, as against nodes set apart.
_OF_THE_SYSTEM = ("node-role.kubernetes.io/", "node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
_WHATS = (
    (re.compile(r"Insufficient (?P<resource>[\w./-]+)"), ""),
    (re.compile(r"had untolerated taint(?:\(s\))?(?: \{(?P<taint>[^}]*)\})?|had taints? \{(?P<old>[^}]*)\}"), "taint"),
    (re.compile(r"didn't match Pod's node affinity|didn't match node selector|node\(s\) didn't match.*selector"), "selector"),
    (re.compile(r"were unschedulable"), "cordoned"),
    (re.compile(r"unbound immediate PersistentVolumeClaims|didn't find available persistent volumes"), "claim unbound"),
    (re.compile(r"persistentvolumeclaim \"(?P<claim>[^\"]+)\" (?:not found|is being deleted)"), "claim missing"),
    (re.compile(r"volume node affinity conflict|no available volume zone"), "volume elsewhere"),
    (re.compile(r"exceed max volume count"), "volumes full"),
    (re.compile(r"Too many pods"), "pods"),
    (re.compile(r"pod affinity|anti-affinity|topology spread"), "spread"),
    (re.compile(r"free ports"), "ports"),
)
_RESOURCES = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "disk", "pods": "pods"}


@dataclass(frozen=True)
class Part:
    """One reason of the scheduler; figures have `nodes` and `all`, and what the reason names."""

    what: str
    figures: dict[str, object] = field(default_factory=dict)


def blocked_by(message: str) -> list[Part]:
    """The reasons in a scheduler's message, those that hold of the most nodes first."""
    if "no nodes available to schedule" in message:
        return [Part("no nodes")]
    if "scheduling gates" in message:
        return [Part("gated")]
    head = _HEAD.search(message)
    total, rest = (int(head["all"]), head["rest"]) if head else (0, message)
    parts = [part for found in _PART.finditer(_TAIL.sub("", rest)) if (part := _part(found, total))]
    if not parts and "PersistentVolumeClaim" in message:
        parts = [Part("claim unbound", {"nodes": total, "all": total})]
    return sorted(parts or [Part("other", {"nodes": total, "all": total})], key=lambda p: -int(str(p.figures["nodes"])))


def _part(found: re.Match[str], total: int) -> Part | None:
    figures: dict[str, object] = {"nodes": int(found["nodes"] or total), "all": total}
    for pattern, what in _WHATS:
        if match := pattern.search(found["text"]):
            named = {key: value for key, value in match.groupdict().items() if value}
            return Part(what or _RESOURCES.get(named["resource"], "gpu"), {**figures, **named}) if what != "taint" else (
                _taint(named, figures))
    return None


def _taint(named: dict[str, str], figures: dict[str, object]) -> Part:
    text = named.get("taint") or named.get("old") or ""
    key = text.split(":", 1)[0].split("=", 1)[0].strip()
    if key.startswith("node.kubernetes.io/"):
        return Part("node ill", {**figures, "taint": text})
    what = "taint of system" if key.startswith(_OF_THE_SYSTEM) else "taint in the way" if "gpu" in key else "taint"
    return Part(what, {**figures, "taint": text or _("the cluster does not say which")})


def refined(part: Part, machines: Sequence[Machine], gpus: int) -> Part:
    """The part in the light of the inventory, which knows what the scheduler does not say.

    The scheduler names one reason a node, the first that it meets: nodes without GPUs always have too few, and a
    taint hides that the selector would not take the node anyway. What counts are the nodes that would do.
    """
    chosen = [machine for machine in machines if machine.chosen]
    if not machines or (not chosen and part.what != "selector" and not part.what.startswith("taint")):
        return part
    if part.what == "selector":
        return part if chosen else Part("selector of none", part.figures)
    if part.what == "gpu" and gpus > (most := max(machine.gpus for machine in chosen)):
        return Part("gpu never", {**part.figures, "most": most})
    if part.what in ("taint", "taint in the way"):
        return _taint_among([machine for machine in chosen if machine.gpus >= gpus], part)
    return part


def _taint_among(would_do: list[Machine], part: Part) -> Part:
    taints = ", ".join(sorted({machine.taints for machine in would_do if machine.taints}))
    in_the_way = would_do and all(machine.taints for machine in would_do)
    what = "taint in the way" if in_the_way else "taint" if taints else "taint elsewhere"
    return Part(what, {**part.figures, "taint": taints or part.figures["taint"]})
