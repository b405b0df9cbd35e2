"""The scale subresource: the replicas of any kind in one form, autoscaling/v1 Scale.

https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/scale-v1/
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes.errors import ApiError, bad_request, cause, invalid
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry import write
from tests.simulators.kubernetes.registry.options import Options, Outcome
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

BUILTIN = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def of(res: Resource, obj: Object) -> Object:
    """The object's Scale."""
    paths, metadata = res.scale or BUILTIN, obj["metadata"]
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": _read(obj, paths["statusReplicasPath"]) or 0}
    selector = _selector(res, obj)
    if selector:
        status["selector"] = selector
    wanted = _read(obj, paths["specReplicasPath"])
    return {
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in shown if name in metadata},
        "spec": {"replicas": wanted} if wanted else {}, "status": status,
    }  # fmt: skip


def _selector(res: Resource, obj: Object) -> str:
    if res.scale is not None:
        path = res.scale.get("labelSelectorPath")
        return _read(obj, path) or "" if path else ""
    return selector_text((obj.get("spec") or {}).get("selector") or {})


def selector_text(selector: dict[str, Any]) -> str:
    """A LabelSelector (or a plain map) as a selector's text."""
    labels = selector.get("matchLabels", {}) if {"matchLabels", "matchExpressions"} & selector.keys() else selector
    terms = [f"{key}={value}" for key, value in sorted(labels.items())]
    for each in selector.get("matchExpressions") or () if labels is not selector else ():
        values = f"({','.join(sorted(each.get('values') or ()))})"
        forms = {"In": f"{each['key']} in {values}", "NotIn": f"{each['key']} notin {values}",
                 "Exists": each["key"], "DoesNotExist": f"!{each['key']}"}  # fmt: skip
        terms.append(forms[each["operator"]])
    return ",".join(terms)


def update(
    cluster: Cluster, res: Resource, namespace: str, name: str, change: Callable[[Object], Object], options: Options
) -> Outcome:
    """Stores the replicas of a changed Scale in the object.

    :raises ApiError: as for the object itself; 422, replicas that are no number or negative.
    """
    old = write.current(cluster, res, namespace, name)
    wanted = change(of(res, old))
    metadata = wanted.get("metadata") or {}
    if metadata.get("name") not in (None, name):
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    replicas = (wanted.get("spec") or {}).get("replicas") or 0
    if not isinstance(replicas, int):
        why = f"Invalid value: {json.dumps(json.dumps(wanted, separators=(',', ':')))}: json: cannot unmarshal string"
        raise invalid("", "", "", [cause("FieldValueInvalid", why, "patch")])
    if replicas < 0 and not res.custom:
        why = cause(
            "FieldValueInvalid", f"Invalid value: {replicas}: must be greater than or equal to 0", "spec.replicas"
        )
        raise invalid("autoscaling", "Scale", name, [why])
    new = _written(old, (res.scale or BUILTIN)["specReplicasPath"], replicas)
    new["metadata"] = {**new["metadata"], "resourceVersion": metadata.get("resourceVersion")}
    done = write.patch(cluster, res, namespace, name, lambda _: new, options, subresource="scale")
    return Outcome(of(res, done.obj), done.warnings)


def refuse_apply(res: Resource) -> None:
    if res.custom:
        raise ApiError(
            500, "", "failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, "
            "Kind=Scale) to proper version: request to convert CR to an invalid group/version: autoscaling/v1",
        )  # fmt: skip


def _read(obj: Object, path: str) -> Any:
    found: Any = obj
    for part in path.strip(".").split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _written(obj: Object, path: str, value: int) -> Object:
    first, *rest = path.strip(".").split(".", 1)
    inner = _written(obj.get(first) or {}, rest[0], value) if rest else value
    return {**obj, first: inner}
