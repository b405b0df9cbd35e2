"""`manage.py up`: what it starts it keeps running, and what it stops is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from portal.supervisor.house import CannotStart, Supervisor, only_one, require_free_port
from portal.supervisor.logfile import LogFile
from portal.supervisor.program import Program

SLEEPER = "import time; print('hello', flush=True); time.sleep(600)"
# A leader that starts a child in a group of its own, as an agent does with its engines.
WITH_ORPHAN = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    "print('child', child.pid, flush=True)\n"
    "time.sleep(600)\n")
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('hello', flush=True); time.sleep(600)"
WAIT = 20.0


def python(name: str, code: str, **values: object) -> Program:
    return Program(name, (sys.executable, "-c", code), **values)  # type: ignore[arg-type]


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    async with asyncio.timeout(WAIT):
        while not condition():  # noqa: ASYNC110 - what it waits for is another process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def lines() -> list[str]:
    return []


async def test_a_process_that_ends_is_started_again(tmp_path: Path, lines: list[str]) -> None:
    house = Supervisor([python("one", SLEEPER)], tmp_path, lines.append)
    running = asyncio.create_task(house.run())
    child = house.children["one"]
    await until(lambda: child.pid and "hello" in child.log.tail, "first start")
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first), "second start")
    house.ask_to_stop()
    await running
    assert child.restarts == 1
    assert any("exit -9" in line for line in lines)


async def test_stopping_leaves_no_process(tmp_path: Path, lines: list[str]) -> None:
    """Not even one that ignores SIGTERM, nor one that a killed leader left behind in another group."""
    house = Supervisor([python("orphan", WITH_ORPHAN), python("stubborn", STUBBORN, stop_seconds=0.3)],
                       tmp_path, lines.append)
    running = asyncio.create_task(house.run())
    await until(lambda: all(child.log.tail for child in house.children.values()), "both wrote")
    grandchild = int(house.children["orphan"].log.tail[0].split()[1])
    pids = [child.pid for child in house.children.values()]
    house.ask_to_stop()
    await running
    assert all(pid is not None and not alive(pid) for pid in pids)
    assert not alive(grandchild)


async def test_an_orphan_outlives_its_leader_so_that_the_next_one_can_adopt_it(
        tmp_path: Path, lines: list[str]) -> None:
    house = Supervisor([python("agent", WITH_ORPHAN)], tmp_path, lines.append)
    running = asyncio.create_task(house.run())
    child = house.children["agent"]
    await until(lambda: child.log.tail, "it wrote")
    grandchild, first = int(child.log.tail[0].split()[1]), child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first), "second start")
    assert alive(grandchild)
    assert psutil.Process(grandchild).ppid() == os.getpid()
    house.ask_to_stop()
    await running
    assert not alive(grandchild)


async def test_a_dead_orphan_is_buried(tmp_path: Path, lines: list[str]) -> None:
    """Else its number would look alive to the agent that watches it."""
    house = Supervisor([python("agent", WITH_ORPHAN)], tmp_path, lines.append)
    running = asyncio.create_task(house.run())
    child = house.children["agent"]
    await until(lambda: child.log.tail, "it wrote")
    grandchild, first = int(child.log.tail[0].split()[1]), child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.pid not in (None, first), "second start")
    os.kill(grandchild, signal.SIGKILL)
    await until(lambda: not psutil.pid_exists(grandchild), "buried")
    house.ask_to_stop()
    await running


async def test_a_deaf_process_is_restarted(tmp_path: Path, lines: list[str]) -> None:
    """F3: it lives, so nobody but the missing work can tell."""
    asked: list[int] = []

    def deaf() -> tuple[str, ...]:
        asked.append(1)
        return ("worker",) if len(asked) == 3 else ()

    house = Supervisor([python("worker", SLEEPER), python("web", SLEEPER)], tmp_path, lines.append, deaf,
                       liveness_seconds=0.1, grace_seconds=0.0)
    running = asyncio.create_task(house.run())
    await until(lambda: house.children["worker"].restarts == 1, "restart")
    assert house.children["web"].restarts == 0
    house.ask_to_stop()
    await running


async def test_what_comes_after_waits_until_the_other_is_ready(tmp_path: Path, lines: list[str]) -> None:
    gate = asyncio.Event()

    async def ready() -> bool:
        return gate.is_set()

    house = Supervisor([python("web", SLEEPER, ready=ready), python("agent", SLEEPER, after_ready_of="web")],
                       tmp_path, lines.append)
    running = asyncio.create_task(house.run())
    await until(lambda: house.children["web"].log.tail, "web wrote")
    assert house.children["agent"].pid is None
    gate.set()
    await until(lambda: house.children["agent"].pid, "agent started")
    house.ask_to_stop()
    await running


def test_programs_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    code = ("import asyncio, sys\nfrom pathlib import Path\n"
            "from portal.supervisor.house import Supervisor\nfrom portal.supervisor.program import Program\n"
            f"one = Program('one', (sys.executable, '-c', {SLEEPER!r}))\n"
            "asyncio.run(Supervisor([one], Path(sys.argv[1]), lambda line: print(line, flush=True)).run())\n")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline().rsplit("pid ", 1)[1])
        process.kill()
    until_time = time.monotonic() + WAIT
    while alive(pid) and time.monotonic() < until_time:
        time.sleep(0.05)
    assert not alive(pid)


def test_one_supervisor_for_each_data_folder(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(CannotStart, match=f"process {os.getpid()}"), only_one(tmp_path):
        pass


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"127\.0\.0\.1:{port} .*PORT="):
            require_free_port("127.0.0.1", port)


def test_logs_turn_over_and_stay_below_their_limit(tmp_path: Path) -> None:
    """F29: logs are capped."""
    log = LogFile(tmp_path / "web.log", max_bytes=1000, kept=2)
    for number in range(500):
        log.write(f"line {number}\n".encode())
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["web.log", "web.log.1", "web.log.2"]
    assert all(file.stat().st_size <= 1000 for file in files)
    assert log.last_line == "line 499"


def test_a_full_disk_stops_no_process() -> None:
    """F29: /dev/full answers every write as a full disk does."""
    log = LogFile(Path("/dev/full"))
    log.write(b"lost\n")
    assert log.lost == 1
    assert log.last_line == "lost"
