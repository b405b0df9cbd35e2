"""The supervisor: all programs of one data folder, kept running until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.utils.translation import gettext as _

from . import orphans
from .logfile import Log, LogFile
from .program import Child, Program

TICK_SECONDS = 1.0
LIVENESS_SECONDS = 15.0
# A process that has just started has had no chance to show that it works.
GRACE_SECONDS = 90.0

Tell = Callable[[str], None]


class CannotStart(Exception):
    """Another portal or another program is in the way; the text is one line that says what to do."""


class Supervisor:
    """Starts `programs` and keeps them running. `deaf` names those that live but do no work; they are restarted.

    Each program has a file in `logs`; without such a folder their lines go to standard error.
    """

    def __init__(self, programs: Sequence[Program], logs: Path | None, tell: Tell,
                 deaf: Callable[[], Sequence[str]] | None = None, *, liveness_seconds: float = LIVENESS_SECONDS,
                 grace_seconds: float = GRACE_SECONDS) -> None:
        if logs is not None:
            logs.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.children = {p.name: Child(p, LogFile(logs / f"{p.name}.log") if logs else Log(), self._teller(p.name, tell))
                         for p in programs}
        self.tell = tell
        self._deaf = deaf
        self._liveness_seconds, self._grace_seconds = liveness_seconds, grace_seconds
        self._strangers: frozenset[int] = frozenset()
        self.stopping = asyncio.Event()

    @staticmethod
    def _teller(name: str, tell: Tell) -> Callable[[str, str], None]:
        return lambda state, detail: tell(f"  {name:<8} {state:<8} {detail}")

    def ask_to_stop(self) -> None:
        self.stopping.set()

    async def run(self) -> None:
        """Until SIGINT, SIGTERM or `ask_to_stop`; when it returns, no process is left."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stopping.set)
        self._strangers = orphans.inherit()
        tasks = [asyncio.create_task(self._start(child)) for child in self.children.values()]
        tasks += [asyncio.create_task(self._bury()), asyncio.create_task(self._watch_liveness())]
        try:
            await self.stopping.wait()
        finally:
            await self._end(tasks)

    async def _start(self, child: Child) -> None:
        before = self.children.get(child.program.after_ready_of)
        if before is not None:
            await before.ready.wait()
        await child.keep_running()

    async def _bury(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            orphans.bury({child.process.pid for child in self.children.values() if child.process} | self._strangers)

    async def _watch_liveness(self) -> None:
        while self._deaf is not None:
            await asyncio.sleep(self._liveness_seconds)
            names = await asyncio.to_thread(self._deaf)
            for child in (self.children[name] for name in names):
                if child.age < self._grace_seconds:
                    continue
                self.tell(f"  {child.program.name:<8} {_('deaf')}     {_('lives but does no work, starting it again')}")
                await child.restart()

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Those that came last go first: the agent stops its engines while the portal can still hear it."""
        waits = [child for child in self.children.values() if child.program.after_ready_of]
        rest = [child for child in self.children.values() if not child.program.after_ready_of]
        for group in (waits, rest):
            await asyncio.gather(*(child.stop() for child in group))
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        for pid in await asyncio.to_thread(orphans.end_all, self._strangers):
            self.tell(_("  ended process %(pid)d, which was left over") % {"pid": pid})

    async def wait_ready(self) -> None:
        """Until every program has shown that it works."""
        for child in self.children.values():
            await child.ready.wait()


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold this data folder; raises CannotStart where another supervisor does."""
    with (data_dir / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CannotStart(_("this portal is running already (process %(pid)s); stop it first") % {
                "pid": lock.read().strip() or "?"}) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def require_free_port(host: str, port: int) -> None:
    """Raises CannotStart where somebody else listens on the portal's port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(_("can't listen on %(host)s:%(port)d (%(why)s); choose another port with PORT=") % {
                "host": host, "port": port, "why": error.strerror}) from error
