"""Log files that never grow without end and never stop a process that writes to them."""

from __future__ import annotations

from collections import deque
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEPT = 3
TAIL_LINES = 40


class LogFile:
    """Appends lines to `path`, and turns it over at `max_bytes`, keeping `kept` old ones."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.kept = kept
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
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

    @property
    def last_line(self) -> str:
        return next((line for line in reversed(self.tail) if line.strip()), "")
