"""Callers that send or read slowly: each is cut at its time, none of them is felt by the others (F33)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.gateway.server import Tenant, database, eventually, make_tenant, running_server
from tests.simulators.openai_backend import OpenAIBackend

LIMITS = {"PORTAL_GATEWAY_HEAD_SECONDS": "2", "PORTAL_GATEWAY_BODY_SECONDS": "2", "PORTAL_GATEWAY_WRITE_SECONDS": "2"}
READER = "reads nothing of a stream"
EACH = 12  # of each kind
BODY = json.dumps({"model": "m", "messages": []}).encode()
STREAM = json.dumps({"model": "long", "messages": [], "stream": True}).encode()


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, empty_portal: Path, django_db_blocker: Any,
) -> Iterator[tuple[Tenant, OpenAIBackend]]:
    """A server with short times; the model `long` says 8 MB, `m` answers at once."""
    folder = tmp_path_factory.mktemp("slow")
    with (OpenAIBackend() as engine, OpenAIBackend() as endless, django_db_blocker.unblock(), database(folder),
          running_server(folder, empty_portal, **LIMITS) as server):
        endless.script.words, endless.script.word = 200, "x" * 40_000  # more than all buffers on the way hold
        tenant = make_tenant(server, "slow")
        tenant.endpoint("m", engine.url)
        tenant.endpoint("long", endless.url)
        tenant.wait_for("long")
        yield tenant, endless
        for client in tenant.clients:
            client.close()


def head(key: str, length: int) -> bytes:
    return (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n").encode()


def kinds(key: str) -> dict[str, tuple[bytes, bytes]]:
    """By name: what is sent at once, and what is sent again and again."""
    whole = head(key, len(BODY))
    return {
        "says nothing": (b"", b""),
        "a head that drips": (whole[:40], b"a"),
        "a head of endless lines": (whole[:-2], b"x-a: b\r\n"),
        "a body that drips": (head(key, 10_000) + BODY[:10], b" "),
        "a body in drops of chunks": (whole.replace(b"content-length: %d" % len(BODY), b"transfer-encoding: chunked")
                                      + b"3\r\n{ \n\r\n", b"1\r\n \r\n"),
        READER: (head(key, len(STREAM)) + STREAM, b""),
    }


class Slow:
    """One connection that behaves so until the server ends it."""

    def __init__(self, port: int, first: bytes, drop: bytes = b"") -> None:
        self.line = socket.socket()
        self.line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.line.connect(("127.0.0.1", port))
        self.line.sendall(first)
        self._drop = drop

    def is_cut(self) -> bool:
        """Send another drop; whether the server has ended the connection."""
        try:
            if self._drop:
                self.line.send(self._drop, socket.MSG_DONTWAIT)
            while self.line.recv(65536, socket.MSG_DONTWAIT):
                pass
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True


def held(tenant: Tenant, callers: Iterable[Slow]) -> int:
    """How many of these the server still has: who does not read does not see either that the connection was ended."""
    assert tenant.server.process is not None
    ports = {one.line.getsockname()[1] for one in callers}
    found = psutil.Process(tenant.server.process.pid).net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port in ports for one in found)


def test_slow_callers_are_cut_in_time_and_the_others_are_served(place: tuple[Tenant, OpenAIBackend]) -> None:
    tenant, endless = place
    key, client = tenant.key(), tenant.client()
    took: list[float] = []
    is_over = threading.Event()

    def call() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], timeout=5)
            took.append(time.monotonic() - began)

    caller = threading.Thread(target=call)
    caller.start()
    with ExitStack() as stack:
        stack.callback(caller.join)
        stack.callback(is_over.set)
        slow = {name: [Slow(tenant.server.port, *how) for _ in range(EACH)] for name, how in kinds(key).items()}
        for one in chain(*slow.values()):
            stack.callback(one.line.close)
        eventually(lambda: len(endless.requests) == EACH)
        readers = slow.pop(READER)
        eventually(lambda: {one.is_cut() for one in chain(*slow.values())} == {True}, 12)
        eventually(lambda: held(tenant, readers) == 0, 12)
        assert endless.open_requests == 0
    assert len(took) > 20, "the others were served meanwhile"
    assert max(took) < 5
    assert "Traceback" not in tenant.server.log


def test_a_whole_answer_that_nobody_reads_is_given_up(place: tuple[Tenant, OpenAIBackend]) -> None:
    """Its last part waits in the server, which has no other reason to look at the connection again."""
    tenant, endless = place
    endless.requests.clear()
    body = json.dumps({"model": "long", "messages": []}).encode()
    slow = Slow(tenant.server.port, head(tenant.key(), len(body)).replace(b"host: x", b"host: x\r\nconnection: close") + body)
    with closing(slow.line):
        eventually(lambda: endless.requests and endless.requests[0].is_done)
        eventually(lambda: held(tenant, [slow]) == 0, 12)
