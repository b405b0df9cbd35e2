"""Where a program's lines go: a file that never grows without end, or the supervisor's own standard error."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEPT = 3
TAIL_LINES = 40


class Log:
    """Remembers the last lines, and hands all of them on to standard error: what a container's log is made of."""

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)

    def write(self, line: bytes) -> None:
        self.tail.append(line.decode(errors="replace").rstrip())
        with contextlib.suppress(OSError):  # whoever read it has gone; the process goes on
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()

    @property
    def last_line(self) -> str:
        return next((line for line in reversed(self.tail) if line.strip()), "")


class LogFile(Log):
    """Appends lines to `path`, and turns it over at `max_bytes`, keeping `kept` old ones."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        super().__init__()
        self.path = path
        self.max_bytes = max_bytes
        self.kept = kept
        self.lost = 0

    def write(self, line: bytes) -> None:
        """Add one line. On a full disk the line is counted as lost; the process goes on."""
        self.tail.append(line.decode(errors="replace").rstrip())
        try:
            self._turn_over(len(line))
            with self.path.open("ab") as file:
                file.write(line)
        except OSError:
            self.lost += 1

    def _turn_over(self, more: int) -> None:
        if not self.path.exists() or self.path.stat().st_size + more <= self.max_bytes:
            return
        for number in range(self.kept, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self.path
            if newer.exists():
                newer.replace(older)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
