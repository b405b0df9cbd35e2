"""What each call used, on the disk before it is in the database: a process that is killed loses nothing.

A call costs one copy of memory when it begins and one when it ends (layout.py). A thread books what has ended; each
record exactly once, whatever dies meanwhile, because the position in the spool moves in the same transaction.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from .flusher import Flusher
from .home import make_home
from .writer import Writer

__all__ = ["Spool"]


class Spool(Writer):
    """The spool of this process, in a folder that processes share; `start` comes before the first call."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._flusher: Flusher | None = None

    async def start(self) -> None:
        """Make the files and begin to book. Raises OSError where there is no room for them. May be called again."""
        if self._flusher is not None:
            return
        home = make_home(self._folder)
        home.prepare_spare()
        self.attach(home)
        self._flusher = Flusher(self._folder, home, self)
        self._flusher.start()

    async def stop(self) -> None:
        """Book everything; calls that are still in flight end here, as cut. Nothing may be opened any more."""
        if self._flusher is not None:
            self.cut_open_calls()
            await asyncio.to_thread(self._flusher.stop)
