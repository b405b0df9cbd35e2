"""A message in the broker is input: what is not JSON, not registered or not an id harms nobody (T54)."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.db import connection

from endpoints.models import Endpoint
from portal.tenancy.models import Heartbeat

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
ALIVE_SECONDS = 60.0


class Bomb:
    """Unpickling this makes the marker file."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.marker,)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Path]:
    """A real worker on a file broker of its own and this test's database; its folder."""
    if connection.vendor != "sqlite":
        pytest.skip("the worker of this test reads the test's database file")
    environment = {**os.environ, "PORTAL_DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
                   "CELERY_BROKER_URL": "filesystem://"}
    log = (tmp_path / "worker.log").open("w")
    argv = [sys.executable, "-m", "celery", "-A", "portal", "worker", "-P", "threads", "-c", "1", "--without-gossip",
            "--without-mingle", "--without-heartbeat"]
    process = subprocess.Popen(argv, env=environment, cwd=settings.BASE_DIR, stdout=log, stderr=log)
    try:
        yield tmp_path
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def sender(folder: Path) -> Celery:
    queue = folder / "queue"
    queue.mkdir(exist_ok=True)
    (folder / "queue-control").mkdir(exist_ok=True)
    app = Celery("sender", broker="filesystem://")
    app.conf.update(broker_transport_options={
        "data_folder_in": str(queue), "data_folder_out": str(queue), "control_folder": str(folder / "queue-control")})
    return app


def wait_for_beat(folder: Path) -> None:
    until = time.monotonic() + ALIVE_SECONDS
    while not Heartbeat.objects.filter(name="forget").exists():
        assert time.monotonic() < until, (folder / "worker.log").read_text()[-3000:]
        time.sleep(0.1)


def test_a_worker_survives_forged_messages_and_runs_none_of_them(worker: Path) -> None:
    marker = worker / "exploded"
    app = sender(worker)
    with app.connection_for_write() as broker:
        producer = broker.Producer()
        for content_type, body in (("application/x-python-serialize", pickle.dumps(Bomb(str(marker)))),
                                   ("application/x-yaml", b"!!python/object/apply:os.mkdir [x]"), ("application/json", b"{"),
                                   ("application/json", b"5"), ("application/data", os.urandom(64))):
            producer.publish(body, routing_key="celery", content_type=content_type, content_encoding="binary",
                             headers={"task": "portal.tenancy.tasks.forget_old", "id": "forged"})
    app.send_task("os.system", args=["touch exploded"])
    app.send_task("endpoints.tasks.reconcile_endpoint", args=[{"wish": "deleted"}])
    app.send_task("endpoints.tasks.reconcile_endpoint", args=[10**12])
    app.send_task("endpoints.tasks.reconcile_endpoint", args=["1 OR 1=1"])
    app.send_task("portal.tenancy.tasks.forget_old", args=["one", "too", "many"])
    app.send_task("portal.tenancy.tasks.forget_old")
    wait_for_beat(worker)
    assert not marker.exists()
    assert Endpoint.objects.count() == 0
    log = (worker / "worker.log").read_text()
    assert "pickle" in log or "python-serialize" in log
    assert "os.system" in log
