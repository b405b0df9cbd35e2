"""The agent's calls against portals that are slow, confused, moved, or hours off."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clusters.agent.client import Away, Client, Refused
from clusters.agent.loop import Agent
from clusters.agent.messages import Sync
from clusters.agent.signing import HostKey

SYNC = Sync(epoch=1, agent_version="0.1.0", conditions=(), engines=())


class Door(BaseHTTPRequestHandler):
    """Answers each call with the next of `answers`: status, body, headers."""

    answers: list[tuple[int, bytes, dict[str, str]]]
    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append({"path": self.path, **dict(self.headers)})
        status, body, headers = self.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def door() -> Iterator[type[Door]]:
    kind = type("OneDoor", (Door,), {"answers": [], "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    kind.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


def client(door: Any, **values: Any) -> Client:
    return Client(door.url, HostKey.draw(), "host", **values)


def refusal(code: str, **more: Any) -> bytes:
    return json.dumps({"error": {"code": code, "message": "no", **more}}).encode()


def test_a_redirect_is_not_followed(door: type[Door]) -> None:
    door.answers = [(307, b"", {"Location": f"{door.url}/elsewhere"})]  # type: ignore[attr-defined]
    with pytest.raises(Away, match="307"):
        client(door).sync(SYNC)
    assert [call["path"] for call in door.seen] == ["/agent/v1/sync"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"complete":true}', b"[" * 10_000])
def test_an_answer_that_is_not_understood_is_no_order(door: type[Door], body: bytes) -> None:
    door.answers = [(200, body, {})]
    with pytest.raises(Away):
        client(door).sync(SYNC)


def test_an_endless_answer_is_cut(door: type[Door]) -> None:
    door.answers = [(200, b" " * (5 * 1024**2), {})]
    with pytest.raises(Away, match="longer"):
        client(door).sync(SYNC)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_portal_in_trouble_is_away_and_not_a_refusal(door: type[Door], status: int) -> None:
    door.answers = [(status, refusal("unavailable"), {})]
    with pytest.raises(Away):
        client(door).sync(SYNC)


def test_a_refusal_keeps_its_code_and_epoch(door: type[Door]) -> None:
    door.answers = [(409, refusal("superseded", epoch=7), {})]
    with pytest.raises(Refused) as caught:
        client(door).sync(SYNC)
    assert (caught.value.status, caught.value.code, caught.value.epoch) == (409, "superseded", 7)


@pytest.mark.parametrize("off", [-600.0, 600.0])
def test_a_wrong_clock_is_corrected_by_the_portals(door: type[Door], off: float) -> None:
    now = time.time()
    door.answers = [(401, refusal("clock", now=now), {}), (200, b'{"version":3}', {}), (200, b'{"version":4}', {})]
    ours = client(door, wall=lambda: now + off)
    assert (ours.wake(1), ours.wake(3)) == (3, 4)
    assert [abs(int(call["X-Agent-Time"]) - now) < 2 for call in door.seen] == [False, True, True]


def test_nobody_there_is_away() -> None:
    with pytest.raises(Away):
        Client("http://127.0.0.1:1", HostKey.draw()).sync(SYNC)


@pytest.mark.parametrize("server", ["portal.example.org", "ftp://x", "http://", "http://user:pw@x", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        Client(server, HostKey.draw())


def test_a_portal_beyond_this_machine_needs_https() -> None:
    with pytest.raises(ValueError, match="https"):
        Client("http://portal.example.org", HostKey.draw())
    for server in ("https://portal.example.org", "http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000"):
        Client(server, HostKey.draw())
    Client("http://portal.example.org", HostKey.draw(), allow_http=True)


def test_an_agent_that_loses_a_thread_ends_and_says_so(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        lease = None

        def tick(self) -> bool:
            return False

        def our_pids(self) -> set[int]:
            raise RuntimeError("a fault of ours")

    agent = Agent(Client("http://127.0.0.1:1", HostKey.draw()), Broken(), tmp_path, tmp_path)  # type: ignore[arg-type]
    assert agent.run(stop_engines=True) is False
    assert "the agent failed" in caplog.text
    agent._heard.set()
