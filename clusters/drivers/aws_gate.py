"""When not to call a service of AWS: it asked for fewer calls a moment ago, or could not be reached."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .aws_errors import AwsError, AwsProblem, unreachable

FIRST_SECONDS, MOST_SECONDS = 1.0, 20.0  # below one period of looking, so that a place heals within it
PROBE_SECONDS = 20.0                     # one that doesn't come back by then is taken for dead
MOST_RETRY_AFTER = 60.0
# So many calls may wait for a service that has been silent for so long: the worker's other threads are for the others.
MOST_WAITING, SILENT_SECONDS = 2, 3.0
COUNTED = frozenset({AwsProblem.THROTTLED, AwsProblem.UNREACHABLE})


class Gate:
    """One for each account, region, service and process. `admit` before a call, then `passed` or `failed`.

    Every caller of a throttled account waits, not only the one that was told so: else a hundred deployments go on
    hammering, and AWS counts refused calls too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, jitter: Callable[[], float] = random.random) -> None:
        self._clock, self._jitter = clock, jitter
        self._lock = threading.Lock()
        self._streak = 0
        self._closed_until = 0.0
        self._last: AwsError | None = None
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

    def admit(self) -> bool:
        """Whether the caller goes first after a pause and should not insist.

        Raises the last error again, with the seconds that are left, while nothing may be asked.
        """
        with self._lock:
            self._require_answers()
            if self._last is None:
                return False
            left = self._closed_until - self._clock()
            if left > 0:
                raise _again(self._last, left)
            self._closed_until = self._clock() + PROBE_SECONDS  # others wait for the one that goes first
            return True

    def _require_answers(self) -> None:
        if len(self._waiting) >= MOST_WAITING and self._clock() - min(self._waiting.values()) >= SILENT_SECONDS:
            error = unreachable("timeout", "", "")
            error.retry_after = FIRST_SECONDS
            raise error

    def passed(self) -> None:
        """It answered, be it with a refusal of this one call."""
        with self._lock:
            self._streak, self._last = 0, None

    def failed(self, error: AwsError) -> None:
        """Count what concerns every call; anything else is an answer."""
        if error.problem not in COUNTED:
            self.passed()
            return
        with self._lock:
            pause = min(FIRST_SECONDS * 2.0**self._streak, MOST_SECONDS) * (0.5 + 0.5 * self._jitter())
            self._streak = min(self._streak + 1, 10)
            self._last = error
            self._closed_until = self._clock() + max(pause, min(error.retry_after, MOST_RETRY_AFTER))


def _again(error: AwsError, wait: float) -> AwsError:
    return AwsError(error.problem, error.message, code=error.code, service=error.service, operation=error.operation,
                    retry_after=max(wait, 0.1))
