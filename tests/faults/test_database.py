"""The database dies, is held by somebody else, or its disk is full: 503 and Retry-After, never 500, nothing lost."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from django.db import connection, connections

from endpoints.models import Endpoint
from portal.tenancy.models import Heartbeat
from tests.faults.processes import Processes, World, eventually
from tests.gateway.server import database, migrate
from tests.rig.servers import mariadb, running

pytestmark = pytest.mark.slow
HOLDER = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
held.rollback()
"""


class Load:
    """Callers that read and deploy without a pause; every answer is kept."""

    def __init__(self, portal: Processes, world: World) -> None:
        self.portal, self.world = portal, world
        self.answers: list[httpx.Response] = []
        self.accepted: set[str] = set()
        self._numbers, self._ended = itertools.count(1), threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(kind,)) for kind in ("read", "deploy") * 2]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _call(self, kind: str) -> None:
        while not self._ended.is_set():
            if kind == "read":
                answer = httpx.get(f"{self.portal.web.url}/api/v1/endpoints", headers=self.world.headers, timeout=60)
            else:
                name = f"load-{next(self._numbers)}"
                answer = self.portal.deploy(self.world, name, 60)
                if answer.status_code == 202:
                    self.accepted.add(name)
            self.answers.append(answer)

    def goes_on(self, more: int = 10) -> None:
        """Wait until so many more calls were answered well."""
        good = self.good()
        eventually(lambda: self.good() >= good + more, 60)

    def good(self) -> int:
        return sum(answer.status_code in (200, 202) for answer in self.answers)

    def check(self) -> None:
        """Only good answers and proper refusals; at least one of each."""
        counts = Counter(answer.status_code for answer in self.answers)
        others = [answer.text for answer in self.answers if answer.status_code not in (200, 202, 503)]
        assert set(counts) == {200, 202, 503}, (counts, others)
        for answer in self.answers:
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json()["error"]["code"] == "unavailable"
        there = set(Endpoint.objects.values_list("name", flat=True))
        assert self.accepted <= there, "accepted and lost"


@pytest.fixture
def on_mariadb(tmp_path: Path, empty_portal: Path, django_db_blocker: Any) -> Iterator[Processes]:
    with mariadb(tmp_path) as url, django_db_blocker.unblock(), database(tmp_path, url):
        migrate(tmp_path, url)
        with connection.cursor() as cursor:
            cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")  # or the kill takes the last second's rows
        portal = Processes(tmp_path, database_url=url)
        try:
            yield portal
        finally:
            portal.end()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_restarted_mariadb_costs_503_and_no_accepted_call(on_mariadb: Processes, tmp_path: Path, end: int) -> None:
    world = World.make()
    on_mariadb.serve()
    pid = int((tmp_path / "my.pid").read_text())
    command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    with Load(on_mariadb, world) as load:
        load.goes_on()
        os.kill(pid, end)
        eventually(lambda: any(answer.status_code == 503 for answer in load.answers), 30)
        eventually(lambda: not Path(f"/proc/{pid}/exe").exists() or zombie(pid), 30)
        with running(command, log=tmp_path / "again.log", ready=lambda: new_pid(tmp_path) not in (0, pid)):
            load.goes_on()
            load.end()
            connections["default"].close()
            load.check()


def new_pid(folder: Path) -> int:
    text = (folder / "my.pid").read_text() if (folder / "my.pid").exists() else ""
    return int(text or 0)


def zombie(pid: int) -> bool:
    return ") Z " in Path(f"/proc/{pid}/stat").read_text()


@contextmanager
def held_for(portal: Processes, seconds: float) -> Iterator[None]:
    """Another process writes in the database file and does not end."""
    argv = [sys.executable, "-c", HOLDER, str(portal.folder / "portal.sqlite3"), str(seconds)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.kill()


def test_a_held_sqlite_is_waited_for_and_then_said_to_be_busy(portal: Processes, world: World) -> None:
    portal.serve()
    with held_for(portal, 1.5):
        assert portal.deploy(world, "patient").status_code == 202
    with held_for(portal, 60):
        began = time.monotonic()
        refused = portal.deploy(world, "refused")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert 4.0 < time.monotonic() - began < 9.0
        read = httpx.get(f"{portal.web.url}/api/v1/endpoints", headers=world.headers)
        assert [row["name"] for row in read.json()["items"]] == ["patient"]
    assert portal.deploy(world, "refused").status_code == 202


def test_a_full_disk_is_503_and_nobody_has_to_be_restarted(portal: Processes, world: World) -> None:
    """No file of these processes grows: what a full disk does, for database, queue and logs at once."""
    portal.serve()
    worker, beat = portal.worker(), portal.beat()
    assert portal.deploy(world, "before").status_code == 202
    eventually(lambda: Heartbeat.objects.filter(name="sweep").exists(), 40)
    assert portal.web.process is not None
    everybody = [portal.web.process.pid, worker.pid, beat.pid]
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in everybody}
    for pid, (_soft, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    for number in range(5):
        refused = portal.deploy(world, f"full-{number}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable"), refused.text
        assert int(refused.headers["retry-after"]) > 0
    read = httpx.get(f"{portal.web.url}/api/v1/endpoints", headers=world.headers)
    assert (read.status_code, len(read.json()["items"])) == (200, 1)
    time.sleep(3)
    for pid, before in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert portal.deploy(world, "after").status_code == 202
    last = Heartbeat.objects.get(name="sweep").at
    eventually(lambda: Heartbeat.objects.get(name="sweep").at > last, 30)
    assert (portal.web.process.poll(), worker.poll(), beat.poll()) == (None, None, None)
    eventually(lambda: Endpoint.objects.get(name="after").status == "CREATING", 20)
