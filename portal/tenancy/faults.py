"""Where a test may kill a worker: before and after every call to the outside world.

``FAULT_AT=n`` in the environment ends the process with SIGKILL at the n-th point, as the kernel would.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_points = itertools.count(1)
_kill_at = int(os.environ.get("FAULT_AT", "0"))


def arm(at: int) -> None:
    """Count from here again and die at point `at`; 0 never."""
    global _points, _kill_at
    _points, _kill_at = itertools.count(1), at


def fault_point() -> None:
    if _kill_at and next(_points) == _kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def outside_call() -> Iterator[None]:
    """Wrap each call that changes something outside the portal's own row."""
    fault_point()
    yield
    fault_point()
