from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import Processes, World
from tests.gateway.server import ROOT, database, environment, migrate


@pytest.fixture(scope="session")
def empty_portal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults-template")
    migrate(folder)
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v", "0"]
    subprocess.run(collect, cwd=ROOT, env=environment(folder), check=True, timeout=120)
    return folder


@pytest.fixture
def portal(tmp_path: Path, empty_portal: Path, django_db_blocker: Any) -> Iterator[Processes]:
    """Processes over a SQLite file of their own, which is open in this test too; nothing runs yet."""
    shutil.copy(empty_portal / "portal.sqlite3", tmp_path)
    (tmp_path / "static").symlink_to(empty_portal / "static")
    portal = Processes(tmp_path)
    with django_db_blocker.unblock(), database(tmp_path):
        try:
            yield portal
        finally:
            portal.end()


@pytest.fixture
def world(portal: Processes) -> World:
    return World.make()
