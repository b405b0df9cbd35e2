"""When not to ask a cluster: it failed a few times in a row, refused this very right a moment ago, or says nothing now."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from .kube_errors import KubeError, Problem

FAILURES = 3
FIRST_SECONDS, MOST_SECONDS = 2.0, 20.0  # below one period of looking, so that a cluster heals within it
PROBE_SECONDS = 10.0                     # one that doesn't come back by then is taken for dead
MOST_RETRY_AFTER = 60.0                  # of a server's own wish that we hold all calls for
MUTED_SECONDS = 300.0                    # a missing right (reliability.md F14)
# So many calls may wait for a cluster that has been silent for so long: the worker's other threads are for the others.
MOST_WAITING, SILENT_SECONDS = 2, 3.0

Right = tuple[str, str, str]  # verb, resource, namespace


class Breaker:
    """One for each cluster and process. `admit` before a call, then `passed` or `failed`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, jitter: Callable[[], float] = random.random) -> None:
        self._clock, self._jitter = clock, jitter
        self._lock = threading.Lock()
        self._failures = 0
        self._openings = 0
        self._open_until = 0.0
        self._last: KubeError | None = None
        self._muted: dict[Right, tuple[float, KubeError]] = {}
        self._waiting: dict[object, float] = {}

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a call while its answer is awaited."""
        call = object()
        with self._lock:
            self._waiting[call] = self._clock()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[call]

    def admit(self, right: Right) -> bool:
        """Whether the caller must see that the cluster answers at all before it makes its call.

        Raises the last error again, with the seconds that are left, where nothing may be asked now.
        """
        with self._lock:
            now = self._clock()
            until, error = self._muted.get(right, (0.0, None))
            if error is not None and now < until:
                raise _again(error, until - now)
            self._require_answers(now)
            if self._last is None or self._failures < FAILURES:
                return False
            if now < self._open_until:
                raise _again(self._last, self._open_until - now)
            self._open_until = now + PROBE_SECONDS  # others wait for the one that goes first
            return True

    def _require_answers(self, now: float) -> None:
        if len(self._waiting) >= MOST_WAITING and now - min(self._waiting.values()) >= SILENT_SECONDS:
            raise KubeError(Problem.UNREACHABLE, _("The API server has not answered earlier calls yet (timeout)."),
                            retry_after=FIRST_SECONDS)

    def probed(self) -> None:
        """The cluster answers again; its next failure closes the road at once, for longer."""
        with self._lock:
            self._failures = FAILURES - 1

    def passed(self) -> None:
        with self._lock:
            self._reset()

    def _reset(self) -> None:
        self._failures = self._openings = 0
        self._last = None

    def failed(self, error: KubeError, right: Right) -> None:
        """Count what concerns the whole cluster; a plain 500 may be one webhook's, so it does not."""
        with self._lock:
            if error.problem is Problem.FORBIDDEN:
                self._muted[right] = self._clock() + MUTED_SECONDS, error
            if not error.is_of_the_cluster:
                self._reset()
            elif error.status != 500:
                self._count(error)

    def _count(self, error: KubeError) -> None:
        self._failures += 1
        self._last = error
        if self._failures >= FAILURES:
            pause = min(FIRST_SECONDS * 2.0**self._openings, MOST_SECONDS) * (0.75 + 0.5 * self._jitter())
            self._openings = min(self._openings + 1, 10)
            self._open_until = self._clock() + max(pause, min(error.retry_after, MOST_RETRY_AFTER))


def _again(error: KubeError, wait: float) -> KubeError:
    return KubeError(error.problem, error.message, status=error.status, faults=error.faults,
                     retry_after=max(wait, 0.1))
