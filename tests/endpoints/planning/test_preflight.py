"""What would stop a deployment, found before any object is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from clusters.units import GIB
from endpoints.planning.facts import ClaimView, Facts, NodeView
from endpoints.planning.preflight import needs_of, preflight, why_not
from endpoints.targets.base import (
    Autoscale,
    Check,
    ModelFacts,
    Placement,
    Resources,
    RevisionSpec,
    Spec,
    Trigger,
    Weights,
)
from models_catalog.sizing import Shape

# Llama-3.1-8B: 32 layers, 8 of 32 heads keep keys, 131,072 bytes a token (facts.md 7.8).
SHAPE = Shape(heads=32, kv_heads=8, per_token=131_072)
NODE = NodeView("gpu-a", True, True, {"zone": "a"}, (), 90_000, 900 * GIB, 8, 8, "NVIDIA-H200", 140 * GIB)
REVISION = RevisionSpec(
    number=1, engine="vllm", release="vllm-0.32.0", device="cuda", task="chat", artifact_kind="huggingface",
    artifact_location="org/model", artifact_revision="", arguments={"max-model-len": 8192}, environment={},
    resources=Resources(4000, 32 * GIB, gpus=1), start_seconds=900, image="vllm/vllm-openai@sha256:0", weights_bytes=16 * 10**9)
SPEC = Spec(uid=UUID(int=1), name="chat", external_name="chat-0123456789", workspace="team", cluster_id=1,
            public_name="chat", generation=1, replicas=1, wanted=REVISION, namespace="ip-team-0")
FACTS = Facts(nodes=(NODE,), model=ModelFacts(SHAPE, 131_072), storage_classes=("standard",),
              default_storage_class="standard", capabilities=frozenset({"keda", "lws"}))
SCALER = Autoscale(1, 3, (Trigger("cpu", {"value": "60"}),))


def revised(**changes: Any) -> Spec:
    return replace(SPEC, wanted=replace(REVISION, **changes))


def of(spec: Spec, facts: Facts, name: str) -> Check:
    return next(check for check in preflight(spec, facts) if check.name == name)


def test_a_sound_deployment_is_green_throughout() -> None:
    assert {check.name: check.ok for check in preflight(SPEC, FACTS)} == {
        "cluster": True, "name": True, "image": True, "memory": True, "room": True, "storage": True}


BROKEN: list[tuple[str, Spec, Facts, str, str]] = [
    ("cluster", SPEC, replace(FACTS, reachable=False, unreachable_why="timeout"), "cluster", "timeout"),
    ("rights", SPEC, replace(FACTS, missing_rights=("patch statefulsets.apps",)), "cluster", "lacks rights"),
    ("name", replace(SPEC, external_name="x" * 51), FACTS, "name", "51 characters"),
    ("image", revised(image=""), FACTS, "image", "no container image"),
    ("image of a region", revised(image="763104351884.dkr.ecr.{region}.amazonaws.com/vllm:1"), FACTS, "image", "your region"),
    ("token", SPEC, replace(FACTS, model=ModelFacts(SHAPE, 131_072, gated=True)), "token", "gated"),
    ("lws", revised(resources=Resources(1, 1, gpus=8, nodes=2)), replace(FACTS, capabilities=frozenset()),
     "controllers", "LeaderWorkerSet"),
    ("keda", replace(SPEC, autoscale=SCALER), replace(FACTS, capabilities=frozenset()), "controllers", "KEDA"),
    ("simulated", SPEC, replace(FACTS, nodes=(replace(NODE, simulated=True),)), "simulated", "crash"),
    ("memory", revised(weights_bytes=140 * 10**9), FACTS, "memory", "does not fit"),
    ("not ready", SPEC, replace(FACTS, nodes=(replace(NODE, ready=False),)), "room", "No node"),
    ("two replicas, one GPU", replace(SPEC, replicas=2), replace(FACTS, nodes=(replace(NODE, gpus_free=1),)), "room", "1 of 2"),
    ("quota", replace(SPEC, replicas=3), replace(FACTS, quota_left={"requests.nvidia.com/gpu": 2}), "quota", "too little"),
    ("quota of the autoscaler's most", replace(SPEC, autoscale=SCALER), replace(FACTS, quota_left={"pods": 2}), "quota", "too"),
]


@pytest.mark.parametrize(("spec", "facts", "name", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_each_broken_precondition_is_red_and_says_so(spec: Spec, facts: Facts, name: str, words: str) -> None:
    first = preflight(spec, facts)[0]
    assert first.ok is False
    check = of(spec, facts, name)
    assert check.ok is False
    assert words in check.sentence


WHY: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, ""),
    ({"schedulable": False}, {}, "is cordoned"),
    ({}, {"placement": Placement(node_selector={"zone": "b"})}, "lacks the label zone=b"),
    ({"taints": ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},)}, {}, "has the taint nvidia.com/gpu, "
     "which the profile does not tolerate"),
    ({"taints": ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},)},
     {"placement": Placement(tolerations=({"key": "nvidia.com/gpu", "operator": "Exists"},))}, ""),
    ({"taints": ({"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"},)},
     {"placement": Placement(tolerations=({"key": "nvidia.com/gpu", "operator": "Equal", "value": "present"},))},
     "has the taint nvidia.com/gpu, which the profile does not tolerate"),
    ({"taints": ({"key": "x", "effect": "PreferNoSchedule"},)}, {}, ""),
    ({"gpus_free": 0}, {}, "GPU: 1 wanted, 0 free"),
    ({"cpu_free": 500}, {}, "CPU: 4 wanted, 0.5 free"),
    ({"memory_free": GIB}, {}, "memory: 32.0 GiB wanted, 1.0 GiB free"),
]


@pytest.mark.parametrize(("node", "revision", "why"), WHY)
def test_a_node_says_what_keeps_a_pod_out(node: dict[str, Any], revision: dict[str, Any], why: str) -> None:
    assert why_not(replace(REVISION, **revision), replace(NODE, **node)) == why


def test_the_sum_is_shown_with_the_models_own_figures() -> None:
    lines = of(SPEC, FACTS, "memory").lines
    assert lines[0] == "Weights on each GPU: 14.9 GiB"
    assert lines[1] == "Cache for one full-length call: 1.0 GiB"  # 8192 tokens, facts.md 7.8
    assert lines[3].endswith("of 128.8 GiB that the engine may take of 140.0 GiB")


def test_code_that_comes_with_weights_is_warned_of_where_the_engine_runs_it() -> None:
    assert "code" not in {check.name for check in preflight(SPEC, FACTS)}
    warned = of(revised(engine="lmi", artifact_kind="s3", artifact_location="s3://models/small/"), FACTS, "code")
    assert warned.ok is None
    assert "model.py" in warned.sentence


def test_a_copy_of_the_weights_needs_no_token() -> None:
    spec = revised(weights=Weights("copy"))
    names = {check.name for check in preflight(spec, replace(FACTS, model=ModelFacts(SHAPE, 131_072, gated=True)))}
    assert "token" not in names


COPY = {"weights": Weights("copy", "folder")}
VOLUME = {"artifact_kind": "volume", "artifact_location": "pvc://models/llama"}
BOUND = ClaimView(True, 40 * GIB, "Bound", "nfs")
SMALL = (replace(NODE, disk=20 * GIB, disk_free=20 * GIB),)
# What the revision has, what the cluster has, whether it may go, its sentence, and the last line of the sum.
STORAGE: list[tuple[dict[str, Any], dict[str, Any], bool | None, str, str]] = [
    ({}, {}, True, "node's disk, 22.9 GiB of it", "A preheated copy would take 18.9 GiB of storage class standard"),
    ({}, {"default_storage_class": ""}, True, "anew when it comes again", "18.9 GiB; name a storage class"),
    ({}, {"storage_classes": ()}, True, "node's disk", "need a storage class, and the cluster has none"),
    ({}, {"storage_classes": None}, True, "node's disk", "Compiled kernels and caches: 5.0 GiB"),
    ({}, {"quota_left": {"requests.storage": 10 * GIB}}, True, "node's disk", "the namespace's quota leaves 10.0 GiB"),
    ({}, {"nodes": SMALL}, False, "needs 22.9 GiB there; the largest node has 20.0 GiB", "standard"),
    ({}, {"nodes": (*SMALL, replace(NODE, disk=90 * GIB))}, True, "22.9 GiB", "standard"),
    ({"weights_bytes": 0}, {}, None, "size is not known", ""),
    (COPY, {"nodes": SMALL}, True, "from the claim copy", ""),
    (COPY, {"claim": BOUND}, True, "from the claim copy", "Weights: 14.9 GiB"),
    (COPY, {"claim": ClaimView(False)}, True, "claim copy is made with them", ""),
    (VOLUME, {"claim": ClaimView(False)}, False, "no claim models in namespace ip-team-0", ""),
    (VOLUME, {"claim": replace(BOUND, phase="Lost")}, False, "is gone", "Weights"),
    (VOLUME, {"claim": replace(BOUND, size=10 * GIB)}, False, "too small", "Weights: 14.9 GiB"),
    (VOLUME, {"claim": replace(BOUND, size=0, phase="Pending")}, None, "no volume yet", "Weights"),
    (VOLUME, {"claim": replace(BOUND, on_one_node=True)}, True, "from the claim models", "Weights"),
    ({**VOLUME, "resources": Resources(4000, 32 * GIB, gpus=1, nodes=2)}, {"claim": replace(BOUND, on_one_node=True)}, None,
     "One node at a time", "Weights"),
]


@pytest.mark.parametrize(("revision", "facts", "ok", "words", "last"), STORAGE)
def test_where_the_weights_will_lie_and_whether_they_fit_there(
    revision: dict[str, Any], facts: dict[str, Any], ok: bool | None, words: str, last: str,
) -> None:
    check = of(revised(**revision), replace(FACTS, **facts), "storage")
    assert check.ok is ok
    assert words in check.sentence
    assert last in (check.lines[-1] if check.lines else "")


def test_the_claim_itself_is_named_with_its_size_and_class() -> None:
    lines = of(revised(**VOLUME), replace(FACTS, claim=BOUND), "storage").lines
    assert lines[0] == "Claim models: 40.0 GiB of storage class nfs"


@pytest.mark.parametrize(("name", "left", "fits"), [
    ("requests.ephemeral-storage", 45 * GIB, False), ("limits.ephemeral-storage", 46 * GIB, True),
    ("limits.memory", 63 * GIB, False), ("requests.storage", 0, True), ("services.nodeports", -1, True),
])
def test_a_quota_on_what_pods_write_counts_too(name: str, left: int, fits: bool) -> None:
    """Two pods of 22.9 GiB and 32 GiB of memory each; an endpoint makes no claim."""
    assert of(replace(SPEC, replicas=2), replace(FACTS, quota_left={name: left}), "quota").ok is fits


def test_a_node_without_room_for_the_weights_takes_no_pod() -> None:
    narrow = replace(NODE, disk=90 * GIB, disk_free=20 * GIB)
    assert why_not(REVISION, narrow) == "disk: 22.9 GiB wanted, 20.0 GiB free"
    assert why_not(replace(REVISION, **COPY), narrow) == ""
    assert needs_of(revised(weights_bytes=0))["requests.ephemeral-storage"] == 0


ECR = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/vllm@sha256:0"


@pytest.mark.parametrize(("values", "ok", "words"), [
    ({"image": ECR}, None, "763104351884.dkr.ecr.eu-west-1.amazonaws.com seldom gives an image without a login"),
    ({"image": "nvcr.io/nvidia/vllm:1"}, None, "release vllm-0.32.0 has none"),
    ({"image": ECR, "registry_user": "AWS", "registry_password": "hidden-7"}, True, "log in to 763104351884.dkr.ecr"),
    ({"registry_user": "robot", "registry_password": "hidden-7"}, True, "log in to docker.io as robot"),
])
def test_a_registry_that_asks_for_a_login_is_pointed_out(values: dict[str, Any], ok: bool | None, words: str) -> None:
    check = of(revised(**values), FACTS, "login")
    assert check.ok is ok
    assert words in check.sentence
    assert "hidden-7" not in str(check)


def test_a_public_image_needs_no_word_about_logins() -> None:
    assert "login" not in {check.name for check in preflight(SPEC, FACTS)}


def test_a_tag_and_an_unknown_inventory_are_marked_but_do_not_stop() -> None:
    checks = preflight(revised(image="vllm:latest"), replace(FACTS, nodes=()))
    assert {check.name: check.ok for check in checks if check.name in ("image", "room")} == {"image": None, "room": None}
