"""What the API server's admission plugins and strategies add to objects, and what they refuse.

Hooks of the form `(verb, res, obj, old)`; they change `obj` in place. Quota and LimitRange stand in quota.py.
"""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.errors import ApiError, cause, forbidden, not_found
from tests.simulators.kubernetes.kinds import Resource

from .base import Object, labels_of, name_of, namespace_of, terminating
from .scheduler import zone_labels

NAME_LABEL = "kubernetes.io/metadata.name"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
PROTECTION = {
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
    "PersistentVolume": "kubernetes.io/pv-protection",
}
FIRST_STATUS: dict[str, Object] = {
    "ResourceQuota": {},
    "StatefulSet": {"replicas": 0, "availableReplicas": 0},
    "Deployment": {},
    "ReplicaSet": {"replicas": 0},
    "Job": {},
    "Service": {"loadBalancer": {}},
    "PodDisruptionBudget": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
}
PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class Admission:
    """The order of `hooks` is the order in which they are asked; quota comes after them."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._addresses = 0
        self._node_ports = 0
        self.hooks = [self.namespace_lives, self.namespaces, self.first_status, self.pods, self.services, self.storage]

    def namespace_lives(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        if verb != "create" or not res.namespaced:
            return
        namespace = namespace_of(obj)
        found = self.cluster.get("Namespace", "", namespace)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if terminating(found):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            error = forbidden(res.group, res.plural, obj["metadata"].get("name", ""), why)
            told = cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise ApiError(403, "Forbidden", error.message, {**(error.details or {}), "causes": [told]})

    def namespaces(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        if (res.group, res.kind) != ("", "Namespace") or verb == "delete":
            return
        if old is not None or "generateName" not in obj["metadata"]:
            obj["metadata"]["labels"] = {**labels_of(obj), NAME_LABEL: name_of(obj)}
        obj["spec"] = old["spec"] if old else {"finalizers": ["kubernetes"]}
        obj["status"] = (obj.get("status") or {"phase": "Active"}) if old else {"phase": "Active"}

    def generated_namespace(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        """A generated name is known late, so that the label with it belongs to no manager."""
        if (res.group, res.kind) == ("", "Namespace") and verb == "create" and NAME_LABEL not in labels_of(obj):
            obj["metadata"]["labels"] = {**labels_of(obj), NAME_LABEL: name_of(obj)}

    def first_status(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        """What an empty status looks like to whoever creates the object."""
        if verb == "create" and res.kind in FIRST_STATUS and not res.custom:
            obj["status"] = dict(FIRST_STATUS[res.kind])

    def pods(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        if (res.group, res.kind) != ("", "Pod") or verb != "create":
            return
        name = name_of(obj)
        spec = obj["spec"] = dict(obj["spec"])  # the caller's may be a template that others share
        self._service_account(obj)
        self._runtime_class(spec, name)
        spec.setdefault("tolerations", [])
        for condition in ("not-ready", "unreachable"):
            key = f"node.kubernetes.io/{condition}"
            if not any(
                each.get("key") in (key, None) and each.get("effect") in ("NoExecute", None)
                for each in spec["tolerations"]
            ):
                added = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                spec["tolerations"] = [*spec["tolerations"], added]
        self._priority(spec, name)
        obj["status"] = {"phase": "Pending", "qosClass": quality(spec), **(obj.get("status") or {})}
        node = self.cluster.get("Node", "", spec.get("nodeName") or "")
        if node and (zones := zone_labels(node)):
            obj["metadata"]["labels"] = {**labels_of(obj), **zones}

    def _service_account(self, pod: Object) -> None:
        spec, namespace = pod["spec"], namespace_of(pod)
        account = spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
        spec["serviceAccount"] = account
        if self.cluster.get("ServiceAccount", namespace, account) is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise forbidden("", "pods", name_of(pod), why)

    def _runtime_class(self, spec: Object, name: str) -> None:
        class_ = spec.get("runtimeClassName")
        if class_ and self.cluster.get("RuntimeClass", "", class_) is None:
            raise forbidden("", "pods", name, f'pod rejected: RuntimeClass "{class_}" not found')

    def _priority(self, spec: Object, name: str) -> None:
        class_ = spec.get("priorityClassName")
        found = self.cluster.get("PriorityClass", "", class_) if class_ else None
        if class_ and found is None and class_ not in PRIORITIES:
            raise forbidden("", "pods", name, f"no PriorityClass with name {class_} was found")
        spec["priority"] = found["value"] if found else PRIORITIES.get(class_, 0)
        spec["preemptionPolicy"] = (found or {}).get("preemptionPolicy", "PreemptLowerPriority")

    def services(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        if (res.group, res.kind) != ("", "Service") or verb not in ("create", "update"):
            return
        spec = obj["spec"] = dict(obj["spec"])
        if spec.get("type") == "ExternalName":
            return
        address = spec.get("clusterIP") or ((old or {}).get("spec") or {}).get("clusterIP") or self._next_address()
        spec["clusterIP"] = address
        spec["clusterIPs"] = [address]
        if address != "None" or spec.get("selector"):
            spec.setdefault("ipFamilies", ["IPv4"])
            spec.setdefault("ipFamilyPolicy", "SingleStack")
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            spec["ports"] = [
                each if each.get("nodePort") else {**each, "nodePort": self._next_node_port()} for each in spec["ports"]
            ]

    def _next_address(self) -> str:
        self._addresses += 1
        return f"10.96.{self._addresses >> 8 & 255}.{self._addresses & 255}"

    def _next_node_port(self) -> int:
        self._node_ports += 1
        return 30000 + self._node_ports % 2768

    def storage(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        """Claims get the default class and, like volumes, the finalizer that protects what is in use."""
        if res.group or res.kind not in PROTECTION or verb != "create":
            return
        finalizers = obj["metadata"].get("finalizers") or []
        if PROTECTION[res.kind] not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, PROTECTION[res.kind]]
        if res.kind == "PersistentVolumeClaim" and "storageClassName" not in obj["spec"]:
            classes = self.cluster.list("StorageClass")
            defaults = [
                each for each in classes if (each["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
            ]
            if defaults:
                obj["spec"] = {**obj["spec"], "storageClassName": name_of(defaults[-1])}


def quality(spec: Object) -> str:
    """The QoS class: Guaranteed when every container's cpu and memory requests are its limits, BestEffort without any."""
    guaranteed, some = True, False
    for container in spec["containers"]:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        some |= any(resource in given for given in (limits, requests) for resource in ("cpu", "memory"))
        guaranteed &= all(
            resource in limits and requests.get(resource, limits[resource]) == limits[resource]
            for resource in ("cpu", "memory")
        )
    return "Guaranteed" if guaranteed and some else "Burstable" if some else "BestEffort"
