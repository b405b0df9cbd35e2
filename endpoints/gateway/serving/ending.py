"""What is told at once when this process's server ends, so that answers without an end of their own end by themselves."""

from __future__ import annotations

from collections.abc import Callable

_told: list[Callable[[], None]] = []


def when_ending(tell: Callable[[], None]) -> None:
    """Have `tell` called in the server's event loop as soon as it is told to stop. Once is enough for a process."""
    if tell not in _told:
        _told.append(tell)


def tell_all() -> None:
    for tell in _told:
        tell()
