"""The lifecycle of an endpoint as data: states, allowed moves, colours, words and deadlines.

People write the wish, `reconcile` writes the status, nobody else does.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Wish(TextChoices):
    RUNNING = "running", _("running")
    STOPPED = "stopped", _("stopped")
    DELETED = "deleted", _("deleted")


class Affinity(TextChoices):
    """How calls choose among an endpoint's replicas."""

    NONE = "", _("the least busy replica")
    SESSION = "session", _("one session, one replica")
    PREFIX = "prefix", _("one beginning of the prompt, one replica")


class Status(TextChoices):
    PENDING = "PENDING", _("Pending")
    CREATING = "CREATING", _("Creating")
    INSERVICE = "INSERVICE", _("In service")
    UPDATING = "UPDATING", _("Updating")
    DEGRADED = "DEGRADED", _("Degraded")
    STALLED = "STALLED", _("Stalled")
    FAILED = "FAILED", _("Failed")
    STOPPING = "STOPPING", _("Stopping")
    STOPPED = "STOPPED", _("Stopped")
    DELETING = "DELETING", _("Deleting")
    DELETED = "DELETED", _("Deleted")


class Cause(StrEnum):
    """Why a row is not as wished: a stable word for programs; `message` has the sentence."""

    NONE = ""
    NO_ROOM = "NoRoom"
    LOADING = "Loading"
    CRASH_LOOP = "CrashLoop"
    UPDATE_FAILED = "UpdateFailed"
    REPLICAS_MISSING = "ReplicasMissing"
    HOST_LOST = "HostLost"
    DEADLINE = "DeadlineExceeded"
    REFUSED = "Refused"
    NAME_TAKEN = "NameTaken"
    IMAGE = "ImagePull"
    MEMORY = "OutOfMemory"
    UNSCHEDULABLE = "Unschedulable"
    VOLUME = "VolumePending"
    PROBE = "ProbeFailing"
    QUOTA = "QuotaExceeded"
    GATED = "GatedModel"
    BAD_ARGUMENT = "BadArgument"
    INVALID = "Invalid"
    AUTH = "AuthFailed"
    FORBIDDEN = "Forbidden"
    TLS = "TLSFailed"
    NO_KIND = "CRDMissing"
    CONFLICT = "FieldConflict"
    CONTESTED = "Contested"
    NOT_LOADED = "WeightsNotLoaded"
    UNREACHABLE = "Unreachable"
    NO_DEVICE = "NoDevice"
    NOT_SUPPORTED = "NotSupported"
    MODEL_MISSING = "ModelMissing"
    HUB = "HubUnreachable"
    DISK_FULL = "DiskFull"
    EVICTED = "Evicted"
    POLICY = "PolicyRefused"
    SECRET = "SecretMissing"  # noqa: S105  A word for programs.
    ENDING = "Terminating"
    NETWORK = "NetworkFault"
    AUTOSCALER = "AutoscalerFailing"
    ROUTE = "RouteNotAccepted"
    OPERATOR = "OperatorFailed"
    ERROR = "Error"


# What a place says about a wish itself: nothing is tried again until somebody wishes something else, or again.
ENDS_AN_ATTEMPT = frozenset({Cause.REFUSED, Cause.INVALID, Cause.NAME_TAKEN, Cause.POLICY})


class DriftPolicy(TextChoices):
    """What to do about a change made outside the portal."""

    CORRECT = "correct", _("put back, three times at most")
    REPORT = "report", _("show only")


S = Status
_WORKING = frozenset({S.CREATING, S.INSERVICE, S.UPDATING, S.DEGRADED, S.STALLED, S.FAILED})
_ENDING = frozenset({S.STOPPING, S.DELETING})

MOVES: dict[str, frozenset[str]] = {
    S.PENDING: frozenset({S.CREATING, S.STALLED, S.FAILED, S.STOPPED}) | _ENDING,
    S.CREATING: _WORKING - {S.CREATING, S.UPDATING} | _ENDING,
    S.INSERVICE: _WORKING - {S.INSERVICE, S.STALLED} | _ENDING,
    S.UPDATING: _WORKING - {S.UPDATING, S.CREATING} | _ENDING,
    S.DEGRADED: _WORKING - {S.DEGRADED} | _ENDING,
    S.STALLED: _WORKING - {S.STALLED} | _ENDING | {S.STOPPED, S.DELETED},
    S.FAILED: _WORKING - {S.FAILED} | _ENDING,
    S.STOPPING: frozenset({S.STOPPED, S.STALLED, S.CREATING, S.DELETING}),
    S.STOPPED: frozenset({S.CREATING, S.DELETING}),
    S.DELETING: frozenset({S.DELETED, S.STALLED}),
    S.DELETED: frozenset(),
}

# States on their way somewhere, and how long the way may take; CREATING and UPDATING add the profile's own time.
DEADLINES: dict[str, timedelta] = {
    S.PENDING: timedelta(minutes=2), S.CREATING: timedelta(minutes=1), S.UPDATING: timedelta(minutes=1),
    S.STOPPING: timedelta(minutes=5), S.DELETING: timedelta(minutes=5),
}
TRANSITIONAL = frozenset(DEADLINES)
SERVING = frozenset({S.INSERVICE, S.UPDATING, S.DEGRADED})
NEEDS_PERSON = frozenset({S.STALLED, S.FAILED})

# Role of the colour, as in the pages' tokens, and the shape that says the same without colour.
COLOURS: dict[str, str] = {
    S.PENDING: "mean", S.CREATING: "mean", S.INSERVICE: "good", S.UPDATING: "mean", S.DEGRADED: "warn",
    S.STALLED: "late", S.FAILED: "bad", S.STOPPING: "idle", S.STOPPED: "idle", S.DELETING: "idle", S.DELETED: "idle",
}

# How often a row is looked at: soon while something moves, calmly when it is settled. Soon is less than the two seconds
# between two beats, or every second beat would find nothing due.
LOOK_SOON = timedelta(seconds=1)
LOOK_CALM = timedelta(seconds=10)
STALE_AFTER = 3 * LOOK_CALM
LEASE = timedelta(seconds=30)

MAX_ATTEMPTS = 8
MAX_CORRECTIONS = 3


def may_move(was: str, to: str) -> bool:
    return to in MOVES[was]


def retry_delay(attempts: int) -> timedelta:
    """5 s, doubled with each attempt, 10 minutes at most; the caller adds jitter."""
    return timedelta(seconds=min(600, 5 * 2 ** min(attempts, 10)))
