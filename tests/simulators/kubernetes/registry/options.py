"""How a write was asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    manager: str = "unknown"
    dry_run: bool = False
    validation: str = "Warn"
    """fieldValidation: Ignore, Warn or Strict."""
    force: bool = False
    user: str = ""
    trusted: bool = False
    """A controller of the simulator: what it writes is taken as it is."""
    twice: tuple[str, ...] = ()
    """The paths of keys that stand twice in an object of the body."""


@dataclass(frozen=True, slots=True)
class Outcome:
    obj: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    created: bool = False
    status: int = 200
    gone: bool = False
    """Deleted, and a Status tells of it instead of the object."""
