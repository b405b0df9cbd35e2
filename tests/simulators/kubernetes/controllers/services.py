"""EndpointSlices: which pods stand behind a Service, and which of them are ready."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from .base import (
    Controller,
    Key,
    Object,
    finished,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    terminating,
    uid_of,
    with_metadata,
)
from .lookups import Index, Pods, controller_uid, selects

MANAGER = "endpointslice-controller.k8s.io"


class Services(Controller):
    kinds = ("Service", "Pod", "EndpointSlice")

    def __init__(self, cluster: Any, pods: Pods) -> None:
        super().__init__(cluster)
        self.pods = pods
        self._slices = Index(cluster, "EndpointSlice", controller_uid)
        self._by_pair: dict[str, dict[Key, None]] = defaultdict(dict)

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        namespace = namespace_of(obj)
        if kind == "Service":
            self._note(event, obj, old)
            self.enqueue(namespace, name_of(obj))
        elif kind == "Pod":
            if event == "MODIFIED" and old is not None and view(old) == view(obj):
                return
            for key in self._selecting(obj) | (self._selecting(old) if old else set()):
                self.enqueue(*key)
        elif event == "DELETED":
            self.enqueue(namespace, labels_of(obj).get("kubernetes.io/service-name", ""))

    def _note(self, event: str, service: Object, old: Object | None) -> None:
        key = (namespace_of(service), name_of(service))
        for each in (old, service):
            if pair := first_pair(each):
                self._by_pair[pair].pop(key, None)
        if event != "DELETED" and (pair := first_pair(service)):
            self._by_pair[pair][key] = None

    def _selecting(self, pod: Object) -> set[Key]:
        """The services whose selector takes the pod; found by their selector's first pair."""
        found = set()
        for label, value in labels_of(pod).items():
            for key in self._by_pair.get(f"{namespace_of(pod)} {label}={value}", ()):
                service = self.cluster.get("Service", *key)
                if service and selects({"matchLabels": service["spec"]["selector"]}, labels_of(pod)):
                    found.add(key)
        return found

    def sync(self, namespace: str, name: str) -> None:
        service = self.cluster.get("Service", namespace, name)
        if service is None or terminating(service) or not service["spec"].get("selector"):
            return
        selector = {"matchLabels": service["spec"]["selector"]}
        pods = [
            pod
            for pod in self.pods.selected(namespace, selector)
            if (pod.get("status") or {}).get("podIP") and not finished(pod)
        ]
        endpoints = [self._endpoint(service, pod) for pod in sorted(pods, key=name_of)]
        ports = [slice_port(each, pods) for each in service["spec"].get("ports") or ()]
        existing = next(iter(self._slices.find(uid_of(service))), None)
        if existing is None:
            self.cluster.create("EndpointSlice", self._slice(service, endpoints, ports))
        elif (existing.get("endpoints") or [], existing.get("ports") or []) != (endpoints, ports):
            notes = {"endpoints.kubernetes.io/last-change-trigger-time": self.cluster.now()}
            generation = existing["metadata"].get("generation", 1) + 1
            changed = with_metadata(existing, annotations=notes, generation=generation)
            self.cluster.put("EndpointSlice", {**changed, "endpoints": endpoints, "ports": ports})

    def _endpoint(self, service: Object, pod: Object) -> Object:
        node = self.cluster.get("Node", "", pod["spec"].get("nodeName") or "")
        zone = labels_of(node).get("topology.kubernetes.io/zone") if node else None
        ready = is_ready(pod) or bool(service["spec"].get("publishNotReadyAddresses"))
        conditions = {"ready": ready and not terminating(pod), "serving": ready, "terminating": terminating(pod)}
        spec = pod["spec"]
        named = spec.get("hostname") and spec.get("subdomain") == name_of(service)
        return {
            "addresses": [pod["status"]["podIP"]], "conditions": conditions,
            **({"hostname": spec["hostname"]} if named else {}),
            "targetRef": {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)},
            "nodeName": spec["nodeName"], **({"zone": zone} if zone else {}),
        }  # fmt: skip

    def _slice(self, service: Object, endpoints: list[Object], ports: list[Object]) -> Object:
        labels = {
            **labels_of(service), "endpointslice.kubernetes.io/managed-by": MANAGER,
            "kubernetes.io/service-name": name_of(service),
        }  # fmt: skip
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        metadata = {
            "generateName": f"{name_of(service)}-", "namespace": namespace_of(service), "labels": labels,
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": self.cluster.now()},
            "ownerReferences": [owner_reference(service, "v1", "Service")],
        }  # fmt: skip
        return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}


def first_pair(service: Object | None) -> str:
    selector = ((service or {}).get("spec") or {}).get("selector") or {}
    pair = next(iter(selector.items()), None)
    return f"{namespace_of(service)} {pair[0]}={pair[1]}" if service and pair else ""


def view(pod: Object) -> tuple[Any, ...]:
    """What of a pod an EndpointSlice shows."""
    return is_ready(pod), terminating(pod), finished(pod), (pod.get("status") or {}).get("podIP"), labels_of(pod)


def slice_port(port: Object, pods: list[Object]) -> Object:
    target = port.get("targetPort", port["port"])
    number = (
        target
        if isinstance(target, int)
        else next((found for pod in pods if (found := container_port(pod, target))), None)
    )
    found = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
    return {key: value for key, value in found.items() if value is not None}


def container_port(pod: Object, name: str) -> int | None:
    """The number of a container's port by its name."""
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return next((port["containerPort"] for port in ports if port.get("name") == name), None)
