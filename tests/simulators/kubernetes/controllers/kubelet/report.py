"""The status of a pod as a kubelet writes it, and the messages and events that go with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ..base import Object, name_of, namespace_of, set_condition, uid_of

TYPES = ("PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


def conditions(pod: Object, now: str, *, started: bool, initialized: bool, ready: bool) -> list[Object]:
    values = dict(zip(TYPES, (True, started, initialized, ready, ready), strict=True))
    found = list((pod.get("status") or {}).get("conditions") or ())
    for type_, value in values.items():
        found = set_condition(found, now, type=type_, status=str(value), lastProbeTime=None)
    order = {type_: number for number, type_ in enumerate(TYPES)}
    return sorted(found, key=lambda each: order.get(each["type"], -1))


def container_status(container: Mapping[str, Any], pod: Object, state: Object, **fields: Any) -> Object:
    digest = hashlib.sha256(f"{uid_of(pod)}/{container['name']}".encode()).hexdigest()
    image = container["image"]
    return {
        "name": container["name"], "state": state, "lastState": fields.get("last", {}), "ready": fields.get("ready", False),
        "restartCount": fields.get("restarts", 0), "image": image, "started": fields.get("started", False),
        "imageID": f"{image.partition('@')[0].rpartition(':')[0] or image}@sha256:{hashlib.sha256(image.encode()).hexdigest()}",
        "containerID": f"containerd://{digest}",
    }  # fmt: skip


def status(pod: Object, phase: str, now: str, addresses: tuple[str, str], **flags: Any) -> Object:
    """A whole status. flags: started, initialized, ready, and `containers`, the container statuses."""
    host, own = addresses
    old = pod.get("status") or {}
    marks = {key: flags[key] for key in ("started", "initialized", "ready")}
    made: Object = {
        "phase": phase, "conditions": conditions(pod, now, **marks), "hostIP": host, "hostIPs": [{"ip": host}],
        "startTime": old.get("startTime", now), "containerStatuses": flags["containers"],
        "qosClass": old.get("qosClass", "BestEffort"),
    }  # fmt: skip
    if own:
        made |= {"podIP": own, "podIPs": [{"ip": own}]}
    return made


def terminated(code: int, since: str, now: str) -> Object:
    reason = {0: "Completed", 137: "OOMKilled"}.get(code, "Error")
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": since, "finishedAt": now}}


def back_off(restarts: int) -> str:
    """The wait before the next restart as the kubelet says it: 10 s, doubled up to 5 minutes."""
    wait = min(300, 10 * 2 ** max(0, restarts - 1))
    return "5m0s" if wait == 300 else f"{wait // 60}m{wait % 60}s" if wait >= 60 else f"{wait}s"


def image_failure(image: str) -> str:
    """What containerd answers for an image that its registry does not have."""
    bare = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    full = (
        bare
        if "/" in bare and "." in bare.partition("/")[0]
        else f"docker.io/{'' if '/' in bare else 'library/'}{bare}"
    )
    return (
        f'failed to pull and unpack image "{full}": failed to resolve image: pull access denied, repository does not '
        "exist or may require authorization: server message: insufficient_scope: authorization failed"
    )


def waiting_message(reason: str, pod: Object, container: Mapping[str, Any], restarts: int) -> str:
    image = container["image"]
    match reason:
        case "ImagePullBackOff":
            return f'Back-off pulling image "{image}": ErrImagePull: {image_failure(image)}'
        case "ErrImagePull":
            return image_failure(image)
        case "InvalidImageName":
            parsed = f'couldn\'t parse image name "{image}": invalid reference format'
            return f'Failed to apply default image tag "{image}": {parsed}'
        case "CrashLoopBackOff":
            whole = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
            return f"back-off {back_off(restarts)} restarting failed container={container['name']} pod={whole}"
        case "CreateContainerConfigError":
            return missing_secret(pod, container)
    return f"{reason} of container {container['name']}"


def missing_secret(pod: Object, container: Mapping[str, Any]) -> str:
    for variable in container.get("env") or ():
        if ref := (variable.get("valueFrom") or {}).get("secretKeyRef"):
            return f'secret "{ref["name"]}" not found'
    return f'secret "{name_of(pod)}" not found'


def trouble_events(state: str, argument: str, pod: Object, container: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The events (type, reason, message) that a kubelet records for a failure."""
    image, name = container["image"], container["name"]
    whole = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
    match state, argument:
        case "waiting", "ImagePullBackOff" | "ErrImagePull":
            return [
                ("Normal", "Pulling", f'Pulling image "{image}"'),
                ("Warning", "Failed", f'Failed to pull image "{image}": {image_failure(image)}'),
                ("Warning", "Failed", "Error: ErrImagePull"),
                ("Normal", "BackOff", f'Back-off pulling image "{image}"'),
                ("Warning", "Failed", "Error: ImagePullBackOff"),
            ]
        case "waiting", "InvalidImageName":
            return [
                ("Warning", "InspectFailed", waiting_message(argument, pod, container, 0)),
                ("Warning", "Failed", "Error: InvalidImageName"),
            ]
        case "waiting", _:
            return [("Warning", "Failed", f"Error: {waiting_message(argument, pod, container, 0)}")]
        case "crash", _:
            return [
                *start_events(container),
                ("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {whole}"),
            ]
        case "notready", _:
            probe = container.get("readinessProbe") or {}
            port = (probe.get("httpGet") or {}).get("port", 8000)
            path = (probe.get("httpGet") or {}).get("path", "/health")
            address = (pod.get("status") or {}).get("podIP", "10.244.0.1")
            refused = f"dial tcp {address}:{port}: connect: connection refused"
            failed = f'Readiness probe failed: Get "http://{address}:{port}{path}": {refused}'
            return [*start_events(container), ("Warning", "Unhealthy", failed)]
        case "pending", _:
            return []
    return start_events(container)


def start_events(container: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    image, name = container["image"], container["name"]
    return [
        ("Normal", "Pulled", f'Container image "{image}" already present on machine and can be accessed by the pod'),
        ("Normal", "Created", f"Container created: {name}"),
        ("Normal", "Started", f"Container started: {name}"),
    ]
