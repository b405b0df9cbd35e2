"""The sum of memory that pages draw, and how long a start takes by the size of the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clusters.states import ClusterKind
from clusters.units import GIB
from endpoints.planning.memory import cpu_sum, gpu_sum
from endpoints.planning.starting import estimated_start
from endpoints.targets.base import ModelFacts, Resources, RevisionSpec
from models_catalog.choices import ArtifactKind
from models_catalog.sizing import Shape

SHAPE = Shape(heads=32, kv_heads=8, per_token=147_456)
FACTS = ModelFacts(SHAPE, 32_768)
REVISION = RevisionSpec(
    number=1, engine="vllm", release="vllm-0.32.0", device="cuda", task="chat", artifact_kind=ArtifactKind.HUGGING_FACE,
    artifact_location="acme/chat", artifact_revision="", arguments={}, environment={}, start_seconds=900,
    resources=Resources(1000, 8 * GIB, gpus=1), weights_bytes=16 * GIB)


def test_the_parts_of_a_gpu_add_up() -> None:
    found = gpu_sum(REVISION, FACTS, "L40S", 45 * GIB, 3 * GIB)
    assert found is not None
    assert found.usable == found.weights + found.overhead + found.room
    assert (found.fits, found.short, found.context, found.taken) == (True, 0, 32_768, 3 * GIB)
    assert found.tokens == pytest.approx(found.room / SHAPE.per_token, rel=0.01)
    assert found.calls == found.tokens / 32_768


@pytest.mark.parametrize(("total", "fits", "tight"), [(80, True, False), (27, True, True), (20, False, False)])
def test_a_second_call_that_must_wait_makes_it_tight(total: int, fits: bool, tight: bool) -> None:
    found = gpu_sum(REVISION, FACTS, "", total * GIB)
    assert found is not None
    assert (found.fits, found.is_tight, found.short > 0) == (fits, tight, not fits)


def test_a_replica_that_claims_a_part_of_a_gpu_is_held_to_it() -> None:
    part = replace(REVISION, resources=replace(REVISION.resources, gpu_memory_bytes=40 * GIB))
    whole, held = gpu_sum(part, FACTS, "", 80 * GIB), gpu_sum(part, FACTS, "", 80 * GIB, in_part=True)
    assert whole is not None
    assert held is not None
    assert whole.usable == int(80 * GIB * 0.92)
    assert held.usable == pytest.approx(38 * GIB, rel=0.001)
    said = replace(part, arguments={"gpu-memory-utilization": 0.8})
    by_argument = gpu_sum(said, FACTS, "", 80 * GIB, in_part=True)
    assert by_argument is not None
    assert by_argument.usable == int(80 * GIB * 0.8)


def test_in_a_machine_the_profile_says_what_is_usable() -> None:
    small = replace(REVISION, weights_bytes=2 * GIB, environment={"VLLM_CPU_KVCACHE_SPACE": "4"},
                    arguments={"max-model-len": 4096}, resources=Resources(1000, 9 * GIB))
    found = cpu_sum(small, FACTS, "rack-7", 64 * GIB)
    assert found is not None
    assert (found.usable, found.is_cpu, found.context, found.fits) == (9 * GIB, True, 4096, True)
    assert found.tokens == pytest.approx(4 * GIB / SHAPE.per_token, rel=0.01)


@pytest.mark.parametrize("unknown", [(REVISION, ModelFacts(None, 4096)), (replace(REVISION, weights_bytes=0), FACTS)])
def test_what_is_not_known_is_not_drawn(unknown: tuple[RevisionSpec, ModelFacts]) -> None:
    assert gpu_sum(*unknown, "", 80 * GIB) is None
    assert cpu_sum(*unknown, "", 80 * GIB) is None


@pytest.mark.parametrize(("kind", "artifact", "near", "seconds"), [
    (ClusterKind.HOSTS, ArtifactKind.HUGGING_FACE, False, 60 + 10 + 100),
    (ClusterKind.HOSTS, ArtifactKind.LOCAL_PATH, False, 60 + 10),
    (ClusterKind.KUBERNETES, ArtifactKind.HUGGING_FACE, True, 60 + 10),
    (ClusterKind.SAGEMAKER, ArtifactKind.S3, False, 60 + 10 + 100 + 240),
])
def test_a_start_takes_as_long_as_its_weights_are_large(kind: str, artifact: str, near: bool, seconds: int) -> None:
    revision = replace(REVISION, artifact_kind=artifact, weights_bytes=10_000_000_000)
    assert estimated_start(revision, kind, is_near=near) == seconds
