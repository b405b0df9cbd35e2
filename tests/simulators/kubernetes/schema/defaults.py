"""The defaults of the built-in kinds, where a client would see them.

After pkg/apis/*/v1/defaults.go of Kubernetes 1.36: each function changes a fresh copy in place.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from tests.simulators.kubernetes.kinds import Resource

Object = dict[str, Any]
Fill = Callable[[Object], None]


def fill(obj: Object, **defaults: Any) -> None:
    """Sets what is not there."""
    for key, value in defaults.items():
        obj.setdefault(key, value)


def with_defaults(res: Resource, obj: Object) -> Object:
    """The object with its kind's defaults; it must be a copy of what the client sent."""
    function = DEFAULTS.get((res.group, res.kind))
    if function is not None:
        function(obj)
    return obj


def part(obj: Object, key: str) -> Object:
    """The object under a key, made when it is not there."""
    found = obj.setdefault(key, {})
    return found if isinstance(found, dict) else {}


# --- pods


def pod_spec(spec: Object) -> None:
    fill(spec, restartPolicy="Always", terminationGracePeriodSeconds=30, dnsPolicy="ClusterFirst",
         securityContext={}, schedulerName="default-scheduler")  # fmt: skip
    if spec.get("serviceAccountName"):
        fill(spec, serviceAccount=spec["serviceAccountName"])
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for each in spec.get(key) or ():
            container(each)
    for each in spec.get("volumes") or ():
        volume(each)


