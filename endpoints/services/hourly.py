"""What endpoints cost in an hour as they are wished now, by the price book; only AWS sells its machines by the hour."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from clusters.instances import hourly_cost, instance_type
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from endpoints.options.sagemaker import variants
from endpoints.states import Wish


def cost_per_hour(endpoint: Endpoint, region: str) -> Decimal | None:
    """In the currency of the price book; None where a price is missing or nobody sends a bill by the hour. Reads no row."""
    kind = endpoint.cluster.kind
    if kind not in (ClusterKind.SAGEMAKER, ClusterKind.HYPERPOD) or endpoint.wanted is None:
        return None
    if endpoint.wish != Wish.RUNNING:
        return Decimal(0)
    spec = endpoint.wanted.spec
    if kind == ClusterKind.SAGEMAKER:
        return _of_instances(spec, region, endpoint.replicas_now)
    return _of_gpus(spec, region, endpoint.replicas_now)


def _of_instances(spec: Mapping[str, Any], region: str, replicas: int) -> Decimal | None:
    """SageMaker's instances are paid whole; of pools the dearest."""
    total = Decimal(0)
    for each in variants(spec.get("options", {}), replicas):
        names = [each.get("InstanceType"), *(pool["InstanceType"] for pool in each.get("InstancePools") or ())]
        costs = [hourly_cost(name, region, int(each["InitialInstanceCount"])) for name in names if name]
        known = [cost.per_hour for cost in costs if cost is not None]
        if not known:
            return None
        total += max(known)
    return total


def _of_gpus(spec: Mapping[str, Any], region: str, replicas: int) -> Decimal | None:
    """HyperPod's machines cost as much without it: its part of them, by GPUs."""
    options, resources = spec.get("options", {}), spec.get("resources", {})
    name = options.get("instanceType") or (options.get("server") or {}).get("instanceType") or next(
        iter(options.get("instanceTypes") or ()), "")
    machine, gpus = instance_type(name) if name else None, int(resources.get("gpus", 0)) * int(resources.get("nodes", 1))
    whole = hourly_cost(name, region, 1) if machine is not None else None
    if machine is None or whole is None or not machine.gpus or not gpus:
        return None
    return whole.per_hour * gpus * replicas / machine.gpus
