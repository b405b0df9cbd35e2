"""What limits count of endpoints whose options ask for more than replicas of the profile."""

from __future__ import annotations

from typing import Any

import pytest

from endpoints.options.footprint import footprint

TWO, NONE = {"resources": {"gpus": 2, "nodes": 1}}, {"resources": {"gpus": 0}}
BIG = {"InstanceType": "ml.p5.48xlarge"}  # 8 GPUs


def role(replicas: int, gpus: int) -> dict[str, Any]:
    return {"replicas": replicas, "resources": {"limits": {"nvidia.com/gpu": gpus}}}


@pytest.mark.parametrize(("spec", "options", "most", "replicas", "gpus"), [
    (TWO, {}, 3, 3, 6), ({"resources": {"gpus": 2, "nodes": 2}}, {}, 1, 1, 4), ({}, {}, 3, 3, 0),
    (TWO, {"instanceType": "ml.p5.48xlarge"}, 3, 3, 6),
    (TWO, {"pdSpec": {"prefillSpec": role(4, 8), "decodingSpec": role(2, 4)}}, 1, 6, 40),
    (TWO, {"pdSpec": {"prefillSpec": role(1, 8), "decodingSpec": role(1, 8), "autoScalingSpec": {
        "prefillAutoScaling": {"maxReplicaCount": 10}, "decodingAutoScaling": {}}}}, 1, 15, 120),
    (TWO, {"pdSpec": {"prefillSpec": {"resources": {"limits": {"nvidia.com/mig-1g.10gb": "3"}}}, "decodingSpec": role(1, 1)}},
     1, 2, 4),
    (TWO, BIG, 3, 3, 24), (NONE, {"InstanceType": "ml.c7i.xlarge"}, 3, 3, 0), (TWO, {"InstanceType": "ml.new.xlarge"}, 3, 3, 6),
    (TWO, {"InstancePools": [{"InstanceType": "ml.g5.2xlarge"}, BIG]}, 2, 2, 16),
    (TWO, {**BIG, "Variants": [{"VariantName": "a", "InitialInstanceCount": 50}, {"VariantName": "b"}]}, 2, 52, 416),
    (TWO, {**BIG, "InferenceComponent": {}}, 3, 3, 6),
    (TWO, {**BIG, "InferenceComponent": {}, "ManagedInstanceScaling": {"MinInstanceCount": 5}}, 3, 3, 40),
])
def test_what_may_run_at_most_is_counted(
    spec: dict[str, Any], options: dict[str, Any], most: int, replicas: int, gpus: int,
) -> None:
    assert footprint({**spec, "options": options}, most) == (replicas, gpus)
