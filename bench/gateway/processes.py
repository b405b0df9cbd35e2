"""Processes of a measurement: pinned, each in a session of its own, with what they took of processor and memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MEMORY_PAGE = os.sysconf("SC_PAGE_SIZE")


class Missing(Exception):
    """Something that the bench needs is not here, or did not start; the text says what to do."""


@dataclass(frozen=True)
class Core:
    """A processor core, and the priority of what runs there for the bench: -20, before all else, to 19."""

    number: int
    nice: int = 0


def cores(nice: int = 0) -> tuple[Core, Core]:
    """The core of the gateways, and that of load and engine. Raises Missing."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:
        raise Missing("The bench needs two processor cores: one for the gateways, one for the load.")
    return Core(ours[0], nice), Core(ours[-1], nice)


def start(command: Sequence[str | Path], core: Core, *, log: Path | None = None, cwd: Path | None = None,
          env: Mapping[str, str] | None = None, pass_fds: Sequence[int] = (),
          stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start pinned to one core. A session of its own is also a scheduling group of its own (autogroup), so that the
    kernel shares a core among processes, not among terminals. Raises Missing where it may not have its priority."""
    pinned = ["taskset", "-c", str(core.number), *map(str, command)]
    with (log or Path(os.devnull)).open("ab") as errors:
        process = subprocess.Popen(pinned, stdout=stdout, stderr=errors, env=env, cwd=cwd, text=True,
                                   pass_fds=pass_fds, start_new_session=True)
    if core.nice:
        try:
            Path(f"/proc/{process.pid}/autogroup").write_text(str(core.nice))
        except OSError as error:
            stop(process)
            raise Missing(f"There is no priority of {core.nice} to be had here (it needs root): {error}") from None
    return process


def stop(process: subprocess.Popen[str], seconds: float = 15) -> None:
    """End the whole session that `start` began: politely, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        if until(lambda: not _has_group(process), seconds):
            break
    process.wait(5)


def _has_group(process: subprocess.Popen[str]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(check: Callable[[], object], seconds: float, pause: float = 0.02) -> bool:
    """Whether this came true in time."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


@contextmanager
def running(command: Sequence[str | Path], core: Core, **more: object) -> Iterator[subprocess.Popen[str]]:
    process = start(command, core, **more)  # type: ignore[arg-type]
    try:
        yield process
    finally:
        stop(process)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except FileNotFoundError:
                continue
    return found


def cpu_seconds(*pids: int) -> float:
    """Of these processes and all below them, those that have ended among them."""
    return sum(_ticks(Path(f"/proc/{pid}/stat")) for top in pids for pid in tree(top)) / TICKS


def main_seconds(*pids: int) -> float:
    """The same of their main threads only."""
    return sum(_ticks(Path(f"/proc/{pid}/task/{pid}/stat"), of_children=False) for top in pids for pid in tree(top)) / TICKS


def _ticks(stat: Path, *, of_children: bool = True) -> int:
    """User and system, its own and that of dead children."""
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(int(field) for field in fields[11:15 if of_children else 13])


def megabytes(*pids: int) -> float:
    """Resident memory of these processes and all below them."""
    pages = 0
    for pid in (one for top in pids for one in tree(top)):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except FileNotFoundError:
            continue
    return pages * MEMORY_PAGE / 1e6


def proportional_megabytes(*pids: int) -> float:
    """The same with each page divided by how many processes share it; 0 where the kernel does not tell."""
    kilobytes = 0
    for pid in (one for top in pids for one in tree(top)):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


def descriptors(*pids: int) -> Counter[str]:
    """What these processes and all below them hold open: a file by its name with # for numbers, all else by its kind."""
    found = Counter[str]()
    for one in (one for top in pids for pid in tree(top) for one in Path(f"/proc/{pid}/fd").iterdir()):
        try:
            found[re.sub(r"\d+", "#", Path(os.readlink(one)).name.partition(":[")[0])] += 1
        except FileNotFoundError:
            continue
    return found


def core_seconds(core: Core) -> tuple[float, float]:
    """Seconds used by anybody, and seconds in all, of one core since the machine started."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core.number} "))
    ticks = [int(field) for field in line.split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS, sum(ticks) / TICKS
