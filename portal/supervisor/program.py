"""One process under care: started in its own group, started again with back-off, stopped leader first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from .logfile import Log

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
STEADY_SECONDS = 60.0
GROUP_SECONDS = 2.0
KILL_SECONDS = 5.0
DEAF_SECONDS = 15.0  # one that does no work has nothing to end in peace
LAST_WORDS_SECONDS = 0.5
LONGEST_LINE = 1024 * 1024


@dataclass(frozen=True)
class Program:
    """What to run. `ready` is asked until it says yes; `stop_seconds` is the patience before SIGKILL,
    `longest_delay` the longest pause before it is started again.

    `sockets` are the descriptors that each of its processes inherits; they stay open here while none runs.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] | None = None
    stop_seconds: float = 10.0
    longest_delay: float = LONGEST_DELAY
    after_ready_of: str = ""
    sockets: tuple[int, ...] = ()


class Child:
    """A program's process, one after the other."""

    def __init__(self, program: Program, log: Log, tell: Callable[[str, str], None]) -> None:
        self.program = program
        self.log = log
        self.process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self.started_at = 0.0
        self.ready = asyncio.Event()
        self._tell = tell
        self._wanted = True

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.returncode is None else None

    @property
    def age(self) -> float:
        """Seconds since this run of the program was started."""
        return asyncio.get_running_loop().time() - self.started_at

    def _goes_on(self) -> bool:
        return self._wanted

    async def keep_running(self) -> None:
        """Until `stop` is called: run it, and when it ends, wait a little longer each time and run it again."""
        delay, clock = FIRST_DELAY, asyncio.get_running_loop().time
        while self._goes_on():
            self.started_at = clock()
            code = await self._run_once()
            if not self._goes_on():
                return
            delay = FIRST_DELAY if clock() - self.started_at > STEADY_SECONDS else min(delay * 2, self.program.longest_delay)
            self.restarts += 1
            self._tell("ended", f"exit {code}, again in {delay:.0f} s: {self.log.last_line[:200]}")
            await asyncio.sleep(delay)

    async def _run_once(self) -> int:
        # A pipe of our own: asyncio's would make `wait` wait for orphans that still hold its other end.
        reading, writing = os.pipe()
        try:
            self.process = await asyncio.create_subprocess_exec(
                *tied_to_parent(self.program.argv), env={**os.environ, **self.program.environment},
                stdin=asyncio.subprocess.DEVNULL, stdout=writing, stderr=writing, start_new_session=True,
                pass_fds=self.program.sockets)
        finally:
            os.close(writing)
        copying = asyncio.create_task(self._copy(reading))
        watching = asyncio.create_task(self._become_ready())
        code = await self.process.wait()
        watching.cancel()
        self.ready.clear()
        signal_group(self.process.pid, signal.SIGKILL)  # what the leader has left behind
        await asyncio.wait([copying], timeout=LAST_WORDS_SECONDS)
        copying.cancel()
        return code

    async def _become_ready(self) -> None:
        while self.program.ready is not None and not await self.program.ready():  # noqa: ASYNC110 - asked from outside
            await asyncio.sleep(0.1)
        self.ready.set()
        self._tell("running", f"pid {self.pid}")

    async def _copy(self, reading: int) -> None:
        stream = asyncio.StreamReader(limit=LONGEST_LINE)
        with os.fdopen(reading, "rb", 0) as pipe:
            transport, _protocol = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(stream), pipe)
            try:
                await self._copy_lines(stream)
            finally:
                transport.close()

    async def _copy_lines(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than LONGEST_LINE; the reader has dropped it
                continue
            if not line:
                return
            self.log.write(line)

    async def stop(self) -> None:
        """SIGTERM to the leader only, so that it can end its own children in order; then the group, then SIGKILL."""
        self._wanted = False
        await self._end(self.program.stop_seconds)

    async def restart(self) -> None:
        """End the process; `keep_running` starts it again."""
        await self._end(min(self.program.stop_seconds, DEAF_SECONDS))

    async def _end(self, patience: float) -> None:
        process = self.process
        if process is None or process.returncode is not None:
            return
        for send, seconds in ((self._term_leader, patience), (self._term_group, GROUP_SECONDS),
                               (self._kill_group, KILL_SECONDS)):
            send(process.pid)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
                return

    @staticmethod
    def _term_leader(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    @staticmethod
    def _term_group(pid: int) -> None:
        signal_group(pid, signal.SIGTERM)

    @staticmethod
    def _kill_group(pid: int) -> None:
        signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def tied_to_parent(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The same command, ended by the kernel when its supervisor is killed, where util-linux is there."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--", *argv) if setpriv else argv
