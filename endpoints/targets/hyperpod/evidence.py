"""What a HyperPod cluster shows of one endpoint: its pods, events, the operator's status, and its words about the object."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from clusters.drivers.kinds import POD
from clusters.drivers.kube import Kube
from clusters.models import Cluster
from endpoints.explaining import Condition, Evidence, Happening, Replica
from endpoints.targets.base import Spec
from endpoints.targets.kubernetes.evidence import SAID, Gatherer, conditions_of, replica_of
from endpoints.targets.kubernetes.seen import Anything
from portal.tenancy.text import clean

from .entrance import Closed, Doors
from .names import OPERATOR_NAMESPACE, kind_for, selector_of
from .seen import Config, OperatorPod
from .status import marked

OPERATOR_LINES, MOST_LINES = 2000, 20
TROUBLE = re.compile(r"error|fail|denied|forbidden|unable|cannot|invalid", re.IGNORECASE)
# Parts of the status beside its conditions: path, and the values that are as they should be.
_PARTS: tuple[tuple[str, tuple[str, ...], frozenset[str]], ...] = (
    ("State", ("state",), frozenset({"DeploymentPending", "DeploymentInProgress", "DeploymentComplete"})),
    ("Deployment", ("deploymentStatus", "deploymentObjectOverallState"),
     frozenset({"DeploymentPending", "DeploymentInProgress", "DeploymentComplete"})),
    ("SageMakerEndpoint", ("endpoints", "sagemaker", "state"),
     frozenset({"CreationInProgress", "CreationCompleted", "UpdateInProgress", "UpdateCompleted"})),
    ("Metrics", ("metricsStatus", "state"), frozenset({"Enabled", "Disabled"})),
    ("Certificate", ("tlsCertificate", "certificateHealth"), frozenset({"Valid", "Expiring"})),
    ("DNS", ("dnsStatus", "dnsHealth"), frozenset({"Active", "Pending"})),
    ("DataCapture", ("dataCaptureStatus", "modelPod", "status"), frozenset({"Healthy"})),
)
_WORDS = {
    "State": ("deploymentStatus", "message"), "Deployment": ("deploymentStatus", "message"),
    "Metrics": ("metricsStatus", "errorMessage"), "DNS": ("dnsStatus", "message"),
    "DataCapture": ("dataCaptureStatus", "modelPod", "message"),
}


class HyperPodGatherer(Gatherer):
    """One look at one endpoint on HyperPod."""

    def __init__(self, kube: Kube, cluster: Cluster, spec: Spec, doors: Doors) -> None:
        super().__init__(kube, cluster, spec)
        self._doors = doors

    def gather(self, *, deep: bool = True, routed: bool = False) -> Evidence:
        found = super().gather(deep=deep, routed=routed)
        if not deep:
            return found
        if found.ready:
            found = replace(found, conditions=(*found.conditions, *self._entrance()))
        if found.ready >= found.wanted > 0:
            return found
        said = tuple(self._operator())
        return replace(found, events=(*said, *found.events), unread=tuple(self.unread))

    def pods(self, simulated: Collection[str]) -> list[Replica]:
        return pods_in(self.kube, self.spec, simulated)

    def around(self, *, routed: bool) -> Iterator[Condition]:
        kind = kind_for(self.spec.wanted)
        found = self.get(kind, self.spec.object_name)
        if found is not None:
            yield from conditions_in(kind.kind, found)

    def _entrance(self) -> Iterator[Condition]:
        """Why calls can't enter by the way that was chosen."""
        kind = kind_for(self.spec.wanted)
        found = self.get(kind, self.spec.object_name)
        try:
            if found is not None:
                self._doors.entrance(msgspec.convert(found, Config))
        except Closed as closed:
            yield Condition(f"{kind.kind}/{self.spec.object_name}", "Entrance", "False", "Closed", clean(str(closed), SAID))

    def _operator(self) -> Iterator[Happening]:
        """The newest lines of the operator that name the object, where the credential may read them."""
        name = self.spec.object_name
        pods = self.read("pods of the operator", lambda: self.kube.list(POD, Anything, namespace=OPERATOR_NAMESPACE).items)
        managers = [pod.metadata.name for pod in pods or () if "controller-manager" in pod.metadata.name]
        for pod in managers[:1]:
            text = self.read(f"log of {pod}", lambda pod=pod: self.kube.read_log(  # type: ignore[misc]
                OPERATOR_NAMESPACE, pod, "manager", lines=OPERATOR_LINES))
            lines = [line for line in (text or "").splitlines() if name in line and TROUBLE.search(line)]
            for line in list(dict.fromkeys(lines))[-MOST_LINES:]:
                yield Happening(f"{kind_for(self.spec.wanted).kind}/{name}", "Operator", clean(line, SAID))


def pods_in(kube: Kube, spec: Spec, simulated: Collection[str] = ()) -> list[Replica]:
    """The endpoint's pods as evidence, numbered as a look numbers them. Raises KubeError."""
    listing = kube.list(POD, OperatorPod, namespace=spec.namespace, labels=selector_of(spec.object_name))
    return [replica_of(pod, simulated, pod.engine.name) for pod in marked(listing.items)]


def conditions_in(kind: str, found: Mapping[str, Any]) -> Iterator[Condition]:
    """The operator's status as conditions: each part that it tells of is True where it is as it should be. Pure."""
    status = found.get("status") or {}
    name = clean(found.get("metadata", {}).get("name", ""), 253)
    yield from conditions_of(kind, found, status.get("conditions"))
    inner = _at(status, ("deploymentStatus", "status"))
    yield from conditions_of("Deployment", found, inner.get("conditions") if isinstance(inner, Mapping) else None)
    for type_, path, good in _PARTS:
        value = _at(status, path)
        if isinstance(value, str) and value:
            words = _at(status, _WORDS[type_]) if type_ in _WORDS else ""
            if type_ == "State" and not words:
                words = _complaint(status)
            yield Condition(f"{kind}/{name}", type_, "True" if value in good else "False", clean(value, 128),
                            clean(words or "", SAID))


def _complaint(status: Mapping[str, Any]) -> str:
    """What its own conditions say is wrong; Ready that is False is no complaint."""
    bad = (each for each in status.get("conditions") or () if each.get("status") == "False" and each.get("type") != "Ready")
    return next((str(each["message"]) for each in bad if each.get("message")), "")


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


