"""Endpoints on a simulated HyperPod cluster: the real services, target and driver; only operator and cluster are played."""

from __future__ import annotations

from typing import Any

from clusters.drivers import kube
from clusters.models import AwsAccount, AwsPlace, Cluster, KubernetesAccess
from clusters.states import ClusterKind
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.specs import namespace_of
from models_catalog.choices import ArtifactKind, EngineKind
from models_catalog.models import Artifact, EngineRelease, Profile
from tests.cast import GIB, Cast, make_model, make_profile
from tests.endpoints.kubernetes.cluster_play import until
from tests.simulators.kubernetes.server import Simulator

VERSION, IEC = "inference.sagemaker.aws.amazon.com/v1", "inferenceendpointconfigs"
JUMPSTART = "jumpstartmodels"
TYPE = "ml.p5.48xlarge"
OPTIONS = {"instanceType": TYPE}
IMAGE = "registry.example.org/vllm@sha256:" + "b" * 64
CAPABILITIES = {name: {"found": True} for name in ("hyperpod", "keda")}
GROUPS = [{"InstanceGroupName": "workers", "InstanceType": TYPE, "CurrentCount": 4, "TargetCount": 4, "Status": "InService"}]
Object = dict[str, Any]


def make_place(sim: Simulator, name: str = "pod", account: AwsAccount | None = None, **values: Any) -> Cluster:
    """`values` are of its AwsPlace. It is reached with the simulator's own token: signing in to EKS is tested elsewhere."""
    cluster = Cluster.objects.create(name=name, kind=ClusterKind.HYPERPOD)
    account = account or AwsAccount.objects.get_or_create(name="nobody-asks-it", defaults={"region": "us-west-2"})[0]
    AwsPlace.objects.create(cluster=cluster, account=account, **{
        "region": "us-west-2", "status": "InService", "instance_groups": GROUPS,
        "features": {"tiered_storage": True}, **values})
    access = KubernetesAccess(cluster=cluster, server=sim.url, ca=sim.ca_pem, capabilities=CAPABILITIES)
    access.put_secret("token", sim.admin_token)
    access.save()
    kube.forget(cluster)  # pk numbers come again after a roll-back
    return cluster


def make_hyperpod_profile(slug: str = "pod-model", kind: str = ArtifactKind.S3, location: str = "s3://models/small/",
                          engine: str = EngineKind.VLLM, **values: Any) -> Profile:
    """One GPU, weights in S3, an image that every node can pull."""
    made = make_profile(slug, make_model(slug, weights_bytes=GIB), gpus=1, gpu_memory_bytes=20 * GIB, **values)
    release, _made = EngineRelease.objects.get_or_create(slug=f"{engine}-pod", defaults={
        "kind": engine, "version": "0.32.0", "device": "cuda", "image": IMAGE})
    Artifact.objects.filter(pk=made.artifact_id).update(kind=kind, location=location)
    Profile.objects.filter(pk=made.pk).update(release=release)
    return Profile.objects.select_related("model", "artifact", "release").get(pk=made.pk)


def new_endpoint(cast: Cast, place: Cluster, name: str = "chat", **values: Any) -> Endpoint:
    profile = values.pop("profile", None) or Profile.objects.filter(slug="pod-model").first() or make_hyperpod_profile()
    values["options"] = {**OPTIONS, **values.get("options", {})}
    return services.create(cast.actor("alice"), cast.alpha, name=name, cluster=place, profile=profile, **values)


def config(sim: Simulator, endpoint: Endpoint, name: str = "", plural: str = IEC) -> Object:
    """The operator's object of the endpoint."""
    found: Object = sim.client().get(VERSION, plural, namespace_of(endpoint), name or endpoint.external_name)
    return found


def pods(sim: Simulator, endpoint: Endpoint) -> list[Object]:
    return [pod for pod in sim.client().list("v1", "pods", namespace_of(endpoint))
            if pod["metadata"]["labels"].get("app") == endpoint.external_name]


def left_over(sim: Simulator, endpoint: Endpoint) -> list[str]:
    """Every object that still carries the endpoint's label, what the operator made of it, and its pods."""
    client, namespace, label = sim.client(), namespace_of(endpoint), f"inference-portal/endpoint={endpoint.uid}"
    kinds = [(VERSION, IEC), (VERSION, JUMPSTART), ("v1", "services"), ("v1", "secrets"), ("v1", "serviceaccounts"),
             ("networking.k8s.io/v1", "networkpolicies")]
    ours = [f"{plural} {each['metadata']['name']}" for version, plural in kinds
            for each in client.list(version, plural, namespace, labelSelector=label)]
    return ours + [f"pods {pod['metadata']['name']}" for pod in pods(sim, endpoint)]


__all__ = ["until"]
