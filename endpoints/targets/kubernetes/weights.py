"""Where a pod finds its weights: a claim that is mounted read-only, else a cache that the engine fills from the hub."""

from __future__ import annotations

import math
import re
from typing import Any

from clusters.units import GIB
from endpoints.targets.base import RevisionSpec, Weights
from models_catalog.choices import ArtifactKind

MODEL_PATH = "/model"
CACHE_PATH = "/cache"
CACHE_SPARE = 5 * GIB  # for compiled kernels
# A claim in the endpoint's own namespace; the catalogue's form for it is pvc://claim/folder.
CLAIM = re.compile(r"pvc://(?P<claim>[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)(?:/(?P<folder>[A-Za-z0-9._/@+=,-]*))?")


def claim_of(revision: RevisionSpec) -> Weights | None:
    """The claim that holds the weights already, or None where the engine has to fetch them."""
    if revision.weights is not None:
        return revision.weights
    found = CLAIM.fullmatch(revision.artifact_location) if revision.artifact_kind == ArtifactKind.VOLUME else None
    return Weights(found["claim"], (found["folder"] or "").strip("/")) if found else None


def model_of(revision: RevisionSpec) -> str:
    """What the engine is told to load: a folder of the pod, or the hub's name."""
    return MODEL_PATH if claim_of(revision) is not None else revision.artifact_location


def cache_bytes(revision: RevisionSpec) -> int | None:
    """What the pod may write: compiled kernels, and the weights with a fifth to spare where they are fetched.

    None where their size is not known: a limit would evict the pod in the middle of the download.
    """
    if claim_of(revision) is not None:
        return CACHE_SPARE
    return math.ceil(1.2 * revision.weights_bytes) + CACHE_SPARE if revision.weights_bytes else None


def volumes(revision: RevisionSpec) -> list[dict[str, Any]]:
    claim = claim_of(revision)
    most = cache_bytes(revision)
    made: list[dict[str, Any]] = [{"name": "cache", "emptyDir": {} if most is None else {"sizeLimit": str(most)}}]
    if claim is not None:
        made.append({"name": "model", "persistentVolumeClaim": {"claimName": claim.claim, "readOnly": True}})
    if shares_memory(revision):
        made.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(shm_bytes(revision))}})
    return made


def mounts(revision: RevisionSpec) -> list[dict[str, Any]]:
    claim = claim_of(revision)
    made: list[dict[str, Any]] = [{"name": "cache", "mountPath": CACHE_PATH}]
    if claim is not None:
        folder = {"subPath": claim.folder} if claim.folder else {}
        made.append({"name": "model", "mountPath": MODEL_PATH, "readOnly": True, **folder})
    if shares_memory(revision):
        made.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108  Where processes share tensors, by POSIX.
    return made


def shares_memory(revision: RevisionSpec) -> bool:
    """Whether several processes of a pod work on one model: their 64 MiB of shared memory would be too small."""
    sizes = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
    return revision.resources.gpus > 1 or any(revision.arguments.get(size, 1) > 1 for size in sizes)


def shm_bytes(revision: RevisionSpec) -> int:
    """10 GiB (facts.md 3.4), at most half of the pod's memory, because it counts as memory of the pod."""
    return min(10 * GIB, revision.resources.memory_bytes // 2)
