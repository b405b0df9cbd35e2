"""The HyperPod inference operator: InferenceEndpointConfig and JumpStartModel become Deployments with a Service.

States and status fields as github.com/aws/sagemaker-hyperpod-cli shows them; the SageMaker endpoint is only told of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import (
    Controller,
    Object,
    annotations_of,
    condition,
    controller_of,
    name_of,
    namespace_of,
    owner_reference,
    present,
    set_condition,
    terminating,
    with_metadata,
)

if TYPE_CHECKING:
    from .. import Controllers

GROUP = "inference.sagemaker.aws.amazon.com"
KINDS = (f"InferenceEndpointConfig.{GROUP}", f"JumpStartModel.{GROUP}")
FINALIZER = f"{GROUP}/finalizer"
JUMPSTART_IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/djl-inference:latest"
REGION_ARN = "arn:aws:sagemaker:us-west-2:123456789012"


class HyperPod(Controller):
    """Keys are (kind, namespace/name)."""

    kinds = (*KINDS, "Deployment")

    def __init__(self, controllers: Controllers) -> None:
        super().__init__(controllers.hands)
        self.fail_endpoint = False
        """Whether the registration as a SageMaker endpoint fails, while the pods serve."""

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind in KINDS:
            self.enqueue(kind, f"{namespace_of(obj)}/{name_of(obj)}")
        elif (owner := controller_of(obj)) and f"{owner['kind']}.{GROUP}" in KINDS:
            self.enqueue(f"{owner['kind']}.{GROUP}", f"{namespace_of(obj)}/{owner['name']}")

    def sync(self, kind: str, path: str) -> None:
        namespace, _, name = path.partition("/")
        found = self.cluster.get(kind, namespace, name)
        if found is None:
            return
        if terminating(found):
            self._end(kind, found)
            return
        finalizers = found["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            found = self.cluster.update(
                kind, with_metadata(found, finalizers=[*finalizers, FINALIZER]), manager="operator"
            )
        if not found.get("status"):
            self._put(kind, found, {"state": "DeploymentPending"})
            self.cluster.later(0.5, lambda: self.enqueue(kind, path))
            return
        self._deploy(kind, found)
        self._report(kind, found)

    def _end(self, kind: str, found: Object) -> None:
        """Takes the Deployment away, then the finalizer."""
        if FINALIZER not in (found["metadata"].get("finalizers") or ()):
            return
        deployment = self.cluster.get("Deployment", namespace_of(found), name_of(found))
        if deployment is None:
            self._put(kind, found, {**(found.get("status") or {}), "state": "DeletionComplete"})
            fresh = self.cluster.get(kind, namespace_of(found), name_of(found))
            rest = [each for each in fresh["metadata"]["finalizers"] if each != FINALIZER]
            self.cluster.update(kind, with_metadata(fresh, finalizers=rest or None), manager="operator")
            return
        self._put(kind, found, {**(found.get("status") or {}), "state": "DeletionInProgress"})
        if not terminating(deployment):
            self.cluster.delete("Deployment", namespace_of(found), name_of(found), propagation="Foreground")

    def _deploy(self, kind: str, found: Object) -> None:
        spec, wanted = pod_spec(found), found["spec"].get("replicas", 1)
        labels = {"app": name_of(found), "deploying-service": "hyperpod-inference"}
        notes = {
            key: value
            for key, value in annotations_of(found).items()
            if key.startswith(("test.kubelet/", "simulator/"))
        }
        template = {"metadata": {"labels": labels, **present(annotations=notes or None)}, "spec": spec}
        owner = owner_reference(found, f"{GROUP}/v1", kind.partition(".")[0])
        metadata = {
            "name": name_of(found),
            "namespace": namespace_of(found),
            "labels": labels,
            "ownerReferences": [owner],
        }
        deployment = self.cluster.get("Deployment", namespace_of(found), name_of(found))
        if deployment is None:
            body = {
                "replicas": wanted,
                "selector": {"matchLabels": labels},
                "template": template,
                "progressDeadlineSeconds": deadline(found),
            }
            self.cluster.create("Deployment", {"metadata": metadata, "spec": body}, manager="operator")
            self._service(found, metadata, labels)
        elif deployment["spec"]["replicas"] != wanted or self._differs(deployment, found):
            containers = deployment["spec"]["template"]["spec"]["containers"]
            merged = [{**old, **new} for old, new in zip(containers, spec["containers"], strict=True)]
            pod = {
                **deployment["spec"]["template"],
                "spec": {**deployment["spec"]["template"]["spec"], "containers": merged},
            }
            self.cluster.update(
                "Deployment",
                {**deployment, "spec": {**deployment["spec"], "replicas": wanted, "template": pod}},
                manager="operator",
            )

    def _differs(self, deployment: Object, found: Object) -> bool:
        old = deployment["spec"]["template"]["spec"]["containers"]
        return any(
            one.get(key) != value
            for one, new in zip(old, pod_spec(found)["containers"], strict=True)
            for key, value in new.items()
            if key != "ports"
        )

    def _service(self, found: Object, metadata: Object, labels: dict[str, str]) -> None:
        if self.cluster.get("Service", namespace_of(found), name_of(found)) is None:
            port = container_port(found)
            ports = [{"name": "http", "port": port, "targetPort": port}]
            self.cluster.create(
                "Service", {"metadata": metadata, "spec": {"selector": labels, "ports": ports}}, manager="operator"
            )

    def _report(self, kind: str, found: Object) -> None:
        found = self.cluster.get(kind, namespace_of(found), name_of(found))
        deployment = self.cluster.get("Deployment", namespace_of(found), name_of(found))
        if found is None or deployment is None:
            return
        inner = {key: value for key, value in (deployment.get("status") or {}).items() if key != "terminatingReplicas"}
        done = inner.get("availableReplicas", 0) >= found["spec"].get("replicas", 1) == inner.get("updatedReplicas", 0)
        failed = condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded"
        state = "DeploymentComplete" if done else "DeploymentFailed" if failed else "DeploymentInProgress"
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
        if done or failed:
            status["conditions"] = self._conditions(before, generation, done, now)
        if name := endpoint_name(found):
            status["endpoints"] = {"sagemaker": self._endpoint(name, before, done)}
        self._put(kind, found, status)

    def _updated(self, before: Object, state: str, inner: Object, now: str) -> str:
        was = before.get("deploymentStatus") or {}
        same = (was.get("deploymentObjectOverallState"), was.get("status")) == (state, inner)
        return was.get("lastUpdated", now) if same else now

    def _conditions(self, before: Object, generation: int, done: bool, now: str) -> list[Object]:
        message = (
            "Deployment and SageMaker endpoint registration were created successfully"
            if done
            else "Deployment exceeded its progress deadline"
        )
        words = {"reason": "Success" if done else "Failed", "message": message, "observedGeneration": generation}
        return set_condition(before.get("conditions") or (), now, type="DeploymentComplete", status=str(done), **words)

    def _endpoint(self, name: str, before: Object, done: bool) -> Object:
        was = ((before.get("endpoints") or {}).get("sagemaker") or {}).get("state", "")
        if self.fail_endpoint:
            return {"state": "UpdateFailed" if was == "CreationCompleted" else "CreationFailed"}
        if not done and was != "CreationCompleted":
            return {"state": "CreationInProgress"}
        arns = {
            f"{short}Arn": f"{REGION_ARN}:{what}/{name}"
            for short, what in (("endpoint", "endpoint"), ("config", "endpoint-config"), ("model", "model"))
        }
        return {"state": "CreationCompleted", **arns}

    def _put(self, kind: str, found: Object, status: Object) -> None:
        if (found.get("status") or {}) != status:
            self.cluster.put_status(kind, found, status)


def deadline(found: Object) -> int:
    return found["spec"].get("maxDeployTimeInSeconds", 3600)


def endpoint_name(found: Object) -> str:
    spec = found["spec"]
    return spec.get("endpointName") or (spec.get("sageMakerEndpoint") or {}).get("name") or ""


def container_port(found: Object) -> int:
    return ((found["spec"].get("worker") or {}).get("modelInvocationPort") or {}).get("containerPort", 8080)


def pod_spec(found: Object) -> dict[str, Any]:
    """The pod of an InferenceEndpointConfig's worker, or of a JumpStart model."""
    worker = found["spec"].get("worker") or {}
    port = {"containerPort": container_port(found), "name": "http", "protocol": "TCP"}
    container: dict[str, Any] = {
        "name": name_of(found)[:63], "image": worker.get("image", JUMPSTART_IMAGE), "ports": [port],
    }  # fmt: skip
    for ours, theirs in (
        ("args", "args"),
        ("command", "command"),
        ("environmentVariables", "env"),
        ("resources", "resources"),
    ):
        if worker.get(ours):
            container[theirs] = worker[ours]
    if found["kind"] == "JumpStartModel":
        gpus = {"nvidia.com/gpu": "1"}
        container |= {"resources": {"limits": gpus, "requests": gpus}}
    return {"containers": [container]}
