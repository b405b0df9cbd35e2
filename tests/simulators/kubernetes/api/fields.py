"""Field selectors: https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulators.kubernetes.errors import bad_request
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.store import Object

ALWAYS = ("metadata.name", "metadata.namespace")
KNOWN = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "services": ("spec.clusterIP", "spec.type"),
    "secrets": ("type",),
    "events": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
    "jobs": ("status.successful",),
    "replicasets": ("status.replicas",),
}  # fmt: skip


def parse(res: Resource, text: str) -> Callable[[Object], bool]:
    """What the selector says of an object.

    :raises ApiError: 400, for a field that cannot be selected by.
    """
    terms = [_term(res, each, text) for each in text.split(",") if each]
    return lambda obj: all((_value(res, obj, field) == value) == equal for field, equal, value in terms)


def _term(res: Resource, term: str, text: str) -> tuple[str, bool, str]:
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        field, found, value = term.partition(sign)
        if found:
            _refuse_unknown(res, field)
            return field, equal, value
    raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")


def _refuse_unknown(res: Resource, field: str) -> None:
    if field in ALWAYS:
        return
    if res.custom:
        if field not in [each.lstrip(".") for each in res.selectable]:
            raise bad_request(f"field label not supported: {field}")
    elif field not in KNOWN.get(res.plural, ()):
        if res.plural in KNOWN:
            raise bad_request(f"field label not supported: {field}")
        raise bad_request(f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def _value(res: Resource, obj: Object, field: str) -> str:
    if field == "source" and res.plural == "events":
        field = "source.component"
    found: Any = obj
    for part in field.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, bool):
        return str(found).lower()
    if found is None:
        return "false" if field in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(found)
