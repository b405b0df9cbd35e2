"""What the HyperPod operator makes of its objects, and what its webhook refuses. Pure.

Names, labels and states as github.com/aws/sagemaker-hyperpod-cli and llm_model_hub show them (facts.md 1.2 to 1.12); the
wording of refusals and the sidecar's image are not documented, so they are made up.
"""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.errors import ApiError

from ..base import Object, annotations_of, name_of, namespace_of, owner_reference, present

GROUP = "inference.sagemaker.aws.amazon.com"
API_VERSION = f"{GROUP}/v1"
SYSTEM = "hyperpod-inference-system"
JUMPSTART_IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/djl-inference:latest"
SIDECAR = "sidecar-reverse-proxy"
REGION_ARN = "arn:aws:sagemaker:us-west-2:123456789012"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
PLACEMENTS = ("instanceType", "instanceTypes", "nodeAffinity")
CERTIFICATES = "hyperpod-tls"


def refusal(obj: Object, old: Object | None) -> str:
    """Why the operator's webhook does not admit it; "" where it does."""
    spec, before = obj.get("spec") or {}, ((old or {}).get("spec") or {}).get("intelligentRoutingSpec")
    given = [name for name in PLACEMENTS if spec.get(name)]
    if len(given) > 1:
        return f"spec.{given[0]} and spec.{given[1]} are mutually exclusive"
    if spec.get("kvCacheSpec") and "sglang" in str((spec.get("worker") or {}).get("image", "")).lower():
        return "kvCacheSpec is supported for vLLM only"
    routing = spec.get("intelligentRoutingSpec")
    if old is not None and routing and not before:
        return "intelligentRoutingSpec is not supported for existing deployments"
    if before and (routing or {}).get("enabled", False) != before.get("enabled", False):
        return "intelligentRoutingSpec.enabled can't be modified once it is set"
    return ""


def denied(obj: Object, why: str) -> ApiError:
    hook = f"v{obj['kind'].lower()}.kb.io"
    return ApiError(403, "Forbidden", f'admission webhook "{hook}" denied the request: {why}')


def impossible(found: Object) -> str:
    """Names that the operator derives and the API server would not take; they show as a failed deployment."""
    name, namespace = name_of(found), namespace_of(found)
    derived = [f"prefetch-{name}-inf"]
    if is_routed(found):
        derived += [f"{name}-{namespace}-router", f"alb-{name}-{namespace}"]
    long = next((each for each in derived if len(each) > 63), "")
    return f'Invalid value: "{long}": must be no more than 63 characters' if long else ""


def is_routed(found: Object) -> bool:
    return bool((found["spec"].get("intelligentRoutingSpec") or {}).get("enabled"))


def deadline(found: Object) -> int:
    return found["spec"].get("maxDeployTimeInSeconds", 3600)


def endpoint_name(found: Object) -> str:
    spec = found["spec"]
    return spec.get("endpointName") or (spec.get("sageMakerEndpoint") or {}).get("name") or ""


def container_port(found: Object) -> int:
    return ((found["spec"].get("worker") or {}).get("modelInvocationPort") or {}).get("containerPort", 8080)


def pod_labels(found: Object) -> dict[str, str]:
    return {"app": name_of(found), "deploying-service": "hyperpod-inference"}


def deployments(found: Object) -> dict[str, tuple[int, Object]]:
    """Replicas and pods by the Deployment's name: one, or two where prefill and decode are apart."""
    spec, whole = found["spec"], template(found)
    if not spec.get("pdSpec"):
        return {name_of(found): (spec.get("replicas", 1), whole)}
    made = {}
    for role, key in (("prefill", "prefillSpec"), ("decode", "decodingSpec")):
        part = spec["pdSpec"][key]
        labels = {**whole["metadata"]["labels"], "role": role}
        containers = [_of_part(each, part) if each["name"] != SIDECAR else each for each in whole["spec"]["containers"]]
        pod = {"metadata": {**whole["metadata"], "labels": labels}, "spec": {**whole["spec"], "containers": containers}}
        made[f"{name_of(found)}-{role}"] = (part.get("replicas", 1), pod)
    return made


def _of_part(engine: Object, part: Object) -> Object:
    more = {"resources": part["resources"]} if part.get("resources") else {}
    return {**engine, "args": [*engine.get("args", []), *part.get("args", [])], **more}


def template(found: Object) -> Object:
    """The pods: the engine, and the sidecar that collects figures beside it."""
    notes = {key: value for key, value in annotations_of(found).items() if key.startswith(("test.kubelet/", "simulator/"))}
    kubernetes = found["spec"].get("kubernetes") or {}
    taken = {key: kubernetes[key] for key in ("serviceAccountName", "schedulerName", "volumes") if key in kubernetes}
    metered = (found["spec"].get("metrics") or {}).get("enabled", True)
    sidecar = [{"name": SIDECAR, "image": "sidecar:1", "ports": [{"containerPort": 8081}]}] if metered else []
    return {
        "metadata": {"labels": pod_labels(found), **present(annotations=notes or None)},
        "spec": {**taken, **_affinity(found["spec"]), "containers": [*sidecar, _engine(found)]},
    }


