"""A copy as rendering and judging see it: frozen values, no row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from uuid import UUID

from models_catalog.states import CopyMethod

# A Job's name is a label of its pods, which holds 63 characters.
MOST_CHARS = 63
# "dataset-" in front and "-round-99" behind, as the Dataset controller names its Jobs (facts.md 5.4).
MOST_DATASET_CHARS = MOST_CHARS - len("dataset-") - len("-round-99")


@dataclass(frozen=True)
class CopyView:
    """What is to be in the cluster. `token` is the artifact's: a hub's token, or user:password."""

    uid: UUID
    method: str
    name: str
    namespace: str
    model: str  # the catalogue's short name
    kind: str
    location: str
    revision: str
    size_bytes: int
    access_mode: str
    storage_class: str = ""
    image: str = ""
    round: int = 1
    loaded_round: int = 0
    shared_name: str = ""
    shared_namespace: str = ""
    token: str = field(default="", repr=False)
    # The login of the loader image's registry.
    registry_user: str = ""
    registry_password: str = field(default="", repr=False)

    @property
    def uses_dataset(self) -> bool:
        return self.method in (CopyMethod.DATASET, CopyMethod.REFERENCE)

    @property
    def job_name(self) -> str:
        return job_name(self.method, self.name, self.round)

    @property
    def secret_name(self) -> str:
        return secret_name(self.name)

    @property
    def pull_secret_name(self) -> str:
        return pull_secret_name(self.name)


def job_name(method: str, name: str, round_: int) -> str:
    """Of the Job that loads this round: the Dataset controller's or ours."""
    return f"dataset-{name}-round-{round_}" if method == CopyMethod.DATASET else f"{name}-r{round_}"


def secret_name(name: str) -> str:
    """A Secret of its own for each copy; long names are cut where a digest keeps them apart."""
    return f"{_short(name)}-source"


def pull_secret_name(name: str) -> str:
    """Of the login with which nodes pull the loader's image."""
    return f"{_short(name)}-pull"


def _short(name: str) -> str:
    return f"{name[:40].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
