"""What is wrong with pods, workloads and their scaling."""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.schema.metadata import label_faults, labels_causes
from tests.simulators.kubernetes.schema.pods import NEGATIVE, pod_spec_causes
from tests.simulators.kubernetes.schema.storage import claim_spec_causes
from tests.simulators.kubernetes.schema.validate import Causes, forbidden, invalid, not_supported, required

Object = dict[str, Any]

STATEFUL_SET_MAY = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
STATEFUL_SET_TEXT = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
POD_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
POD_MAY = ("activeDeadlineSeconds", "tolerations", "nodeName", "schedulingGates")
IMMUTABLE = "field is immutable"


def pod(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    causes = pod_spec_causes(spec, "spec")
    if old is not None and _fixed(spec) != _fixed(old.get("spec") or {}):
        causes.append(forbidden("spec", POD_TEXT))
    return causes


def _fixed(spec: Object) -> Object:
    """The part of a pod's spec that cannot change."""
    kept = {key: value for key, value in spec.items() if key not in POD_MAY}
    for key in ("containers", "initContainers"):
        if key in kept:
            kept[key] = [{**each, "image": ""} for each in kept[key]]
    if "nodeSelector" in kept and "schedulingGates" in spec:
        del kept["nodeSelector"]
    return kept


def negative(spec: Object, key: str, path: str) -> Causes:
    return [invalid(f"{path}.{key}", spec[key], NEGATIVE)] if spec.get(key, 0) < 0 else []


def matches(selector: Object | None, labels: Object) -> bool:
    """Whether a label selector holds; one that is missing holds for nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_requirement(each, labels) for each in selector.get("matchExpressions") or ())


def _requirement(each: Object, labels: Object) -> bool:
    value, values = labels.get(each["key"]), each.get("values") or []
    known = {
        "In": value is not None and value in values, "NotIn": value not in values,
        "Exists": value is not None, "DoesNotExist": value is None,
    }  # fmt: skip
    return known.get(each["operator"], False)


def template_causes(spec: Object, *, kind: str, claims: frozenset[str] = frozenset()) -> Causes:
    """The selector, and the template that it has to match."""
    causes: Causes = []
    selector, path = spec.get("selector"), "spec.template.spec"
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector is None:
        causes.append(required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    else:
        causes += labels_causes(selector.get("matchLabels") or {}, "spec.selector.matchLabels")
    if not matches(selector, labels):
        causes.append(invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    causes += labels_causes(labels, "spec.template.metadata.labels")
    inner = template.get("spec") or {}
    if inner.get("restartPolicy") != "Always":
        causes.append(not_supported(f"{path}.restartPolicy", inner.get("restartPolicy"), ("Always",)))
    return causes + pod_spec_causes(inner, path, claims)


def deployment(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    causes = negative(spec, "replicas", "spec") + template_causes(spec, kind="deployment")
    causes += negative(spec, "minReadySeconds", "spec") + negative(spec, "revisionHistoryLimit", "spec")
    strategy = (spec.get("strategy") or {}).get("type")
    if strategy not in ("RollingUpdate", "Recreate"):
        causes.append(not_supported("spec.strategy.type", strategy, ("Recreate", "RollingUpdate")))
    return causes + _same_selector(spec, old)


def _same_selector(spec: Object, old: Object | None) -> Causes:
    if old is None or old["spec"].get("selector") == spec.get("selector"):
        return []
    return [invalid("spec.selector", spec.get("selector"), IMMUTABLE)]


def replica_set(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    causes = negative(spec, "replicas", "spec") + template_causes(spec, kind="ReplicaSet")
    return causes + _same_selector(spec, old)


def daemon_set(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    return template_causes(spec, kind="daemonset") + _same_selector(spec, old)


def stateful_set(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    claims = frozenset(each.get("metadata", {}).get("name", "") for each in spec.get("volumeClaimTemplates") or ())
    causes = negative(spec, "replicas", "spec") + template_causes(spec, kind="statefulset", claims=claims)
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        known = ("OrderedReady", "Parallel")
        causes.append(not_supported("spec.podManagementPolicy", spec.get("podManagementPolicy"), known))
    if old is None and spec.get("serviceName"):
        causes += [invalid("spec.serviceName", spec["serviceName"], why) for why in label_faults(spec["serviceName"])]
    if old is None:
        for at, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            causes += claim_spec_causes(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{at}].spec")
    elif _without(spec, STATEFUL_SET_MAY) != _without(old["spec"], STATEFUL_SET_MAY):
        causes.append(forbidden("spec", STATEFUL_SET_TEXT))
    return causes


def _without(spec: Object, keys: tuple[str, ...]) -> Object:
    return {key: value for key, value in spec.items() if key not in keys}


def job(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    inner = (spec.get("template") or {}).get("spec") or {}
    causes = pod_spec_causes(inner, "spec.template.spec")
    if inner.get("restartPolicy") == "Always":
        known = ("OnFailure", "Never")
        causes.append(not_supported("spec.template.spec.restartPolicy", "Always", known))
    for key in ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        causes += negative(spec, key, "spec")
    if old is not None:
        for key in ("selector", "template", "completions", "completionMode"):
            if spec.get(key) != old["spec"].get(key) and not old["spec"].get("suspend"):
                causes.append(invalid(f"spec.{key}", spec.get(key), IMMUTABLE))
    return causes


def horizontal_pod_autoscaler(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    causes: Causes = []
    for key in ("kind", "name"):
        if not (spec.get("scaleTargetRef") or {}).get(key):
            causes.append(required(f"spec.scaleTargetRef.{key}"))
    if spec.get("maxReplicas", 0) < 1:
        causes.append(invalid("spec.maxReplicas", spec.get("maxReplicas", 0), "must be greater than 0"))
    elif spec["maxReplicas"] < spec.get("minReplicas", 1):
        why = "must be greater than or equal to `minReplicas`"
        causes.append(invalid("spec.maxReplicas", spec["maxReplicas"], why))
    return causes


def pod_disruption_budget(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        return [invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")]
    return []
