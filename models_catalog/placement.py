"""On which nodes of a Kubernetes cluster a profile's replicas may run: the syntax of labels, and no way to a control plane.

Kubernetes, labels and taints: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ (threat T25).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

MOST = 16
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
KEY = re.compile(rf"(?:(?={_DOMAIN}/)[a-z0-9.-]{{1,253}}/)?{_NAME}")
VALUE = re.compile(rf"(?:{_NAME})?")
OBJECT_NAME = re.compile(rf"(?=.{{1,253}}\Z){_DOMAIN}")
CONTROL_PLANE = re.compile(r"node-role\.kubernetes\.io/(?:control-plane|master|etcd)|"
                           r"node\.kubernetes\.io/role (?:control-plane|master)")
PARTS = ("node_selector", "tolerations", "priority_class", "runtime_class")
EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")
TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")


def _refuse(message: str) -> NoReturn:
    raise Invalid(message, field="placement")


def check_placement(value: Any) -> dict[str, Any]:
    """The placement as a profile keeps it, without empty parts; {} lets a replica run anywhere.

    Raises Invalid (field ``placement``).
    """
    if not isinstance(value, Mapping):
        _refuse(_("A placement is an object with some of: %(parts)s.") % {"parts": ", ".join(PARTS)})
    if unknown := sorted(str(key)[:60] for key in value if key not in PARTS):
        _refuse(_("A placement has no “%(name)s”. There are: %(parts)s.") % {"name": unknown[0], "parts": ", ".join(PARTS)})
    found = {
        "node_selector": _selector(value.get("node_selector") or {}),
        "tolerations": _tolerations(value.get("tolerations") or []),
        "priority_class": _class_name("priority_class", value.get("priority_class") or ""),
        "runtime_class": _class_name("runtime_class", value.get("runtime_class") or ""),
    }
    return {name: part for name, part in found.items() if part}


def _selector(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > MOST:
        _refuse(_("A node selector is an object of at most %(most)d labels and their values.") % {"most": MOST})
    for key, text in value.items():
        _check_key(key)
        if not isinstance(text, str) or not VALUE.fullmatch(text):
            _refuse(_("The value of the label “%(key)s” is text of at most 63 letters, digits and . _ - inside.")
                    % {"key": key})
        _refuse_control_plane(f"{key} {text}" if key == "node.kubernetes.io/role" else key)
    return dict(sorted(value.items()))


def _check_key(key: Any) -> None:
    if not isinstance(key, str) or len(key) > 317 or not KEY.fullmatch(key):
        _refuse(_("“%(key)s” is no label of a node, such as nvidia.com/gpu.product.") % {"key": str(key)[:80]})


def _refuse_control_plane(text: str) -> None:
    if CONTROL_PLANE.search(text):
        _refuse(_("Models don't run on the nodes of the control plane: take “%(key)s” away.") % {"key": text})


def _tolerations(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple) or len(value) > MOST:
        _refuse(_("Tolerations are a list of at most %(most)d.") % {"most": MOST})
    return [_toleration(one) for one in value]


def _toleration(one: Any) -> dict[str, Any]:
    if not isinstance(one, Mapping) or not set(one) <= set(TOLERATION):
        _refuse(_("A toleration is an object with some of: %(parts)s.") % {"parts": ", ".join(TOLERATION)})
    found = {name: part for name, part in one.items() if part not in ("", None)}
    key = found.get("key")
    if key is None:
        _refuse(_("A toleration without a key would tolerate every taint, that of the control plane too: name the key."))
    _check_key(key)
    _refuse_control_plane(key)
    operator = found.get("operator", "Equal")
    if operator not in ("Equal", "Exists"):
        _refuse(_("The operator of a toleration is Exists or Equal."))
    if operator == "Exists" and "value" in found:
        _refuse(_("A toleration with the operator Exists has no value: it fits any value of the taint."))
    if not isinstance(found.get("value", ""), str) or not VALUE.fullmatch(found.get("value", "")):
        _refuse(_("The value of a toleration is text of at most 63 letters, digits and . _ - inside."))
    _check_effect(found)
    return found


def _check_effect(found: Mapping[str, Any]) -> None:
    effect, seconds = found.get("effect", ""), found.get("tolerationSeconds")
    if effect not in EFFECTS:
        _refuse(_("The effect of a toleration is %(effects)s, or empty for all.") % {"effects": ", ".join(EFFECTS[1:])})
    if seconds is not None and (effect != "NoExecute" or isinstance(seconds, bool) or not isinstance(seconds, int)
                                or not 0 <= seconds <= 10**9):
        _refuse(_("tolerationSeconds is a whole number and belongs to the effect NoExecute."))


def _class_name(part: str, value: Any) -> str:
    if not isinstance(value, str) or (value and not OBJECT_NAME.fullmatch(value)):
        _refuse(_("“%(part)s” is the name of an object of the cluster, in lower case.") % {"part": part})
    if part == "priority_class" and value.startswith("system-"):
        _refuse(_("The priority classes “system-…” belong to the cluster itself."))
    return value
