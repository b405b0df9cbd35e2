"""How long a start takes where none was seen: by the size of the weights and known rates. Pure; seconds and bytes.

The rates are those of common machines, rounded down, so that people wait less than they were told.
"""

from __future__ import annotations

from clusters.states import ClusterKind
from endpoints.targets.base import RevisionSpec
from models_catalog.choices import ArtifactKind

HUB_RATE = 100_000_000     # bytes a second from a hub or a bucket: a line of 1 Gbit/s
DISK_RATE = 1_000_000_000  # from a disk of the machine, or a volume in the cluster
# The engine itself without weights: a CPU engine was measured at 58 to 94 s on two busy cores; a GPU engine compiles graphs.
ENGINE_SECONDS = 60
# An instance of SageMaker boots and pulls its image first.
INSTANCE_SECONDS = 240
NEAR = frozenset({ArtifactKind.LOCAL_PATH, ArtifactKind.VOLUME, ArtifactKind.FSX})


def estimated_start(revision: RevisionSpec, kind: str, *, is_near: bool = False) -> int:
    """`is_near`: a copy of the weights lies in the place already."""
    loads = revision.weights_bytes / DISK_RATE
    fetches = 0.0 if is_near or revision.artifact_kind in NEAR else revision.weights_bytes / HUB_RATE
    boots = INSTANCE_SECONDS if kind == ClusterKind.SAGEMAKER else 0
    return round(ENGINE_SECONDS + loads + fetches + boots)