def _affinity(spec: Object) -> Object:
    types = spec.get("instanceTypes") or [
        each for each in (spec.get("instanceType"), (spec.get("server") or {}).get("instanceType")) if each]
    if not types:
        return {"affinity": {"nodeAffinity": spec["nodeAffinity"]}} if spec.get("nodeAffinity") else {}
    wanted = [{"key": INSTANCE_TYPE, "operator": "In", "values": types}]
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": wanted}]}}}}


def _engine(found: Object) -> Object:
    """The container of an InferenceEndpointConfig's worker, or of a JumpStart model."""
    worker, spec = found["spec"].get("worker") or {}, found["spec"]
    port = {"containerPort": container_port(found), "name": "http", "protocol": "TCP"}
    container: dict[str, Any] = {"name": name_of(found)[:63], "image": worker.get("image", JUMPSTART_IMAGE), "ports": [port]}
    if found["kind"] == "JumpStartModel":
        gpus = {"nvidia.com/gpu": "1"}
        return {**container, "env": spec.get("environmentVariables") or [], "resources": {"limits": gpus, "requests": gpus}}
    named = {"args": "args", "command": "command", "environmentVariables": "env", "resources": "resources",
             "workingDir": "workingDir"}  # fmt: skip
    container |= {theirs: worker[ours] for ours, theirs in named.items() if worker.get(ours)}
    readiness = {"httpGet": {"path": "/ping", "port": container_port(found)}, "timeoutSeconds": 1}
    return {**container, "readinessProbe": readiness, **(worker.get("probes") or {})}


def scaled_object(found: Object) -> Object | None:
    """What KEDA gets of an autoScalingSpec; it scales the operator's object itself."""
    wish = found["spec"].get("autoScalingSpec")
    if not wish:
        return None
    clouds = wish.get("cloudWatchTriggerList") or list(filter(None, [wish.get("cloudWatchTrigger")]))
    metrics = wish.get("prometheusTriggerList") or list(filter(None, [wish.get("prometheusTrigger")]))
    triggers = [_trigger("aws-cloudwatch", "targetMetricValue", each) for each in clouds]
    triggers += [_trigger("prometheus", "threshold", each) for each in metrics]
    if not triggers:
        return None
    behaviour = {"scaleUp": {"stabilizationWindowSeconds": wish["scaleUpStabilizationTime"]},
                 "scaleDown": {"stabilizationWindowSeconds": wish["scaleDownStabilizationTime"]}}  # fmt: skip
    return {
        "metadata": {"name": f"keda-{name_of(found)}", "namespace": namespace_of(found), "ownerReferences": [owner(found)]},
        "spec": {
            "scaleTargetRef": {"apiVersion": API_VERSION, "kind": found["kind"], "name": name_of(found)},
            "minReplicaCount": wish["minReplicaCount"], "maxReplicaCount": wish["maxReplicaCount"],
            "pollingInterval": wish["pollingInterval"], "cooldownPeriod": wish["cooldownPeriod"],
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behaviour}}, "triggers": triggers,
        },
    }


def _trigger(type_: str, target: str, said: Object) -> Object:
    texts = {key: str(said[key]) for key in ("namespace", "metricName", "query", "serverAddress") if said.get(key)}
    return {"type": type_, "metadata": {**texts, target: f"{said.get('targetValue', 1):g}"}}


def owner(found: Object) -> Object:
    return owner_reference(found, API_VERSION, found["kind"])


def router(found: Object) -> Object:
    name = f"{name_of(found)}-{namespace_of(found)}-router"
    labels = {"app": name}
    container = {"name": "router", "image": "router:1", "ports": [{"containerPort": 8000}]}
    return {"metadata": {"name": name, "namespace": SYSTEM, "labels": labels}, "spec": {
        "replicas": 1, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}}  # fmt: skip


def ingress(found: Object) -> Object:
    name = f"alb-{name_of(found)}-{namespace_of(found)}"
    service = {"service": {"name": f"{name_of(found)}-{namespace_of(found)}-router", "port": {"number": 8000}}}
    notes = {"alb.ingress.kubernetes.io/scheme": "internal"}
    path = {"path": "/", "pathType": "Prefix", "backend": service}
    return {"metadata": {"name": name, "namespace": SYSTEM, "annotations": notes},
            "spec": {"ingressClassName": "alb", "rules": [{"http": {"paths": [path]}}]}}  # fmt: skip


def certificate(found: Object, host: str) -> Object:
    """The operator's own certificate for the load balancer, whose PEM it puts into S3."""
    own = (found["spec"].get("tlsConfig") or {}).get("customCertificateConfig")
    if own:
        return {"certificateARN": own["acmArn"], "certificateDomainNames": [own["domainName"]], "certificateHealth": "Valid"}
    return {
        "certificateARN": "arn:aws:acm:us-west-2:123456789012:certificate/00000000-0000-4000-8000-000000000000",
        "certificateDomainNames": [host], "certificateHealth": "Valid", "certificateName": f"{name_of(found)}-cert",
        "issuerName": f"{name_of(found)}-issuer", "tlsCertificateOutputS3Bucket": CERTIFICATES,
        "tlsCertificateS3Keys": [f"certs/{namespace_of(found)}/{name_of(found)}/ca.pem"],
    }  # fmt: skip
