"""What is sent, what a look means, and how far a loader is: tables for the pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from clusters.units import GIB
from models_catalog.choices import ArtifactKind
from models_catalog.preheating.judge import judge
from models_catalog.preheating.progress import Progress, progress_in
from models_catalog.preheating.render import quantity, render
from models_catalog.preheating.seen import Claim, Dataset, Job, Seen
from models_catalog.preheating.source import dataset_source, secret_data
from models_catalog.preheating.view import CopyView
from models_catalog.states import CopyCause, CopyMethod, CopyState, allowed

UID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
SHARED = CopyView(
    uid=UID, method=CopyMethod.DATASET, name="qwen3-0-6b", namespace="public", model="qwen3-0-6b", kind=ArtifactKind.HTTP,
    location="https://models.example.com/model/qwen3-06b/", revision="", size_bytes=3 * GIB, access_mode="ReadWriteMany",
    storage_class="nfs-csi")
OWN = replace(SHARED, method=CopyMethod.JOB, name="qwen3-0-6b-0123456789", namespace="ip-alpha", kind=ArtifactKind.HUGGING_FACE,
              location="Qwen/Qwen3-0.6B", revision="c" * 40, image="vllm/vllm-openai-cpu:v0.32.0")


def kinds(copy: CopyView) -> list[str]:
    return [each["kind"] for each in render(copy)]


def test_the_dataset_is_the_one_of_the_hydra_guide_with_its_traps_mended() -> None:
    """Size set, no options without a meaning, copy instead of sync (facts.md 8, traps 27, 28, 30)."""
    assert render(SHARED) == [{
        "apiVersion": "dataset.baizeai.io/v1alpha1", "kind": "Dataset",
        "metadata": {"name": "qwen3-0-6b", "namespace": "public", "labels": {
            "app.kubernetes.io/managed-by": "inference-portal", "inference-portal/copy": str(UID),
            "hydra.io/model-id": "qwen3-0-6b"}},
        "spec": {
            "dataSyncRound": 1, "share": True,
            "source": {"type": "HTTP", "uri": "https://models.example.com/model/qwen3-06b/", "options": {"syncMode": "copy"}},
            "mountOptions": {"uid": 1000, "gid": 1000, "mode": "0774", "path": "/"},
            "volumeClaimTemplate": {"spec": {"storageClassName": "nfs-csi", "accessModes": ["ReadWriteMany"],
                                             "resources": {"requests": {"storage": "3Gi"}}}},
        },
    }]


@pytest.mark.parametrize(("kind", "location", "type_", "uri", "options"), [
    (ArtifactKind.HUGGING_FACE, "Qwen/Qwen3-0.6B", "HUGGING_FACE", "huggingface://Qwen/Qwen3-0.6B", {"repoType": "MODEL"}),
    (ArtifactKind.S3, "s3://models/qwen3/", "S3", "s3://models/qwen3/", {"syncMode": "copy"}),
    (ArtifactKind.VOLUME, "nfs://files.example/qwen3", "NFS", "nfs://files.example/qwen3", {}),
    (ArtifactKind.VOLUME, "pvc://models/qwen3", "PVC", "pvc://models/qwen3", {}),
])
def test_each_kind_of_artifact_has_its_source(
    kind: ArtifactKind, location: str, type_: str, uri: str, options: dict[str, str],
) -> None:
    source = dataset_source(kind, location, "")
    assert (source.type, source.uri, source.options) == (type_, uri, options)


def test_what_a_dataset_does_otherwise_than_one_may_expect_is_noted() -> None:
    assert "main branch" in dataset_source(ArtifactKind.HUGGING_FACE, "a/b", "c" * 40).notes[0]
    assert dataset_source(ArtifactKind.HUGGING_FACE, "a/b", "").notes == ()
    assert "HTML page" in dataset_source(ArtifactKind.HTTP, "https://a.example/b/", "").notes[0]


@pytest.mark.parametrize(("kind", "token", "keys"), [
    (ArtifactKind.HUGGING_FACE, "hf_x", {"token": "hf_x"}),
    (ArtifactKind.HTTP, "me:word:1", {"username": "me", "password": "word:1"}),
    (ArtifactKind.S3, "AK:SK", {"access-key": "AK", "secret-key": "SK"}), (ArtifactKind.HTTP, "nothing", {}),
    (ArtifactKind.HUGGING_FACE, "", {}),
])
def test_a_token_comes_under_the_keys_that_loaders_read(kind: ArtifactKind, token: str, keys: dict[str, str]) -> None:
    assert secret_data(kind, token) == keys


def test_a_token_is_in_a_secret_and_nowhere_else() -> None:
    for copy in (SHARED, OWN):
        made = render(replace(copy, kind=ArtifactKind.HUGGING_FACE, location="a/b", token="hf_very_secret"))
        assert made[0]["kind"] == "Secret"
        assert "hf_very_secret" not in str(made)
    assert "hf_very_secret" not in repr(replace(OWN, token="hf_very_secret"))


def test_our_loader_is_a_pod_that_a_restricted_namespace_takes() -> None:
    assert kinds(OWN) == ["ServiceAccount", "PersistentVolumeClaim", "Job"]
    pod = render(OWN)[-1]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert (pod["automountServiceAccountToken"], pod["securityContext"]["runAsNonRoot"]) == (False, True)
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["command"][:3] == ["python3", "-I", "-c"]
    assert container["args"] == ["huggingface", "Qwen/Qwen3-0.6B", "c" * 40, "/data/model"]


def test_what_people_typed_is_never_read_as_a_variable() -> None:
    args = render(replace(OWN, location="$(HF_TOKEN)"))[-1]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[1] == "$$(HF_TOKEN)"


def test_a_reference_only_points() -> None:
    made = render(replace(OWN, method=CopyMethod.REFERENCE, shared_name="qwen3-0-6b", shared_namespace="public", token="x"))
    assert [each["kind"] for each in made] == ["Dataset"]
    assert made[0]["spec"]["source"] == {"type": "REFERENCE", "uri": "dataset://public/qwen3-0-6b"}
    assert "share" not in made[0]["spec"]


def test_sizes_are_rounded_up_to_whole_gib() -> None:
    assert [quantity(size) for size in (1, GIB, GIB + 1)] == ["1Gi", "1Gi", "2Gi"]


def seen(phase: str = "", claim: str | None = "Bound", spec_round: int = 1, **status: Any) -> Seen:
    dataset = msgspec.convert({"metadata": {"name": SHARED.name}, "spec": {"dataSyncRound": spec_round},
                               "status": {"phase": phase, "pvcName": SHARED.name, **status}}, Dataset)
    return Seen(dataset, claim=msgspec.convert({"status": {"phase": claim}}, Claim) if claim else None)


ENDED = {"syncRoundStatuses": [{"round": 1, "succeed": False}]}
REFUSED = {"conditions": [{"type": "PVC", "status": "False", "message": "pvc models already exists"}]}
LOADING, FAILED, READY, PENDING = CopyState.LOADING, CopyState.FAILED, CopyState.READY, CopyState.PENDING


@pytest.mark.parametrize(("found", "state", "cause"), [
    (Seen(), PENDING, CopyCause.NONE),
    (seen(), LOADING, CopyCause.NONE),
    (seen("PENDING"), LOADING, CopyCause.NONE),
    (seen("PROCESSING", inProcessing=True), LOADING, CopyCause.NONE),
    (seen("FAILED"), LOADING, CopyCause.NONE),  # brand-new, before its first round
    (seen("FAILED", inProcessing=True, **ENDED), LOADING, CopyCause.NONE),
    (seen("FAILED", **ENDED), FAILED, CopyCause.LOADER),
    (seen("FAILED", **REFUSED), FAILED, CopyCause.DATASET),
    (seen("READY", lastSucceedRound=1), READY, CopyCause.NONE),
    (seen("READY"), READY, CopyCause.NONE),  # a PVC source has no rounds
    (seen("READY", claim=None, lastSucceedRound=1), LOADING, CopyCause.VOLUME),
    (seen("READY", claim="Lost", lastSucceedRound=1), FAILED, CopyCause.GONE),
    (seen("READY", claim=None, lastSucceedRound=1, pvcName="made-by-people"), READY, CopyCause.NONE),
    (seen("READY", lastSucceedRound=1, pvcName=""), LOADING, CopyCause.VOLUME),
])
def test_what_a_datasets_status_means(found: Seen, state: CopyState, cause: CopyCause) -> None:
    verdict = judge(SHARED, found)
    assert (verdict.state, verdict.cause) == (state, cause)


def test_a_second_round_is_not_ready_because_the_first_was() -> None:
    second = replace(SHARED, round=2, loaded_round=1)
    assert judge(second, seen("READY", lastSucceedRound=1)).state == PENDING
    assert judge(second, seen("READY", spec_round=2, lastSucceedRound=1)).state == LOADING
    assert judge(second, seen("READY", spec_round=2, lastSucceedRound=2)).loaded_round == 2


def job_seen(type_: str = "", claim: str | None = "Bound", name: str = OWN.job_name) -> Seen:
    conditions = [{"type": type_, "status": "True"}] if type_ else []
    job = msgspec.convert({"metadata": {"name": name}, "status": {"conditions": conditions}}, Job)
    return Seen(jobs=(job,), claim=msgspec.convert({"status": {"phase": claim}}, Claim) if claim else None)


@pytest.mark.parametrize(("found", "loaded_round", "state", "cause"), [
    (Seen(), 0, PENDING, CopyCause.NONE),
    (job_seen(claim="Pending"), 0, LOADING, CopyCause.VOLUME),
    (job_seen(), 0, LOADING, CopyCause.NONE),
    (job_seen("Complete"), 0, READY, CopyCause.NONE),
    (job_seen("Failed"), 0, FAILED, CopyCause.LOADER),
    (job_seen(name="another-round"), 0, PENDING, CopyCause.NONE),
    (job_seen("Complete"), 1, READY, CopyCause.NONE),
    (job_seen("Complete", claim=None), 1, FAILED, CopyCause.GONE),
    (Seen(), 1, FAILED, CopyCause.GONE),
])
def test_what_a_job_means(found: Seen, loaded_round: int, state: CopyState, cause: CopyCause) -> None:
    verdict = judge(replace(OWN, loaded_round=loaded_round), found)
    assert (verdict.state, verdict.cause) == (state, cause)


RCLONE = """2026/11/21 10:00:00 INFO  :
Transferred:   	    1.500 GiB / 3 GiB, 50%, 10.000 MiB/s, ETA 2m30s
Transferred:            3 / 10, 30%
Elapsed time:       2m30.0s"""
BARS = ("Fetching 10 files:  30%|###       | 3/10 [00:01<00:02, 3.0it/s]"
        "a.safetensors:  10%|#         | 100M/1.00G [00:01<00:09, 100MB/s]"
        "a.safetensors:  50%|#####     | 500M/1.00G [00:05<00:05, 100MB/s]"
        "b.json: 100%|##########| 2.00k/2.00k [00:00<00:00, 1MB/s]")


@pytest.mark.parametrize(("log", "found"), [
    ("", None), ("loading\n", None), ("progress 5 10\nprogress 7 10\ndone\n", Progress(7, 10)),
    (RCLONE, Progress(3 * GIB // 2, 3 * GIB)), (BARS, Progress(500_002_000, 1_000_002_000)),
    ("progress 99999999999999999999999 1\n", None), ("Transferred: 1.2.3 GiB / 1 GiB", Progress(0, GIB)),
])
def test_bytes_are_read_from_a_loaders_lines(log: str, found: Progress | None) -> None:
    assert progress_in(log) == found


def test_hostile_lines_take_no_time() -> None:
    assert progress_in("x" * 200_000 + ":" * 200_000 + "%|" * 100_000) is None


def test_a_large_model_may_load_for_longer() -> None:
    small, large = allowed(CopyState.LOADING, GIB), allowed(CopyState.LOADING, 1000 * GIB)
    assert small is not None
    assert large is not None
    assert large.total_seconds() > 24 * 3600 > small.total_seconds()
    assert allowed(CopyState.READY, GIB) is None
