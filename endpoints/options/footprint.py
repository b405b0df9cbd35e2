"""What limits count of an endpoint, where its options ask for more than replicas of the profile. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusters.instances import instance_type

from .case import value_at
from .sagemaker import variants

ROLES = (("prefillSpec", "prefillAutoScaling"), ("decodingSpec", "decodingAutoScaling"))
# The operator's own bound where a role that scales names none (facts.md 1.5).
SCALED_TO = 5


def footprint(spec: Mapping[str, Any], most: int) -> tuple[int, int]:
    """Replicas and GPUs of a revision's spec with at most so many replicas."""
    resources, options = spec.get("resources", {}), spec.get("options", {})
    own = int(resources.get("gpus", 0)) * int(resources.get("nodes", 1))
    if "pdSpec" in options:
        roles = [_of_role(options["pdSpec"], *names) for names in ROLES]
        replicas, gpus = (sum(each) for each in zip(*roles, strict=True))
        return max(most, replicas), max(most * own, gpus)
    if {"InstanceType", "InstancePools", "Variants"} & options.keys():
        return _of_instances(options, own, most)
    return most, most * own


def _of_role(divided: Mapping[str, Any], role: str, scaling: str) -> tuple[int, int]:
    its = divided.get(role) or {}
    scaled = value_at(divided, f"autoScalingSpec.{scaling}")
    count = max(int(its.get("replicas", 1)), int(scaled.get("maxReplicaCount", SCALED_TO)) if scaled is not None else 0)
    limits = value_at(its, "resources.limits") or {}
    return count, count * sum(int(amount) for name, amount in limits.items() if "gpu" in name or "/mig-" in name)


def _of_instances(options: Mapping[str, Any], own: int, most: int) -> tuple[int, int]:
    """An instance is taken whole, whatever the profile asks of it; under a component its copies share instances."""
    listed = variants(options, most)
    if "InferenceComponent" in options:
        kept = int(value_at(options, "ManagedInstanceScaling.MinInstanceCount") or 0)
        return most, max(most * own, kept * _gpus_of(listed[0], own))
    # An autoscaler may bring each variant to its bound.
    counts = [max(int(each["InitialInstanceCount"]), most) for each in listed]
    return sum(counts), sum(count * _gpus_of(each, own) for count, each in zip(counts, listed, strict=True))


def _gpus_of(variant: Mapping[str, Any], own: int) -> int:
    """Of the largest type that it may run on; the profile's for one that we don't know."""
    names = [variant.get("InstanceType"), *(pool["InstanceType"] for pool in variant.get("InstancePools") or ())]
    known = [found.gpus if (found := instance_type(name)) else own for name in names if name]
    return max(known, default=own)
