"""`make run`, from its first line to its last process."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from .portal_run import PortalRun, portal

pytestmark = pytest.mark.slow
UP = r"The portal is up at (\S+)"
START_SECONDS = 60


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return int(answer.status)


def pid_of(run: PortalRun, name: str) -> int:
    """The newest process of this name: on a busy machine one may have been started twice."""
    line = rf"{name}\s+running\s+pid (\d+)"
    run.wait_for(line, START_SECONDS)
    return int(re.findall(line, run.output)[-1])


def until(condition: object, seconds: float = 20) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.both_databases
def test_it_comes_up_works_and_leaves_nothing(tmp_path: Path) -> None:
    with portal(tmp_path, "up") as run:
        run.wait_for(UP, START_SECONDS)
        assert get(f"http://127.0.0.1:{run.port}/healthz") == 200
        assert run.access()["PORTAL_URL"] == f"http://127.0.0.1:{run.port}"
        assert stat.S_IMODE((tmp_path / "portal.env").stat().st_mode) == 0o600
        host = "from clusters.models import Host; print('hosts:', *Host.objects.values_list('state', flat=True))"
        assert until(lambda: "hosts: READY" in run.manage("shell", "-v", "0", "-c", host))
        beat = "from portal.tenancy import heartbeat; print('age:', heartbeat.age('sweep'))"
        assert until(lambda: "age: None" not in run.manage("shell", "-v", "0", "-c", beat))
        assert len(run.family()) >= 5
        assert run.stop() == 0
        assert run.family() == []
    assert "The portal has stopped." in run.output


def test_a_killed_process_comes_back(tmp_path: Path) -> None:
    with portal(tmp_path, "up") as run:
        run.wait_for(UP, START_SECONDS)
        for name in ("web", "worker", "agent"):
            first = pid_of(run, name)
            os.kill(first, signal.SIGKILL)
            run.wait_for(rf"{name}\s+ended\s+exit -9", START_SECONDS)
            assert until(lambda name=name, first=first: pid_of(run, name) != first, START_SECONDS)
        assert until(lambda: get(f"http://127.0.0.1:{run.port}/healthz") == 200)


def test_killing_the_supervisor_leaves_nothing(tmp_path: Path) -> None:
    with portal(tmp_path, "up") as run:
        run.wait_for(UP, START_SECONDS)
        run.process.kill()
        run.process.wait(10)
        assert until(lambda: not [p for p in run.family() if p.status() != psutil.STATUS_ZOMBIE])


def test_a_second_one_on_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    with portal(tmp_path, "up") as run:
        run.wait_for(UP, START_SECONDS)
        second = PortalRun(tmp_path, "up")
        assert second.process.wait(30) == 1
        second.join()
        assert second.lines == [f"CommandError: this portal is running already (process {run.process.pid}); "
                                "stop it first"]
        assert get(f"http://127.0.0.1:{run.port}/healthz") == 200


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = PortalRun(tmp_path, "up", PORTAL_PORT=str(port))
        assert run.process.wait(30) == 1
        run.join()
        assert len(run.lines) == 1
        assert f"127.0.0.1:{port}" in run.lines[0]
        assert "PORT=" in run.lines[0]
