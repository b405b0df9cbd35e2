"""A minute of `bench.gateway_chaos` in a few seconds: nothing is lost or booked twice, no limit lets one too many through."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.outlive.chaos import Chaos, Load, chaos, machines
from tests.gateway.server import database, eventually, sqlite_in
from tests.rig.servers import redis

LOADS = (
    Load("free", callers=8, delay=0.02, streams=True),
    Load("minute", callers=4, delay=0.0, a_minute=200),
    Load("at-once", callers=12, delay=0.1, at_once=4),
)


@pytest.fixture
def run(tmp_path: Path, empty_portal: Path, django_db_blocker: Any) -> Iterator[Chaos]:
    """Two machines with two processes each, over one database and one Redis."""
    shutil.copy(empty_portal / "portal.sqlite3", tmp_path)
    with redis(tmp_path) as url, django_db_blocker.unblock(), database(tmp_path):
        over = machines(tmp_path, 2, workers=2, DATABASE_URL=sqlite_in(tmp_path), CELERY_BROKER_URL=url)
        with chaos(over, LOADS) as running:
            yield running


@pytest.mark.slow
def test_kills_under_load_cost_nothing_but_the_streams_of_the_dead(run: Chaos) -> None:
    run.run(seconds=8, every=2)
    assert len(run.killed) >= 2
    eventually(run.is_booked, 40)
    told = {load.name: run.told(load) for load in LOADS}
    assert {name: one for name, one in told.items() if one.faults} == {}
    assert told["free"].cut > 0
    assert all(one.finished > 0 for one in told.values())
    assert all(told[name].refused > 0 for name in ("minute", "at-once"))
