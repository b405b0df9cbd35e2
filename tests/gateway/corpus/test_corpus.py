"""Bytes on the wire, over both shapes of the server: the gateway's own protocol, and any ASGI server's."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.corpus.cases import CASES, GOOD, KEY, MAYBE, Case
from tests.gateway.server import Tenant, database, eventually, make_tenant, running_server
from tests.simulators.openai_backend import OpenAIBackend

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
QUIET_SECONDS = 0.05  # with nothing more coming, all that was to come has come
SHAPES = {"protocol": {}, "application": {"GATEWAY_HTTP": "httptools"}}


@pytest.fixture(scope="module", params=SHAPES)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, empty_portal: Path, django_db_blocker: Any,
) -> Iterator[tuple[Tenant, OpenAIBackend, bytes]]:
    """A server of this shape, its tenant, an engine that counts what comes, a key."""
    folder = tmp_path_factory.mktemp("corpus")
    with (OpenAIBackend(token="engine-token") as engine, django_db_blocker.unblock(), database(folder),
          running_server(folder, empty_portal, **SHAPES[request.param]) as server):
        tenant = make_tenant(server, "corpus")
        tenant.endpoint("m", engine.url, token="engine-token")
        tenant.wait_for("m").close()
        key = tenant.key().encode()
        assert len(key) == len(KEY), "the lengths in the corpus count on it"
        yield tenant, engine, key


def exchanged(port: int, case: Case, key: bytes) -> tuple[list[int], bool]:
    """The statuses of the answers, and whether the server closed the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        with contextlib.suppress(ConnectionError):  # it may have heard enough before the end
            line.sendall(case.sent.replace(KEY, key))
            if case.ends:
                line.shutdown(socket.SHUT_WR)
        return heard(line, case)


def heard(line: socket.socket, case: Case) -> tuple[list[int], bool]:
    said, closed, until = b"", False, time.monotonic() + 5
    while not closed and time.monotonic() < until:
        all_came = len(STATUS.findall(said)) >= len(case.answers) and not case.closes
        line.settimeout(QUIET_SECONDS if all_came else max(0.01, until - time.monotonic()))
        try:
            part = line.recv(65536)
        except TimeoutError:
            break
        except ConnectionError:
            part = b""
        said, closed = said + part, not part
    return [int(status) for status in STATUS.findall(said)], closed


def fits(answers: list[int], case: Case) -> bool:
    wanted = [one if isinstance(one, frozenset) else {one} for one in case.answers]
    return len(answers) == len(wanted) and all(one in of for one, of in zip(answers, wanted, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_what_comes_of_these_bytes(
    request: pytest.FixtureRequest, place: tuple[Tenant, OpenAIBackend, bytes], name: str,
) -> None:
    tenant, engine, key = place
    case = CASES[name]
    engine.requests.clear()
    if request.node.callspec.params["place"] not in case.shapes:
        pytest.skip("uvicorn alone is not as strict")
    answers, closed = exchanged(tenant.server.port, case, key)
    assert fits(answers, case), answers
    assert closed == case.closes
    if case.calls == MAYBE:
        time.sleep(QUIET_SECONDS)  # what comes late must not be taken for the next case's
        assert len(engine.requests) <= 1
    else:
        assert len(engine.requests) == case.calls
    assert {seen.path for seen in engine.requests} <= {"/v1/chat/completions"}
    assert {seen.header("authorization") for seen in engine.requests} <= {"Bearer engine-token"}


def test_after_all_that_the_server_serves(place: tuple[Tenant, OpenAIBackend, bytes]) -> None:
    tenant, engine, key = place
    engine.requests.clear()
    assert exchanged(tenant.server.port, Case(GOOD, (200,), calls=1, closes=False), key) == ([200], False)
    eventually(lambda: engine.open_requests == 0)
    assert "Traceback" not in tenant.server.log
