"""What the hub's lists show, from the portal's rows (document 000, section 7)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from clusters.models import AwsPlace, Cluster, Node
from clusters.services import why_not_deployable
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from endpoints.services.specs import namespace_of
from models_catalog.choices import ArtifactKind
from models_catalog.models import CatalogModel

from .schemas import HYPERPOD, NOT_FINE_TUNED, SAGEMAKER, ClusterOut, EndpointOut, NodeOut
from .wish import JOB
from .words import ENDPOINT, cluster_word


def target_of(place: Cluster) -> str:
    """The hub knows two; other kinds of place are told by their own name."""
    return {ClusterKind.HYPERPOD: HYPERPOD, ClusterKind.SAGEMAKER: SAGEMAKER}.get(ClusterKind(place.kind), place.kind)


def cluster_id(place: Cluster) -> str:
    """What the hub's calls name a HyperPod cluster by; see `services.cluster_of`."""
    return str(place.uid)


def endpoint_out(row: Endpoint) -> EndpointOut:
    spec: dict[str, Any] = row.wanted.spec if row.wanted else {}
    options = spec.get("options", {})
    artifact = spec.get("artifact", {})
    model = row.wanted.profile.model if row.wanted else None
    return EndpointOut(
        job_id=job_of(model), endpoint_name=row.name, model_name=model.name if model else "", engine=spec.get("engine", ""),
        enable_lora=bool(spec.get("arguments", {}).get("enable-lora")),
        instance_type=options.get("instanceType") or options.get("InstanceType") or "", instance_count=row.replicas_now,
        model_s3_path=artifact.get("location", "") if artifact.get("kind") == ArtifactKind.S3 else "",
        endpoint_status=ENDPOINT[row.status], endpoint_create_time=row.created_at,
        extra_config=json.dumps(_extra_config(row)), deployment_target=target_of(row.cluster),
        hyperpod_cluster_id=cluster_id(row.cluster) if row.cluster.kind == ClusterKind.HYPERPOD else None)


def job_of(model: CatalogModel | None) -> str:
    sources: Iterable[Any] = model.sources if model else ()
    return next((text.removeprefix(JOB) for text in map(str, sources) if text.startswith(JOB)), NOT_FINE_TUNED)


def _extra_config(row: Endpoint) -> dict[str, Any]:
    if row.cluster.kind != ClusterKind.HYPERPOD:
        return {}
    aws = aws_of(row.cluster)
    return {"hyperpod_cluster_id": cluster_id(row.cluster), "eks_cluster_name": aws.eks_name if aws else "",
            "namespace": namespace_of(row), "replicas": row.replicas}


def aws_of(place: Cluster) -> AwsPlace | None:
    return getattr(place, "aws", None)


def cluster_out(place: Cluster) -> ClusterOut:
    """Keys are no operators, so the account's number in the ARN and AWS's own messages are not told."""
    aws = aws_of(place)
    status = cluster_word(aws.status if aws else "")
    return ClusterOut(
        cluster_id=cluster_id(place), cluster_name=(aws.hyperpod_name if aws else "") or place.name,
        eks_cluster_name=aws.eks_name if aws else "", hyperpod_cluster_arn=None, cluster_status=status,
        instance_groups=aws.instance_groups if aws else [], cluster_create_time=place.created_at,
        cluster_update_time=aws.looked_at if aws else None, error_message=why_not_deployable(place) or None,
        cluster_config=aws.features if aws else {}, ts=int(place.updated_at.timestamp() * 1000))


def node_out(node: Node) -> NodeOut:
    """The inventory counts GPUs that pods ask for, not whose pods: so no name of an endpoint is told."""
    return NodeOut(
        instance_id=node.instance_id or node.name,
        instance_status=node.instance_status or ("Running" if node.ready else "Failure"),
        instance_group_name=node.instance_group, instance_type=_type_of(node),
        private_dns_name=None, is_occupied=node.gpus_requested > 0, occupied_by=None)


def _type_of(node: Node) -> str | None:
    """By Kubernetes; of a machine that hasn't joined it yet, by its instance group."""
    labels = node.labels if isinstance(node.labels, dict) else {}
    aws = aws_of(node.cluster)
    groups = aws.instance_groups if aws else []
    group: dict[str, Any] = next((each for each in groups if each.get("InstanceGroupName") == node.instance_group), {})
    return labels.get("node.kubernetes.io/instance-type") or group.get("InstanceType")
