"""The columns of the built-in kinds, as `kubectl get` shows them.

Each row of `COLUMNS`: columns after Name (a `*` before those that only `-o wide` shows), and a function from an object to its
cells. "Age" fills itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulators.kubernetes.tables.cells import NONE, UNKNOWN, age, joined, lasted, selector_text
from tests.simulators.kubernetes.tables.pods import pod_cells

Object = dict[str, Any]
Cells = Callable[[Object], list[Any]]


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def _status(obj: Object) -> Object:
    return obj.get("status") or {}


def _template(obj: Object) -> list[Any]:
    containers = ((_spec(obj).get("template") or {}).get("spec") or {}).get("containers") or []
    return [
        joined([each.get("name", "") for each in containers]),
        joined([each.get("image", "") for each in containers]),
    ]


def stateful_set(obj: Object) -> list[Any]:
    return [f"{_status(obj).get('readyReplicas', 0)}/{_spec(obj).get('replicas', 0)}", *_template(obj)]


def deployment(obj: Object) -> list[Any]:
    status = _status(obj)
    ready = f"{status.get('readyReplicas', 0)}/{_spec(obj).get('replicas', 0)}"
    numbers = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [ready, *numbers, *_template(obj), selector_text(_spec(obj).get("selector"))]


def replica_set(obj: Object) -> list[Any]:
    status, spec = _status(obj), _spec(obj)
    numbers = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [*numbers, *_template(obj), selector_text(spec.get("selector"))]


def daemon_set(obj: Object) -> list[Any]:
    keys = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    numbers = [_status(obj).get(key, 0) for key in keys]
    nodes = ((_spec(obj).get("template") or {}).get("spec") or {}).get("nodeSelector")
    return [*numbers, selector_text(nodes), *_template(obj), selector_text(_spec(obj).get("selector"))]


def job(obj: Object) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    ended = {each["type"] for each in status.get("conditions") or () if each.get("status") == "True"}
    word = next((each for each in ("Complete", "Failed", "Suspended") if each in ended), "Running")
    done = f"{status.get('succeeded', 0)}/{spec.get('completions', 1)}"
    took = lasted(status["startTime"], status.get("completionTime")) if status.get("startTime") else ""
    return [word, done, took, *_template(obj), selector_text(spec.get("selector"))]


def service(obj: Object) -> list[Any]:
    spec = _spec(obj)
    ingress = (_status(obj).get("loadBalancer") or {}).get("ingress") or []
    outside = [each.get("ip") or each.get("hostname", "") for each in ingress] + (spec.get("externalIPs") or [])
    if spec.get("type") == "LoadBalancer" and not outside:
        outside = ["<pending>"]
    ports = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}"
        for port in spec.get("ports") or ()
    ]
    address = spec.get("clusterIP") or NONE
    return [spec.get("type"), address, joined(outside), joined(ports), selector_text(spec.get("selector"))]


def node(obj: Object) -> list[Any]:
    status, labels = _status(obj), obj["metadata"].get("labels") or {}
    ready = {each["type"]: each["status"] for each in status.get("conditions") or ()}.get("Ready")
    words = ["Ready" if ready == "True" else "NotReady" if ready else "Unknown"]
    if _spec(obj).get("unschedulable"):
        words.append("SchedulingDisabled")
    prefix = "node-role.kubernetes.io/"
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))
    addresses = {each["type"]: each["address"] for each in status.get("addresses") or ()}
    info = status.get("nodeInfo") or {}
    kernel = info.get("kernelVersion", UNKNOWN)
    if info.get("architecture"):
        kernel = f"{kernel} ({info['architecture']})"
    return [
        ",".join(words), joined(roles), info.get("kubeletVersion", ""), addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE), info.get("osImage", UNKNOWN), kernel,
        info.get("containerRuntimeVersion", UNKNOWN),
    ]  # fmt: skip


def claim(obj: Object) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    word = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    capacity = (status.get("capacity") or {}).get("storage", "")
    modes = joined([SHORT_MODES.get(each, each) for each in spec.get("accessModes") or ()]) if capacity else ""
    known = [
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", "<unset>"),
        spec.get("volumeMode", ""),
    ]
    return [word, spec.get("volumeName", ""), capacity, modes, *known]


SHORT_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def event(obj: Object) -> list[Any]:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    last = obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp")
    source = (obj.get("source") or {}).get("component", "")
    text = (obj.get("message") or obj.get("note") or "").strip()
    whom = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    count = obj.get("count", 1)
    name = obj["metadata"]["name"]
    first = age(obj.get("firstTimestamp") or last)
    return [
        age(last),
        obj.get("type", ""),
        obj.get("reason", ""),
        whom,
        about.get("fieldPath", ""),
        source,
        text,
        first,
        count,
        name,
    ]


def autoscaler(obj: Object) -> list[Any]:
    spec, status = _spec(obj), _status(obj)
    ref = spec.get("scaleTargetRef") or {}
    low = spec.get("minReplicas", "<unset>")
    targets = joined([_metric(each) for each in spec.get("metrics") or ()])
    whom = f"{ref.get('kind', '')}/{ref.get('name', '')}"
    return [whom, targets, str(low), spec.get("maxReplicas", 0), status.get("currentReplicas", 0)]


def _metric(metric: Object) -> str:
    target = next((each.get("target") or {} for each in metric.values() if isinstance(each, dict)), {})
    if "averageUtilization" in target:
        return f"{metric['resource']['name']}: {UNKNOWN}/{target['averageUtilization']}%"
    return f"{UNKNOWN}/{target.get('averageValue') or target.get('value', '')}"


def budget(obj: Object) -> list[Any]:
    spec = _spec(obj)
    return [
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        _status(obj).get("disruptionsAllowed", 0),
    ]


def quota(obj: Object) -> list[Any]:
    hard, used = _status(obj).get("hard") or {}, _status(obj).get("used") or {}
    texts = {key: f"{key}: {used.get(key, '0')}/{value}" for key, value in sorted(hard.items())}
    limits = ", ".join(text for key, text in texts.items() if key.startswith("limits."))
    return [", ".join(text for key, text in texts.items() if not key.startswith("limits.")), limits]


def role_binding(obj: Object) -> list[Any]:
    ref, subjects = obj.get("roleRef") or {}, obj.get("subjects") or []
    users, groups = ([each["name"] for each in subjects if each["kind"] == kind] for kind in ("User", "Group"))
    accounts = [f"{each.get('namespace', '')}/{each['name']}" for each in subjects if each["kind"] == "ServiceAccount"]
    return [f"{ref.get('kind')}/{ref.get('name')}", ", ".join(users), ", ".join(groups), ", ".join(accounts)]


def storage_class(obj: Object) -> list[Any]:
    expand = bool(obj.get("allowVolumeExpansion"))
    return [
        obj.get("provisioner"),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        expand,
    ]


def endpoint_slice(obj: Object) -> list[Any]:
    ports = [str(each.get("port", "*")) for each in obj.get("ports") or ()]
    addresses = [address for each in obj.get("endpoints") or () for address in each.get("addresses") or ()]
    return [obj.get("addressType"), joined(ports), joined(addresses)]


COLUMNS: dict[tuple[str, str], tuple[str, Cells]] = {
    ("", "Pod"): ("Ready Status Restarts Age *IP *Node *Nominated_Node *Readiness_Gates", pod_cells),
    ("", "Node"): ("Status Roles Age Version *Internal-IP *External-IP *OS-Image *Kernel-Version *Container-Runtime", node),
    ("", "Secret"): ("Type Data Age", lambda obj: [obj.get("type"), len(obj.get("data") or {})]),
    ("", "ConfigMap"): ("Data Age", lambda obj: [len(obj.get("data") or {}) + len(obj.get("binaryData") or {})]),
    ("", "Namespace"): ("Status Age", lambda obj: [_status(obj).get("phase")]),
    ("", "Service"): ("Type Cluster-IP External-IP Port(s) Age *Selector", service),
    ("", "ServiceAccount"): ("Age", lambda obj: []),
    ("", "PersistentVolumeClaim"): (
        "Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age *VolumeMode", claim),
    ("", "Event"): ("Last_Seen Type Reason Object *Subobject *Source Message *First_Seen *Count *Name", event),
    ("", "ResourceQuota"): ("Request Limit Age", quota),
    ("", "LimitRange"): ("Created_At", lambda obj: [obj["metadata"].get("creationTimestamp")]),
    ("events.k8s.io", "Event"): ("Last_Seen Type Reason Object *Subobject *Source Message *First_Seen *Count *Name", event),
    ("apps", "StatefulSet"): ("Ready Age *Containers *Images", stateful_set),
    ("apps", "Deployment"): ("Ready Up-to-date Available Age *Containers *Images *Selector", deployment),
    ("apps", "ReplicaSet"): ("Desired Current Ready Age *Containers *Images *Selector", replica_set),
    ("apps", "DaemonSet"): (
        "Desired Current Ready Up-to-date Available Node_Selector Age *Containers *Images *Selector", daemon_set),
    ("batch", "Job"): ("Status Completions Duration Age *Containers *Images *Selector", job),
    ("autoscaling", "HorizontalPodAutoscaler"): ("Reference Targets MinPods MaxPods Replicas Age", autoscaler),
    ("policy", "PodDisruptionBudget"): ("Min_Available Max_Unavailable Allowed_Disruptions Age", budget),
    ("networking.k8s.io", "NetworkPolicy"): (
        "Pod-Selector Age", lambda obj: [selector_text(_spec(obj).get("podSelector"))]),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("Role Age *Users *Groups *ServiceAccounts", role_binding),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("Role Age *Users *Groups *ServiceAccounts", role_binding),
    ("storage.k8s.io", "StorageClass"): ("Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age", storage_class),
    ("discovery.k8s.io", "EndpointSlice"): ("AddressType Ports Endpoints Age", endpoint_slice),
    ("coordination.k8s.io", "Lease"): ("Holder Age", lambda obj: [_spec(obj).get("holderIdentity", "")]),
    ("scheduling.k8s.io", "PriorityClass"): (
        "Value Global-Default Age PreemptionPolicy",
        lambda obj: [obj.get("value", 0), bool(obj.get("globalDefault")), obj.get("preemptionPolicy", "")]),
}  # fmt: skip
INTEGERS = {
    "Data",
    "Up-to-date",
    "Available",
    "Desired",
    "Current",
    "MaxPods",
    "Replicas",
    "Allowed_Disruptions",
    "Value",
    "Count",
}
PLAIN = ("Created_At", lambda obj: [obj["metadata"].get("creationTimestamp")])
