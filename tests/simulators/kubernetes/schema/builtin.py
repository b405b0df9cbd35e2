"""The judgement of the built-in kinds: their defaults and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.schema import cel, defaults, network, storage, workloads
from tests.simulators.kubernetes.schema.metadata import metadata_causes, qualified_name_faults
from tests.simulators.kubernetes.schema.node import build
from tests.simulators.kubernetes.schema.validate import Causes, invalid, not_supported, required

Object = dict[str, Any]
Judge = Callable[[Object, Object | None], Causes]


def completed(res: Resource, obj: Object, old: Object | None) -> Object:
    """The object with its kind's defaults, and with what an update leaves as it is."""
    new = defaults.with_defaults(res, obj)
    if old is not None and res.kind == "Service" and not res.group:
        network.keep_allocated(new, old)
    return new


def causes(res: Resource, obj: Object, old: Object | None, subresource: str) -> Causes:
    """What is wrong. A status is taken as it is: only controllers write it."""
    if subresource == "status":
        return []
    found = metadata_causes(res.kind, obj.get("metadata") or {})
    judge = JUDGES.get((res.group, res.kind))
    return found + judge(obj, old) if judge else found


def role(obj: Object, old: Object | None) -> Causes:
    found: Causes = []
    for at, rule in enumerate(obj.get("rules") or ()):
        if not rule.get("verbs"):
            found.append(required(f"rules[{at}].verbs", "verbs must contain at least one value"))
        if not rule.get("nonResourceURLs"):
            for key in ("apiGroups", "resources"):
                if not rule.get(key):
                    why = f"resource rules must supply at least one {'api group' if key == 'apiGroups' else 'resource'}"
                    found.append(required(f"rules[{at}].{key}", why))
    return found


def binding(obj: Object, old: Object | None) -> Causes:
    ref = obj.get("roleRef") or {}
    found: Causes = []
    if ref.get("kind") not in ("Role", "ClusterRole"):
        found.append(not_supported("roleRef.kind", ref.get("kind", ""), ("Role", "ClusterRole")))
    if not ref.get("name"):
        found.append(required("roleRef.name"))
    for at, subject in enumerate(obj.get("subjects") or ()):
        if not subject.get("name"):
            found.append(required(f"subjects[{at}].name"))
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            known = ("ServiceAccount", "User", "Group")
            found.append(not_supported(f"subjects[{at}].kind", subject.get("kind", ""), known))
        elif subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            found.append(required(f"subjects[{at}].namespace"))
    if old is not None and old.get("roleRef") != ref:
        value = {"APIGroup": ref.get("apiGroup", ""), "Kind": ref.get("kind", ""), "Name": ref.get("name", "")}
        found.append(invalid("roleRef", value, "cannot change roleRef"))
    return found


EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def node(obj: Object, old: Object | None) -> Causes:
    """Of taints; an update is judged by two rules that say the same."""
    found: Causes = []
    for at, taint in enumerate((obj.get("spec") or {}).get("taints") or ()):
        path = f"metadata.taints[{at}]"
        found += [
            invalid(f"{path}.key", taint.get("key", ""), why) for why in qualified_name_faults(taint.get("key", ""))
        ]
        if taint.get("effect") not in EFFECTS:
            found.append(not_supported(f"{path}.effect", taint.get("effect", ""), EFFECTS))
    return found if old is None else found * 2


def event(obj: Object, old: Object | None) -> Causes:
    """In the core group, where nearly nothing is asked."""
    about, own = (obj.get("involvedObject") or {}).get("namespace"), obj.get("metadata", {}).get("namespace")
    if about and about != own:
        return [invalid("involvedObject.namespace", about, "does not match event.namespace")]
    return []


def new_event(obj: Object, old: Object | None) -> Causes:
    """In its own group, where an event is made by one rule for all."""
    if old is not None:
        return []
    keys = ("eventTime", "reportingController", "reportingInstance", "action", "reason")
    return [required(key) for key in keys if not obj.get(key)]


def custom_resource_definition(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    names, name = spec.get("names") or {}, obj.get("metadata", {}).get("name", "")
    found: Causes = []
    if name != f"{names.get('plural')}.{spec.get('group')}":
        found.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        found.append(not_supported("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced")))
    versions = spec.get("versions") or []
    if sum(bool(each.get("storage")) for each in versions) != 1:
        found.append(invalid("spec.versions", versions, "must have exactly one version marked as storage version"))
    for at, version in enumerate(versions):
        found += _schema_causes((version.get("schema") or {}).get("openAPIV3Schema"), f"spec.versions[{at}].schema")
    return found


def _schema_causes(schema: Object | None, path: str) -> Causes:
    if schema is None:
        return [required(f"{path}.openAPIV3Schema", "schemas are required")]
    if schema.get("type") != "object":
        return [invalid(f"{path}.openAPIV3Schema.type", schema.get("type", ""), "must be object at the root")]
    try:
        build(schema)
    except cel.CelSyntaxError as error:
        return [invalid(f"{path}.openAPIV3Schema.x-kubernetes-validations", "", f"compilation failed: {error}")]
    return []


JUDGES: dict[tuple[str, str], Judge] = {
    ("", "Event"): event,
    ("", "Node"): node,
    ("", "Pod"): workloads.pod,
    ("", "Service"): network.service,
    ("", "ConfigMap"): storage.config_map,
    ("", "Secret"): storage.secret,
    ("", "PersistentVolumeClaim"): storage.claim,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("batch", "Job"): workloads.job,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.horizontal_pod_autoscaler,
    ("policy", "PodDisruptionBudget"): workloads.pod_disruption_budget,
    ("networking.k8s.io", "NetworkPolicy"): network.network_policy,
    ("events.k8s.io", "Event"): new_event,
    ("rbac.authorization.k8s.io", "Role"): role,
    ("rbac.authorization.k8s.io", "ClusterRole"): role,
    ("rbac.authorization.k8s.io", "RoleBinding"): binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): custom_resource_definition,
}
