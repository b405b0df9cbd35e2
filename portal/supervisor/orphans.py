"""Processes whose parent has died: the supervisor inherits them, buries them and leaves none behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Collection

import psutil

PR_SET_CHILD_SUBREAPER = 36


def inherit() -> frozenset[int]:
    """From now on an orphan among our descendants becomes our child, not init's. Returns who is below us already.

    An agent that was killed leaves its engines running, for the next agent to adopt.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return frozenset(child.pid for child in psutil.Process().children(recursive=True))


def bury(known: Collection[int]) -> None:
    """Take the exit codes of dead children that nobody else waits for, so that no zombie looks alive."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.pid not in known and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def end_all(spared: Collection[int], patience: float = 5.0) -> list[int]:
    """End every process below us but the spared ones; returns their numbers. SIGTERM, then SIGKILL."""
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in spared]
    pids = [child.pid for child in left if _alive(child)]
    for verb in ("terminate", "kill"):
        for child in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                getattr(child, verb)()
        until = time.monotonic() + patience
        while time.monotonic() < until and any(_alive(child) for child in left):
            bury(spared)
            time.sleep(0.05)
    return pids


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
