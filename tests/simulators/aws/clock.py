"""Time inside the simulator: real time, faster, or by hand."""

from __future__ import annotations

import threading
import time


class Clock:
    """Seconds since 1970. Runs `speed` times as fast as real time; 0 stands still until `advance`."""

    def __init__(self, speed: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._base, self._real, self._speed = time.time(), time.monotonic(), speed

    def now(self) -> float:
        with self._lock:
            return self._now()

    def _now(self) -> float:
        return self._base + (time.monotonic() - self._real) * self._speed

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._base += seconds

    @property
    def speed(self) -> float:
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        with self._lock:
            self._base, self._real, self._speed = self._now(), time.monotonic(), value

    def freeze(self) -> None:
        self.speed = 0

    def reset(self) -> None:
        with self._lock:
            self._base, self._real, self._speed = time.time(), time.monotonic(), 1.0
