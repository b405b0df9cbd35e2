"""What is wrong with the spec of a pod, wherever it stands: in a pod or in a workload's template."""

from __future__ import annotations

import re
from typing import Any

from tests.simulators.kubernetes.errors import cause
from tests.simulators.kubernetes.schema import quantity
from tests.simulators.kubernetes.schema.metadata import label_faults, qualified_name_faults, subdomain_faults
from tests.simulators.kubernetes.schema.validate import Causes, duplicate, forbidden, invalid, not_supported, required

Object = dict[str, Any]

PORTS = "must be between 1 and 65535, inclusive"
NEGATIVE = "must be greater than or equal to 0"
ENV_NAME = re.compile(r"[ -<>-~]+\Z")
ENV_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z")
PULL = ("Always", "IfNotPresent", "Never")


def pod_spec_causes(spec: Object, path: str, claims: frozenset[str] = frozenset()) -> Causes:
    """`claims` are the names of a StatefulSet's claim templates, which containers mount like volumes."""
    causes: Causes = []
    volumes = _volume_names(spec, path, causes) | claims
    containers = spec.get("containers") or []
    if not containers:
        causes.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for key in ("initContainers", "containers"):
        for at, each in enumerate(spec.get(key) or ()):
            _container(each, f"{path}.{key}[{at}]", volumes, seen, causes)
    if spec.get("restartPolicy") not in (None, "Always", "OnFailure", "Never"):
        causes.append(not_supported(f"{path}.restartPolicy", spec["restartPolicy"], ("Always", "OnFailure", "Never")))
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        causes.append(invalid(f"{path}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"], NEGATIVE))
    if name := spec.get("serviceAccountName"):
        causes += [invalid(f"{path}.serviceAccountName", name, why) for why in subdomain_faults(name)]
    return causes


def _volume_names(spec: Object, path: str, causes: Causes) -> set[str]:
    names: set[str] = set()
    for at, volume in enumerate(spec.get("volumes") or ()):
        where, name = f"{path}.volumes[{at}].name", volume.get("name", "")
        if not name:
            causes.append(required(where))
        elif name in names:
            causes.append(duplicate(where, name))
        else:
            causes += [invalid(where, name, why) for why in label_faults(name)]
        names.add(name)
        claim = volume.get("persistentVolumeClaim")
        if claim is not None and not claim.get("claimName"):
            causes.append(required(f"{path}.volumes[{at}].persistentVolumeClaim.claimName"))
    return names


def _container(spec: Object, path: str, volumes: set[str], seen: set[str], causes: Causes) -> None:
    name = spec.get("name", "")
    if not name:
        causes.append(required(f"{path}.name"))
    elif name in seen:
        causes.append(duplicate(f"{path}.name", name))
    else:
        causes += [invalid(f"{path}.name", name, why) for why in label_faults(name)]
    seen.add(name)
    if not spec.get("image"):
        causes.append(required(f"{path}.image"))
    if spec.get("imagePullPolicy") not in (None, *PULL):
        causes.append(not_supported(f"{path}.imagePullPolicy", spec["imagePullPolicy"], PULL))
    _ports(spec.get("ports") or [], f"{path}.ports", causes)
    _environment(spec.get("env") or [], f"{path}.env", causes)
    _mounts(spec.get("volumeMounts") or [], f"{path}.volumeMounts", volumes, causes)
    resources_causes(spec.get("resources") or {}, f"{path}.resources", causes)
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if spec.get(key):
            _probe(spec[key], f"{path}.{key}", causes)


def _ports(ports: list[Object], path: str, causes: Causes) -> None:
    for at, port in enumerate(ports):
        name, number = port.get("name"), port.get("containerPort", 0)
        if name and (len(name) > 15 or not PORT_NAME.match(name)):
            why = (
                "must be no more than 15 characters" if len(name) > 15
                else "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
            )  # fmt: skip
            causes.append(invalid(f"{path}[{at}].name", name, why))
        if not number:
            causes.append(required(f"{path}[{at}].containerPort"))
        elif not 0 < number < 65536:
            causes.append(invalid(f"{path}[{at}].containerPort", number, PORTS))
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            causes.append(not_supported(f"{path}[{at}].protocol", port.get("protocol"), ("SCTP", "TCP", "UDP")))


def _environment(variables: list[Object], path: str, causes: Causes) -> None:
    for at, variable in enumerate(variables):
        name = variable.get("name", "")
        if not name:
            causes.append(required(f"{path}[{at}].name"))
        elif not ENV_NAME.match(name):
            causes.append(invalid(f"{path}[{at}].name", name, ENV_TEXT))
        if variable.get("value") and variable.get("valueFrom"):
            why = "may not be specified when `value` is not empty"
            causes.append(invalid(f"{path}[{at}].valueFrom", "", why))


def _mounts(mounts: list[Object], path: str, volumes: set[str], causes: Causes) -> None:
    places: set[str] = set()
    for at, mount in enumerate(mounts):
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            causes.append(required(f"{path}[{at}].name"))
        elif name not in volumes:
            causes.append(cause("FieldValueNotFound", f'Not found: "{name}"', f"{path}[{at}].name"))
        if not place:
            causes.append(required(f"{path}[{at}].mountPath"))
        elif place in places:
            causes.append(invalid(f"{path}[{at}].mountPath", place, "must be unique"))
        places.add(place)


def _probe(probe: Object, path: str, causes: Causes) -> None:
    handlers = [key for key in ("httpGet", "tcpSocket", "exec", "grpc") if key in probe]
    if not handlers:
        causes.append(required(path, "must specify a handler type"))
    for key in handlers[1:]:
        causes.append(forbidden(f"{path}.{key}", "may not specify more than 1 handler type"))
    for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if probe.get(key, 0) < 0:
            causes.append(invalid(f"{path}.{key}", probe[key], NEGATIVE))


def resources_causes(resources: Object, path: str, causes: Causes) -> None:
    """Limits and requests; what is not native (like GPUs) can neither be split nor promised twice."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            where = f"{path}.{kind}[{name}]"
            causes += [invalid(where, name, why) for why in qualified_name_faults(name)]
            number = quantity.parse(amount)
            if number < 0:
                causes.append(invalid(where, amount, NEGATIVE))
            if not native(name) and number.denominator != 1:
                causes.append(invalid(where, amount, "must be an integer"))
    for name, amount in requests.items():
        if name not in limits:
            if not native(name):
                why = "Limit must be set for non overcommitable resources"
                causes.append(required(f"{path}.limits", why))
        elif not native(name) and quantity.parse(amount) != quantity.parse(limits[name]):
            why = f"must be equal to {name} limit of {limits[name]}"
            causes.append(invalid(f"{path}.requests", amount, why))
        elif quantity.parse(amount) > quantity.parse(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            causes.append(invalid(f"{path}.requests", amount, why))


def native(name: str) -> bool:
    """Whether a resource is one that a node can overcommit."""
    return "/" not in name or "kubernetes.io/" in name
