"""The life of a model's copy in a cluster as data: states, causes, colours, deadlines and how often one looks.

People write the wish (`round`, and that a copy is to go), the keeper writes what it has seen.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class CopyState(TextChoices):
    PENDING = "PENDING", _("Pending")
    LOADING = "LOADING", _("Loading")
    READY = "READY", _("Ready")
    FAILED = "FAILED", _("Failed")
    REMOVING = "REMOVING", _("Removing")


class CopyMethod(TextChoices):
    """What fills the copy. A reference is a shared copy as one workspace's namespace sees it."""

    DATASET = "dataset", _("Dataset")
    JOB = "job", _("loader Job")
    REFERENCE = "reference", _("reference to the shared copy")


class AccessMode(TextChoices):
    """Names of the Kubernetes API, so that they are sent as they are kept."""

    MANY = "ReadWriteMany", _("many nodes (NFS, CephFS, …)")
    ONE = "ReadWriteOnce", _("one node (local and block disks)")


class CopyCause(StrEnum):
    """Why a copy is not ready: a stable word for programs; `message` has the sentence."""

    NONE = ""
    LOADER = "LoaderFailed"
    POD = "LoaderWaiting"
    VOLUME = "VolumePending"
    GONE = "VolumeGone"
    DATASET = "DatasetRefused"
    NAME_TAKEN = "NameTaken"
    REFUSED = "Refused"
    FORBIDDEN = "Forbidden"
    NO_KIND = "CRDMissing"
    SECRET = "SecretUnreadable"  # noqa: S105  A word for programs.
    DEADLINE = "DeadlineExceeded"
    ERROR = "Error"


MOVING = frozenset({CopyState.PENDING, CopyState.LOADING, CopyState.REMOVING})
COLOURS: dict[str, str] = {
    CopyState.PENDING: "mean", CopyState.LOADING: "mean", CopyState.READY: "good", CopyState.FAILED: "bad",
    CopyState.REMOVING: "idle",
}

# How often a row is looked at: soon while something moves, calmly when it is settled.
LOOK_SOON, LOOK_CALM = timedelta(seconds=5), timedelta(seconds=60)
STALE_AFTER = 3 * LOOK_CALM
# Rows that are being looked at are not due for others so long.
LOOK_LEASE = timedelta(seconds=90)

# How long a state may last. Loading adds the time that its bytes take on a slow line.
DEADLINES: dict[str, timedelta] = {
    CopyState.PENDING: timedelta(minutes=5), CopyState.LOADING: timedelta(minutes=30),
    CopyState.REMOVING: timedelta(minutes=10),
}
SLOWEST_BYTES_A_SECOND = 5_000_000


def allowed(state: str, size_bytes: int) -> timedelta | None:
    """How long a copy of this size may stay in the state before somebody should look; None for ever."""
    least = DEADLINES.get(state)
    if least is None or state != CopyState.LOADING:
        return least
    return least + timedelta(seconds=size_bytes / SLOWEST_BYTES_A_SECOND)


def retry_delay(attempts: int) -> timedelta:
    """10 s, doubled with each attempt, 10 minutes at most."""
    return timedelta(seconds=min(600, 10 * 2 ** min(attempts, 10)))
