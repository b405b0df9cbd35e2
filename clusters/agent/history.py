"""How often an engine has been started and how it ended, kept over restarts of the agent."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .state import read_json, write_json

log = logging.getLogger("agent")
WINDOW_SECONDS = 600.0
MOST_STARTS = 5
FIRST_WAIT, LONGEST_WAIT = 10.0, 300.0


def boot_id() -> str:
    """Monotonic times mean something only within one boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclass
class History:
    """Times are monotonic seconds of this boot. `failures` counts ends in a row without a long healthy time."""

    starts: list[float] = field(default_factory=list)
    failures: int = 0
    restarts: int = 0
    exit_code: int | None = None
    crashloop: bool = False
    message: str = ""
    cause: str = ""
    deadline: float = 0.0
    next_start: float = 0.0
    boot: str = ""

    @classmethod
    def load(cls, folder: Path) -> History:
        values: dict[str, Any] = read_json(folder / "history.json")
        try:
            found = cls(**values)
        except TypeError:
            return cls(boot=boot_id())
        if found.boot != boot_id():
            found.starts, found.deadline, found.next_start, found.boot = [], 0.0, 0.0, boot_id()
        return found

    def save(self, folder: Path) -> None:
        """Keep it, where the disk has room; a full disk ends no engine."""
        try:
            write_json(folder / "history.json", asdict(self))
        except OSError as error:
            log.warning("can't keep the history of an engine", extra={"engine": folder.name, "error": str(error)})

    def note_start(self, now: float, seconds: float) -> None:
        if self.starts or self.failures:
            self.restarts += 1
        self.starts = [at for at in self.starts if at > now - WINDOW_SECONDS] + [now]
        self.deadline = now + seconds

    def note_failure(self, now: float, exit_code: int | None, cause: str, message: str) -> None:
        """Count an end that nobody wanted; after too many in a short time the engine stays off."""
        self.failures += 1
        self.exit_code, self.cause, self.message = exit_code, cause, message
        recent = [at for at in self.starts if at > now - WINDOW_SECONDS]
        self.crashloop = len(recent) >= MOST_STARTS
        self.next_start = now + min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self.failures - 1, 10))
