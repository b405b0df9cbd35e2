"""Without its database the gateway goes on with the keys that it knows, for as long as DESIGN allows: 5 seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
from django.db import connection

from tests.gateway.outlive.parent import Parent, Stream
from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

MAX_AGE_SECONDS = 5.0


@contextmanager
def unreadable(database: Path) -> Iterator[None]:
    """A SQLite file that is garbage to every process that has it open, until the block ends."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shared = database.with_name(f"{database.name}-shm")
    good = database.read_bytes()
    _overwrite(database, b"x" * len(good))
    _overwrite(shared, bytes(136))  # the index of the log: without it nobody trusts the pages in memory
    try:
        yield
    finally:
        _overwrite(database, good)  # whoever opened it meanwhile has closed it again, and the shared index went with it


def _overwrite(path: Path, data: bytes) -> None:
    """In place, as others have the file open and mapped."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, 0)
    finally:
        os.close(descriptor)


def test_an_unreadable_database_is_503_after_five_seconds_and_never_401(
        own: Parent, tenant_of: Callable[[Parent], Tenant], engine: OpenAIBackend) -> None:
    tenant = tenant_of(own)
    tenant.endpoint("m", engine.url, token="engine-token")
    headers = {"authorization": f"Bearer {tenant.key()}"}

    def ask() -> httpx.Response:
        return httpx.post(f"{own.url}/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)

    eventually(lambda: ask().status_code == 200)
    engine.script.words, engine.script.delay = 80, 0.1
    stream = Stream(own, headers["authorization"].removeprefix("Bearer "))
    eventually(lambda: len(stream.lines) > 1)
    engine.script.delay = 0.0
    with unreadable(own.folder / "portal.sqlite3"):
        lost = time.monotonic()
        while (answer := ask()).status_code == 200:
            known = time.monotonic() - lost
        assert MAX_AGE_SECONDS - 2 < known < MAX_AGE_SECONDS + 2
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert eventually(lambda: own.readiness == (503, "keys and routes are too old"))
        assert max(own.figures("portal_gateway_snapshot_age_seconds").values()) > MAX_AGE_SECONDS
        unknown = {"authorization": "Bearer sk-" + "a" * 16 + "-" + "b" * 43}
        assert httpx.get(f"{own.url}/v1/models", headers=unknown).status_code == 503
        stream.join(30)
        assert stream.is_whole
    eventually(lambda: own.is_ready and ask().status_code == 200, 20)
