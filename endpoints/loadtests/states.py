"""The states of a load test and why it ended, as data."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class RunState(TextChoices):
    QUEUED = "queued", _("waiting")
    RUNNING = "running", _("under way")
    DONE = "done", _("done")
    STOPPED = "stopped", _("stopped by itself")
    CANCELLED = "cancelled", _("cancelled")
    INTERRUPTED = "interrupted", _("interrupted")
    FAILED = "failed", _("failed")


class Mode(TextChoices):
    RATE = "rate", _("calls a second")
    CALLERS = "callers", _("callers at a time")


class Ending(StrEnum):
    """Why a run ended before its time: a stable word for the row; WHY has the sentence."""

    NONE = ""
    ERRORS = "errors"
    REFUSED = "refused"
    BUDGET = "budget"
    GONE = "gone"
    CANCELLED = "cancelled"
    WORKER = "worker"
    NO_GATEWAY = "no_gateway"
    NO_KEY = "no_key"
    CRASHED = "crashed"


WHY = {
    Ending.ERRORS: _("More than half of the latest calls failed, so it stopped by itself."),
    Ending.REFUSED: _("More than half of the latest calls were refused by limits, so it stopped by itself."),
    Ending.BUDGET: _("The next call could have passed what the run may use, so it stopped by itself."),
    Ending.GONE: _("What it calls left service, so it stopped by itself."),
    Ending.CANCELLED: _("Somebody cancelled it; what was measured until then stays."),
    Ending.WORKER: _("The worker that ran it ended; what was measured until then stays. Run it again."),
    Ending.NO_GATEWAY: _("The gateway did not answer, or did not take the run's key. Look whether it runs, then run it again."),
    Ending.NO_KEY: _("Who started it may not call models here any more."),
    Ending.CRASHED: _("The process that makes the calls ended by itself. Operators find why in the worker's log."),
}
ACTIVE = frozenset({RunState.QUEUED, RunState.RUNNING})
# How a run ends, by why it ends before its time.
STATE_AFTER: dict[str, RunState] = {
    Ending.NONE: RunState.DONE, Ending.ERRORS: RunState.STOPPED, Ending.REFUSED: RunState.STOPPED,
    Ending.BUDGET: RunState.STOPPED, Ending.GONE: RunState.STOPPED, Ending.CANCELLED: RunState.CANCELLED,
    Ending.WORKER: RunState.INTERRUPTED, Ending.NO_GATEWAY: RunState.FAILED, Ending.NO_KEY: RunState.FAILED,
    Ending.CRASHED: RunState.FAILED,
}
# Role of the colour and the shape that says the same, as in endpoints.states.
SHAPES: dict[str, tuple[str, str]] = {
    RunState.QUEUED: ("mean", "pending"), RunState.RUNNING: ("mean", "creating"), RunState.DONE: ("ok", "ok"),
    RunState.STOPPED: ("warn", "warn"), RunState.CANCELLED: ("stopped", "stopped"),
    RunState.INTERRUPTED: ("warn", "warn"), RunState.FAILED: ("no", "no"),
}
# A worker writes twice a second; one that has not for so long is gone, and its run with it.
LEASE = timedelta(seconds=20)