def container(spec: Object) -> None:
    image = spec.get("image", "")
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    pull = "Always" if "@" not in image and tag in ("", "latest") else "IfNotPresent"
    fill(spec, resources={}, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File",
         imagePullPolicy=pull)  # fmt: skip
    for port in spec.get("ports") or ():
        fill(port, protocol="TCP")
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if key in spec:
            probe(spec[key])
    for hook in (spec.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and "httpGet" in hook:
            fill(hook["httpGet"], path="/", scheme="HTTP")
    for variable in spec.get("env") or ():
        if "fieldRef" in (variable.get("valueFrom") or {}):
            fill(variable["valueFrom"]["fieldRef"], apiVersion="v1")


def probe(spec: Object) -> None:
    fill(spec, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if "httpGet" in spec:
        fill(spec["httpGet"], path="/", scheme="HTTP")
    if "grpc" in spec:
        fill(spec["grpc"], service="")


def volume(spec: Object) -> None:
    if len(spec) == 1:
        spec["emptyDir"] = {}
    for key in ("configMap", "secret", "projected", "downwardAPI"):
        if key in spec:
            fill(spec[key], defaultMode=0o644)
    if "hostPath" in spec:
        fill(spec["hostPath"], type="")
    for source in (spec.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            fill(source["serviceAccountToken"], expirationSeconds=3600)


GONE_NODES = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def pod(obj: Object) -> None:
    """With what the admission plugins ServiceAccount, Priority and DefaultTolerationSeconds add."""
    spec = part(obj, "spec")
    fill(spec, enableServiceLinks=True, serviceAccountName="default", priority=0,
         preemptionPolicy="PreemptLowerPriority")  # fmt: skip
    pod_spec(spec)
    tolerations = spec.setdefault("tolerations", [])
    known = {each.get("key") for each in tolerations if each.get("effect") in (None, "NoExecute")}
    tolerations += [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in GONE_NODES if key not in known and None not in known
    ]  # fmt: skip
    for each in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        limits = each["resources"].get("limits")
        if limits:
            fill(part(each["resources"], "requests"), **limits)


def template(spec: Object) -> None:
    inner = part(spec, "template")
    part(inner, "metadata")
    pod_spec(part(inner, "spec"))


# --- workloads


def deployment(obj: Object) -> None:
    spec = part(obj, "spec")
    template(spec)
    fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = part(spec, "strategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(part(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")


def stateful_set(obj: Object) -> None:
    spec = part(obj, "spec")
    template(spec)
    fill(spec, replicas=1, podManagementPolicy="OrderedReady", revisionHistoryLimit=10, serviceName="")
    strategy = part(spec, "updateStrategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(part(strategy, "rollingUpdate"), partition=0)
    fill(part(spec, "persistentVolumeClaimRetentionPolicy"), whenDeleted="Retain", whenScaled="Retain")
    for claim in spec.get("volumeClaimTemplates") or ():
        fill(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={})
        part(claim, "metadata")
        persistent_volume_claim(claim)


def replica_set(obj: Object) -> None:
    spec = part(obj, "spec")
    template(spec)
    fill(spec, replicas=1)


def daemon_set(obj: Object) -> None:
    spec = part(obj, "spec")
    template(spec)
    fill(spec, revisionHistoryLimit=10)
    strategy = part(spec, "updateStrategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(part(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)


def job(obj: Object) -> None:
    job_spec(part(obj, "spec"))


def job_spec(spec: Object) -> None:
    template(spec)
    if "completions" not in spec and "parallelism" not in spec:
        fill(spec, completions=1)
    fill(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False, manualSelector=False)
    fill(spec, podReplacementPolicy="TerminatingOrFailed")
    if not spec["manualSelector"]:
        del spec["manualSelector"]


def cron_job(obj: Object) -> None:
    spec = part(obj, "spec")
    fill(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    inner = part(spec, "jobTemplate")
    part(inner, "metadata")
    pod_spec(part(part(part(inner, "spec"), "template"), "spec"))


def horizontal_pod_autoscaler(obj: Object) -> None:
    spec = part(obj, "spec")
    utilization = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    fill(spec, minReplicas=1)
    if not spec.get("metrics") and obj.get("apiVersion") != "autoscaling/v1":
        spec["metrics"] = [utilization]


# --- network


def service(obj: Object) -> None:
    spec = part(obj, "spec")
    fill(spec, sessionAffinity="None", type="ClusterIP")
    if spec["sessionAffinity"] == "ClientIP":
        fill(part(part(spec, "sessionAffinityConfig"), "clientIP"), timeoutSeconds=10800)
    if spec["type"] != "ExternalName":
        fill(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        fill(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        fill(spec, allocateLoadBalancerNodePorts=True)
    for port in spec.get("ports") or ():
        fill(port, protocol="TCP", targetPort=port.get("port", 0))


def network_policy(obj: Object) -> None:
    spec = part(obj, "spec")
    fill(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for rule in (spec.get("ingress") or []) + (spec.get("egress") or []):
        for port in rule.get("ports") or ():
            fill(port, protocol="TCP")


def ports_tcp(obj: Object) -> None:
    for port in obj.get("ports") or ():
        fill(port, name="", protocol="TCP")


# --- storage, configuration, rights


def persistent_volume_claim(obj: Object) -> None:
    spec = part(obj, "spec")
    fill(spec, resources={}, volumeMode="Filesystem")
    fill(part(obj, "status"), phase="Pending")


def persistent_volume(obj: Object) -> None:
    fill(part(obj, "spec"), persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")
    fill(part(obj, "status"), phase="Pending")


def storage_class(obj: Object) -> None:
    fill(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def secret(obj: Object) -> None:
    """`stringData` goes into `data`, and wins."""
    plain = obj.pop("stringData", None)
    if plain:
        data = part(obj, "data")
        data |= {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    fill(obj, type="Opaque")


def namespace(obj: Object) -> None:
    """Its label, unless the name is made up for it: then the label comes later."""
    metadata = obj.get("metadata", {})
    if (name := metadata.get("name")) and not metadata.get("generateName"):
        part(obj["metadata"], "labels")["kubernetes.io/metadata.name"] = name
    part(obj, "spec")


def binding(obj: Object) -> None:
    if "roleRef" in obj:
        fill(obj["roleRef"], apiGroup="rbac.authorization.k8s.io")
        if not obj["roleRef"]["apiGroup"]:
            obj["roleRef"]["apiGroup"] = "rbac.authorization.k8s.io"
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            fill(subject, apiGroup="rbac.authorization.k8s.io")


def priority_class(obj: Object) -> None:
    fill(obj, preemptionPolicy="PreemptLowerPriority")


def custom_resource_definition(obj: Object) -> None:
    spec = part(obj, "spec")
    names = part(spec, "names")
    if names.get("kind"):
        fill(names, listKind=f"{names['kind']}List", singular=names["kind"].lower())
    fill(spec, conversion={"strategy": "None"})


DEFAULTS: dict[tuple[str, str], Fill] = {
    ("", "Pod"): pod,
    ("", "Service"): service,
    ("", "PersistentVolumeClaim"): persistent_volume_claim,
    ("", "PersistentVolume"): persistent_volume,
    ("", "Secret"): secret,
    ("", "Namespace"): namespace,
    ("", "ReplicationController"): replica_set,
    ("apps", "Deployment"): deployment,
    ("apps", "StatefulSet"): stateful_set,
    ("apps", "ReplicaSet"): replica_set,
    ("apps", "DaemonSet"): daemon_set,
    ("batch", "Job"): job,
    ("batch", "CronJob"): cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): horizontal_pod_autoscaler,
    ("networking.k8s.io", "NetworkPolicy"): network_policy,
    ("discovery.k8s.io", "EndpointSlice"): ports_tcp,
    ("storage.k8s.io", "StorageClass"): storage_class,
    ("rbac.authorization.k8s.io", "RoleBinding"): binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): binding,
    ("scheduling.k8s.io", "PriorityClass"): priority_class,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): custom_resource_definition,
}
