"""The agent's own folder: its identity (mode 0600), a lock so that only one agent uses it, and a folder an engine."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from .signing import HostKey


class AlreadyRunning(Exception):
    """Another agent uses this folder."""


@dataclass(frozen=True)
class Identity:
    """Who this agent is to the portal; `host` is empty before enrolment."""

    key: str
    host: str = ""
    server: str = ""
    address: str = ""
    tunnel: bool = False


class StateDir:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Make the folder and hold it. Raises AlreadyRunning, OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise AlreadyRunning(f"another agent already uses {self.path}") from error

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def identity(self) -> Identity:
        """Who we are; on first use a new key. Raises ValueError where the file is broken."""
        path = self.path / "agent.json"
        if path.exists():
            return Identity(**json.loads(path.read_text()))
        made = Identity(key=HostKey.draw().text)
        self.remember(made)
        return made

    def state_id(self) -> str:
        """The mark of our engines; it outlives the identity, so that a host that enrols anew still knows them."""
        path = self.path / "state-id"
        if not path.exists():
            write_json(path, secrets.token_hex(16))
        return str(json.loads(path.read_text()))

    def remember(self, identity: Identity) -> None:
        write_json(self.path / "agent.json", asdict(identity))

    def engine_dir(self, uid: str) -> Path:
        path = self.path / "engines" / uid
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def write_json(path: Path, value: Any, *, sync: bool = True) -> None:
    """Replace the file in one step, readable by its owner only. Raises OSError."""
    temporary = path.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; {} where there is none or it is broken."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
