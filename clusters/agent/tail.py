"""Log files of engines: capped while they grow, the run before kept, the last lines for people."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CAP_BYTES = 8 * 1024**2
KEPT_BYTES = 512 * 1024
TAIL_BYTES = 64 * 1024


def open_log(folder: Path) -> int:
    """A new log for a new run, the old one kept as the previous; a descriptor that only appends."""
    with contextlib.suppress(FileNotFoundError):
        (folder / "engine.log").replace(folder / "previous.log")
    return os.open(folder / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def read_tail(path: Path, most: int = TAIL_BYTES) -> str:
    """The last bytes of a file as text, from a whole line on; "" where there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            raw = file.read(most)
    except OSError:
        return ""
    text = raw.decode(errors="replace")
    return text if size <= most else text.partition("\n")[2]


def last_lines(text: str, lines: int = 50, chars: int = 15_000) -> str:
    """The end of a log; what a progress bar has overwritten is left out."""
    kept = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").rstrip().split("\n")[-lines:]]
    return "\n".join(kept)[-chars:]


def cap(path: Path, most: int = CAP_BYTES, kept: int = KEPT_BYTES) -> bool:
    """Cut a log that has grown too long down to its end, in place, while the engine goes on appending."""
    try:
        if path.stat().st_size <= most:
            return False
        end = read_tail(path, kept).encode()
        with path.open("r+b") as file:
            file.truncate(0)
        with path.open("ab") as file:
            file.write(b"(earlier lines were cut)\n" + end)
    except OSError:
        return False
    return True
