"""The HyperPod inference operator: InferenceEndpointConfig and JumpStartModel become Deployments with a Service.

States and status fields as github.com/aws/sagemaker-hyperpod-cli shows them; the SageMaker endpoint is only told of. What
a test can have go wrong are the attributes of `HyperPod`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulators.kubernetes.kinds import Resource

from ..base import (
    Controller,
    Object,
    condition,
    controller_of,
    name_of,
    namespace_of,
    set_condition,
    terminating,
    with_metadata,
)
from . import hyperpod_parts as parts
from .hyperpod_parts import GROUP, SYSTEM

if TYPE_CHECKING:
    from .. import Controllers

KINDS = (f"InferenceEndpointConfig.{GROUP}", f"JumpStartModel.{GROUP}")
FINALIZER = f"{GROUP}/finalizer"
SCALED = "ScaledObject.keda.sh"
MANAGER = "operator"


class HyperPod(Controller):
    """Keys are (kind, namespace/name)."""

    kinds = (*KINDS, "Deployment", "Ingress")

    def __init__(self, controllers: Controllers) -> None:
        super().__init__(controllers.hands)
        self.fail_endpoint = False
        """Whether the registration as a SageMaker endpoint fails, while the pods serve."""
        self.registers = True
        """Whether SageMaker gets done with a registration."""
        self.failing: dict[str, str] = {}
        """By the object's name what the operator says when it gives the deployment up."""
        self.undeletable = ""
        """What it says when it can't delete; "" where it can."""
        self.asleep = False
        """Whether it looks at nothing, so that statuses stay as they were."""
        self.balancer = "internal-alb.us-west-2.elb.amazonaws.com"
        """The host name of every load balancer."""

    def admit(self, verb: str, res: Resource, obj: Object, old: Object | None) -> None:
        """The webhook."""
        if res.group != GROUP or f"{res.kind}.{GROUP}" not in KINDS or verb not in ("create", "update"):
            return
        why = "" if terminating(obj) else parts.refusal(obj, old)
        if why:
            raise parts.denied(obj, why)

    def sleep(self) -> None:
        """Looks at nothing any more; a look that has begun is over when this is called in the simulator's own thread."""
        self.asleep = True

    def wake(self) -> None:
        """Looks at everything again, after a test has changed what goes wrong."""
        for kind in KINDS:
            for each in self.cluster.list(kind):
                self.enqueue(kind, f"{namespace_of(each)}/{name_of(each)}")

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind in KINDS:
            self.enqueue(kind, f"{namespace_of(obj)}/{name_of(obj)}")
        elif (owner := controller_of(obj)) and f"{owner['kind']}.{GROUP}" in KINDS:
            self.enqueue(f"{owner['kind']}.{GROUP}", f"{namespace_of(obj)}/{owner['name']}")

    def sync(self, kind: str, path: str) -> None:
        namespace, _, name = path.partition("/")
        found = self.cluster.get(kind, namespace, name)
        if found is None or self.asleep:
            return
        if terminating(found):
            self._end(kind, found)
            return
        finalizers = found["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            found = self.cluster.update(
                kind, with_metadata(found, finalizers=[*finalizers, FINALIZER]), manager=MANAGER
            )
        if not found.get("status"):
            self._put(kind, found, {"state": "DeploymentPending"})
            self.cluster.later(0.5, lambda: self.enqueue(kind, path))
            return
        why = parts.impossible(found)
        if why:
            self._put(kind, found, self._failed(found, why))
            return
        self._deploy(found)
        self._scaler(found)
        if parts.is_routed(found):
            self._route(found)
        self._report(kind, found)

    def _end(self, kind: str, found: Object) -> None:
        """Takes the Deployment and the router away, then the finalizer."""
        if FINALIZER not in (found["metadata"].get("finalizers") or ()):
            return
        if self.undeletable:
            words = {"reason": "Failed", "message": self.undeletable}
            before = found.get("status") or {}
            conditions = set_condition(before.get("conditions") or (), self.cluster.now(), type="DeletionComplete",
                                       status="False", **words)  # fmt: skip
            self._put(kind, found, {**before, "state": "DeletionFailed", "conditions": conditions})
            return
        if parts.is_routed(found):
            self.cluster.delete("Ingress", SYSTEM, name_of(parts.ingress(found)))
            self.cluster.delete("Deployment", SYSTEM, name_of(parts.router(found)), propagation="Background")
        left = self._there(found)
        if not left:
            self._put(kind, found, {**(found.get("status") or {}), "state": "DeletionComplete"})
            fresh = self.cluster.get(kind, namespace_of(found), name_of(found))
            rest = [each for each in fresh["metadata"]["finalizers"] if each != FINALIZER]
            self.cluster.update(kind, with_metadata(fresh, finalizers=rest or None), manager=MANAGER)
            return
        self._put(kind, found, {**(found.get("status") or {}), "state": "DeletionInProgress"})
        for each in left:
            if not terminating(each):
                self.cluster.delete("Deployment", namespace_of(found), name_of(each), propagation="Foreground")

    def _there(self, found: Object) -> list[Object]:
        """The Deployments of the object that there are."""
        named = (self.cluster.get("Deployment", namespace_of(found), name) for name in parts.deployments(found))
        return [each for each in named if each is not None]

    def _metadata(self, found: Object, name: str) -> Object:
        return {"name": name, "namespace": namespace_of(found), "labels": parts.pod_labels(found),
                "ownerReferences": [parts.owner(found)]}  # fmt: skip

    def _deploy(self, found: Object) -> None:
        for name, (wanted, template) in parts.deployments(found).items():
            self._deploy_one(found, name, wanted, template)
        if self.cluster.get("Service", namespace_of(found), name_of(found)) is None:
            port = parts.container_port(found)
            spec = {"selector": parts.pod_labels(found), "ports": [{"name": "http", "port": port, "targetPort": port}]}
            self.cluster.create(
                "Service", {"metadata": self._metadata(found, name_of(found)), "spec": spec}, manager=MANAGER
            )

    def _deploy_one(self, found: Object, name: str, wanted: int, template: Object) -> None:
        deployment = self.cluster.get("Deployment", namespace_of(found), name)
        if deployment is None:
            body = {"replicas": wanted, "selector": {"matchLabels": template["metadata"]["labels"]}, "template": template,
                    "progressDeadlineSeconds": parts.deadline(found)}  # fmt: skip
            self.cluster.create(
                "Deployment", {"metadata": self._metadata(found, name), "spec": body}, manager=MANAGER
            )
            return
        spec = {**deployment["spec"], "replicas": wanted}
        if differs(deployment["spec"]["template"]["spec"], template["spec"]):
            spec["template"] = template
        if spec != deployment["spec"]:
            self.cluster.update("Deployment", {**deployment, "spec": spec}, manager=MANAGER)

    def _scaler(self, found: Object) -> None:
        wanted = parts.scaled_object(found)
        name = f"keda-{name_of(found)}"
        there = self.cluster.get(SCALED, namespace_of(found), name) if self.cluster.resource(SCALED) else None
        if wanted is None:
            if there is not None and not terminating(there):
                self.cluster.delete(SCALED, namespace_of(found), name)
        elif there is None:
            self.cluster.create(SCALED, wanted, manager=MANAGER)
        elif {**there["spec"], **wanted["spec"]} != there["spec"]:
            self.cluster.update(SCALED, {**there, "spec": wanted["spec"]}, manager=MANAGER)

    def _route(self, found: Object) -> None:
        if self.cluster.get("Namespace", "", SYSTEM) is None:
            self.cluster.create("Namespace", {"metadata": {"name": SYSTEM}}, manager=MANAGER)
        router, ingress = parts.router(found), parts.ingress(found)
        if self.cluster.get("Deployment", SYSTEM, name_of(router)) is None:
            self.cluster.create("Deployment", router, manager=MANAGER)
        if self.cluster.get("Ingress", SYSTEM, name_of(ingress)) is None:
            made = self.cluster.create("Ingress", ingress, manager=MANAGER)
            status = {"loadBalancer": {"ingress": [{"hostname": self.balancer}]}}
            self.cluster.later(0.5, lambda: self.cluster.put_status("Ingress", made, status))

    def _failed(self, found: Object, why: str) -> Object:
        before, generation = found.get("status") or {}, found["metadata"]["generation"]
        since = (before.get("deploymentStatus") or {}).get("lastUpdated", self.cluster.now())
        told = {"deploymentObjectOverallState": "DeploymentFailed", "name": name_of(found), "reason": "DeploymentFailed",
                "message": why, "lastUpdated": since}  # fmt: skip
        return {**before, "state": "DeploymentFailed", "observedGeneration": generation, "deploymentStatus": told,
                "conditions": self._conditions(before, generation, why)}  # fmt: skip

    def _report(self, kind: str, found: Object) -> None:
        found = self.cluster.get(kind, namespace_of(found), name_of(found))
        there = self._there(found) if found else []
        if not there:
            return
        inner = added([each.get("status") or {} for each in there])
        wanted = sum(count for count, _pod in parts.deployments(found).values())
        done = inner.get("availableReplicas", 0) >= wanted == inner.get("updatedReplicas", 0)
        late = any(condition(each, "Progressing").get("reason") == "ProgressDeadlineExceeded" for each in there)
        why = self.failing.get(name_of(found), "Deployment exceeded its progress deadline" if late else "")
        state = "DeploymentFailed" if why and not done else "DeploymentComplete" if done else "DeploymentInProgress"
        before, now = found.get("status") or {}, self.cluster.now()
        generation = found["metadata"]["generation"]
        status = {
            **before, "state": state, "observedGeneration": generation, "replicas": inner.get("replicas", 0),
            "selector": f"app={name_of(found)},deploying-service=hyperpod-inference",
            "deploymentStatus": {
                "deploymentObjectOverallState": state, "name": name_of(found), "reason": "NativeDeploymentObjectFound",
                "message": f"Native deployment object {name_of(found)} found", "status": inner,
                "lastUpdated": self._updated(before, state, inner, now),
            },
            "metricsStatus": {"enabled": True, "state": "Enabled"},
        }  # fmt: skip
        if done or state == "DeploymentFailed":
            status["conditions"] = self._conditions(before, generation, "" if done else why)
        if name := parts.endpoint_name(found):
            status["endpoints"] = {"sagemaker": self._endpoint(name, before, done)}
        if parts.is_routed(found) and done:
            status["tlsCertificate"] = parts.certificate(found, self.balancer)
        self._put(kind, found, status)

    def _updated(self, before: Object, state: str, inner: Object, now: str) -> str:
        was = before.get("deploymentStatus") or {}
        same = (was.get("deploymentObjectOverallState"), was.get("status")) == (state, inner)
        return was.get("lastUpdated", now) if same else now

    def _conditions(self, before: Object, generation: int, why: str) -> list[Object]:
        good = "Deployment and SageMaker endpoint registration were created successfully"
        words = {"reason": "Failed" if why else "Success", "message": why or good, "observedGeneration": generation}
        return set_condition(
            before.get("conditions") or (), self.cluster.now(), type="DeploymentComplete", status=str(not why), **words
        )

    def _endpoint(self, name: str, before: Object, done: bool) -> Object:
        was = ((before.get("endpoints") or {}).get("sagemaker") or {}).get("state", "")
        if self.fail_endpoint:
            return {"state": "UpdateFailed" if was == "CreationCompleted" else "CreationFailed"}
        if (not done or not self.registers) and was != "CreationCompleted":
            return {"state": "CreationInProgress"}
        arns = {
            f"{short}Arn": f"{parts.REGION_ARN}:{what}/{name}"
            for short, what in (("endpoint", "endpoint"), ("config", "endpoint-config"), ("model", "model"))
        }
        return {"state": "CreationCompleted", **arns}

    def _put(self, kind: str, found: Object, status: Object) -> None:
        if (found.get("status") or {}) != status:
            self.cluster.put_status(kind, found, status)


def added(statuses: list[Object]) -> Object:
    """One status for all Deployments of an object: numbers added, the rest as the first says it."""
    first = {key: value for key, value in statuses[0].items() if key != "terminatingReplicas"}
    numbers = {key for each in statuses for key in each if key.lower().endswith("replicas") and key != "terminatingReplicas"}
    return {**first, **{key: sum(each.get(key, 0) for each in statuses) for key in numbers}}


def differs(live: Object, wanted: Object) -> bool:
    """Whether a pod's spec has to change: what the API server has added to it does not count."""
    named = {each["name"]: each for each in live["containers"]}
    if set(named) != {each["name"] for each in wanted["containers"]}:
        return True
    plain = {key: value for key, value in wanted.items() if key != "containers"}
    if any(not _within(value, live.get(key)) for key, value in plain.items()):
        return True
    return any(not _within(each, named[each["name"]]) for each in wanted["containers"])


def _within(wanted: object, live: object) -> bool:
    if isinstance(wanted, dict) and isinstance(live, dict):
        return all(_within(value, live.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(live, list):
        return len(wanted) == len(live) and all(map(_within, wanted, live))
    return wanted == live
