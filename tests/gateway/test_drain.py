"""Replicas and servers that leave while streams run. (test_startup and outlive have a server that ends them in peace.)"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from endpoints.models import Backend
from tests.gateway.server import Server, Tenant, database, eventually, make_tenant, running_server
from tests.simulators.openai_backend import OpenAIBackend

BODY = json.dumps({"model": "m", "messages": [], "stream": True}).encode()
STREAMS = 8


def begun(server: Server, key: str) -> socket.socket:
    """A stream whose first bytes have come."""
    line = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    line.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
                  f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n").encode() + BODY)
    assert line.recv(10).startswith(b"HTTP/1.1")
    return line


def rest(line: socket.socket) -> bytes:
    with closing(line):
        said = b""
        while not said.endswith(b"\r\n0\r\n\r\n") and (part := line.recv(65536)):
            said += part
        return said


def test_a_replica_that_is_taken_away_ends_its_streams(
    tenant: Tenant, engine: OpenAIBackend, second_engine: OpenAIBackend,
) -> None:
    engine.script.words, engine.script.delay = 20, 0.1
    endpoint = tenant.endpoint("m", engine.url, token="engine-token")
    client = tenant.wait_for("m")
    streams = [begun(tenant.server, client.api_key) for _ in range(STREAMS)]
    other = Backend(endpoint=endpoint, key="9", url=second_engine.url, revision=2)
    other.put_secret("token", "engine-token")
    other.save()
    Backend.objects.filter(endpoint=endpoint, key="0").delete()

    def moved() -> bool:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], timeout=5)
        return bool(second_engine.requests)

    eventually(moved)
    seen = len(engine.requests)
    for _ in range(5):
        assert moved()
    assert len(engine.requests) == seen
    assert all(b"data: [DONE]" in said and b"error" not in said for said in map(rest, streams))
    assert all(request.is_done for request in engine.requests)


@pytest.fixture
def own(tmp_path: Path, empty_portal: Path, django_db_blocker: Any) -> Iterator[Tenant]:
    with (django_db_blocker.unblock(), database(tmp_path), running_server(tmp_path, empty_portal) as server):
        yield make_tenant(server, "own")


def test_streams_that_never_end_are_cut_at_the_limit(own: Tenant, engine: OpenAIBackend) -> None:
    engine.script.words, engine.script.delay = 1000, 0.1
    own.endpoint("m", engine.url, token="engine-token")
    client = own.wait_for("m")
    with closing(client), closing(begun(own.server, client.api_key)):
        began = time.monotonic()
        own.server.stop()  # which waits 5 s in these tests
        assert 4 < time.monotonic() - began < 12
    eventually(lambda: engine.open_requests == 0)
