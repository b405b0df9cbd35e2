"""Calls that are carried from socket to socket, and what takes them off that road. Each test warms the road first."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2 as httpx
import psutil
import pytest

from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

HELLO = [{"role": "user", "content": "Hello"}]


@dataclass
class Road:
    """One caller's connection to the gateway, which keeps one to the engine."""

    tenant: Tenant
    engine: OpenAIBackend
    key: str
    line: socket.socket
    said: bytes = b""
    direct: int = field(init=False)

    def __post_init__(self) -> None:
        self.direct = self._direct()  # first: a connection that is warm stays so for some seconds only
        self.send()
        assert b"chat.completion" in self.answer()
        self.engine.requests.clear()

    def request(self, **more: object) -> bytes:
        body = json.dumps({"model": "tiny-chat", "messages": HELLO, **more}).encode()
        return (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body

    def send(self, **more: object) -> None:
        self.line.sendall(self.request(**more))

    def until(self, end: bytes | re.Pattern[bytes]) -> bytes:
        """All up to and with `end`; what follows it is kept."""
        pattern = end if isinstance(end, re.Pattern) else re.compile(re.escape(end))
        while (found := pattern.search(self.said)) is None:
            part = self.line.recv(65536)
            assert part, self.said
            self.said += part
        whole, self.said = self.said[:found.end()], self.said[found.end():]
        return whole

    def answer(self) -> bytes:
        """One whole answer that tells its length."""
        head = self.until(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        return head + self.until(re.compile(rb"\A[\s\S]{%d}" % length))

    def taken(self) -> int:
        """How many calls took the direct road since it was warm."""
        return self._direct() - self.direct

    def _direct(self) -> int:
        text = httpx.get(f"{self.tenant.server.url}/metrics").text
        return int(float(text.partition("\nportal_gateway_direct_total ")[2].split()[0]))


def in_chunks(request: bytes) -> bytes:
    head, _, body = request.partition(b"content-length: ")
    body = body.partition(b"\r\n\r\n")[2]
    return head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@contextmanager
def warm(tenant: Tenant, engine: OpenAIBackend) -> Iterator[Road]:
    tenant.endpoint("tiny-chat", engine.url, token="engine-token")
    key = tenant.wait_for("tiny-chat").api_key
    with socket.create_connection(("127.0.0.1", tenant.server.port), timeout=10) as line:
        yield Road(tenant, engine, key, line)


@pytest.fixture
def road(tenant: Tenant, engine: OpenAIBackend) -> Iterator[Road]:
    with warm(tenant, engine) as one:
        yield one


def test_a_whole_answer_goes_from_socket_to_socket(road: Road) -> None:
    road.send()
    answer = road.answer()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"]["completion_tokens"] == 5
    assert road.taken() == 1


def test_a_stream_goes_from_socket_to_socket_and_the_connections_stay(road: Road) -> None:
    for _ in range(3):
        road.send(stream=True)
        answer = road.until(b"\r\n0\r\n\r\n")
        assert b"transfer-encoding: chunked\r\n" in answer
        assert answer.count(b"data: {") == 5, "the usage was asked for by the gateway and is hidden"
        assert b"data: [DONE]\n\n\r\n0\r\n\r\n" in answer
    assert road.taken() == 3
    assert road.engine.connections == 1


def test_a_request_in_pieces_takes_the_road_too(road: Road) -> None:
    request = road.request()
    for begin, end in ((0, 30), (30, 160), (160, -9), (-9, None)):
        road.line.sendall(request[begin:end])
        time.sleep(0.02)
    assert b"200 OK" in road.answer()
    assert road.taken() == 1


def test_a_body_that_takes_its_time_is_left_to_the_application(road: Road) -> None:
    request = road.request()
    road.line.sendall(request[:-9])
    time.sleep(2.2)
    road.line.sendall(request[-9:])
    assert b"200 OK" in road.answer()
    assert road.taken() == 0


def test_what_is_not_plain_is_left_to_the_application(road: Road) -> None:
    request = road.request()
    for one in (
        request.replace(b"application/json", b"application/json; charset=utf-8"),
        request.replace(b"POST /v1/chat/completions", b"POST /v1/chat/completions?a=b"),
        road.request(user="x" * 70_000),
        in_chunks(request),
    ):
        road.line.sendall(one)
        assert b"200 OK" in road.answer(), one[:80]
    assert road.taken() == 0


def test_a_caller_that_waits_for_leave_to_send_gets_it(road: Road) -> None:
    head, _, body = road.request().partition(b"\r\n\r\n")
    road.line.sendall(head + b"\r\nexpect: 100-continue\r\n\r\n")
    assert road.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    road.line.sendall(body)
    assert b"200 OK" in road.answer()


def test_requests_sent_at_once_are_answered_in_their_order(road: Road) -> None:
    road.engine.script.delay = 0.2
    road.line.sendall(road.request(stream=True) + road.request() + road.request(stream=True))
    assert b"text/event-stream" in road.until(b"\r\n0\r\n\r\n")
    assert b"application/json" in road.answer()
    assert b"text/event-stream" in road.until(b"\r\n0\r\n\r\n")
    assert len(road.engine.requests) == 3


def test_an_engine_that_dies_before_its_answer_is_asked_once_more(road: Road) -> None:
    road.engine.script.die_before_answer = 1
    road.send()
    assert b"200 OK" in road.answer()
    assert len(road.engine.requests) == 2
    assert road.taken() == 1


def test_an_engine_that_dies_twice_is_an_error_502(road: Road) -> None:
    road.engine.script.die_before_answer = 2
    road.send()
    answer = road.answer()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"upstream_unavailable" in answer
    assert len(road.engine.requests) == 2
    road.send()
    assert b"200 OK" in road.answer(), "the caller's connection is still good"


def test_a_cut_stream_says_so_and_leaves_the_caller_its_connection(road: Road) -> None:
    road.engine.script.cut_after = 2
    road.send(stream=True)
    answer = road.until(b"\r\n0\r\n\r\n")
    assert b"upstream_interrupted" in answer
    assert b"[DONE]" not in answer
    road.engine.script.cut_after = None
    road.send()
    assert b"200 OK" in road.answer()


@pytest.mark.parametrize(("status", "seen"), [(422, b"HTTP/1.1 422 "), (500, b"HTTP/1.1 500 "), (401, b"HTTP/1.1 502 ")])
def test_a_refusal_of_the_engine_goes_the_long_way(road: Road, status: int, seen: bytes) -> None:
    road.engine.script.status = status
    road.send()
    assert road.answer().startswith(seen)
    assert len(road.engine.requests) == 1


def test_a_page_instead_of_json_is_never_passed_on(road: Road) -> None:
    road.engine.script.content_type, road.engine.script.body = "text/html", b"<h1>hello</h1>"
    road.send()
    answer = road.answer()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"<h1>" not in answer


def test_a_large_answer_passes_whole(road: Road) -> None:
    road.engine.script.body = b'{"choices":[],"text":"' + b"x" * 3_000_000 + b'","usage":{"completion_tokens":9}}'
    road.send()
    head, _, body = road.answer().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == road.engine.script.body


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_caller_that_hangs_up_stops_the_engine_at_once(road: Road, is_stream: bool) -> None:
    road.engine.script.delay, road.engine.script.words = (0.05, 400) if is_stream else (20.0, 1)
    road.send(stream=is_stream)
    eventually(lambda: road.engine.open_requests == 1)
    if is_stream:
        road.until(b"data: ")
    hung_up = time.monotonic()
    road.line.close()
    eventually(lambda: road.engine.requests[0].hung_up_at)
    assert (road.engine.requests[0].hung_up_at or 0) - hung_up < 1
    assert road.taken() == 1


def test_a_slow_reader_gets_everything_and_holds_the_engine_back(road: Road) -> None:
    road.engine.script.words, road.engine.script.word = 400, "x" * 100_000
    assert road.tenant.server.process is not None
    portal = psutil.Process(road.tenant.server.process.pid)
    before = portal.memory_info().rss
    road.send(stream=True)
    time.sleep(1)
    assert portal.memory_info().rss - before < 20_000_000, "40 MB are on their way and nobody reads"
    count, tail = 0, b""
    while not tail.endswith(b"\r\n0\r\n\r\n"):
        part = road.line.recv(1 << 20)
        assert part
        count, tail = count + part.count(b"x"), (tail + part)[-16:]
    assert count >= 400 * 100_000
    assert road.taken() == 1


def test_heads_without_end_are_cut(road: Road) -> None:
    road.line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-long: ")
    try:
        for _ in range(40):
            road.line.sendall(b"a" * 10_000)
    except ConnectionError:
        pass
    said = b""
    try:
        while part := road.line.recv(4096):
            said += part
    except ConnectionError:  # what we sent beyond the limit was never read
        pass
    assert said == b"" or said.startswith(b"HTTP/1.1 431 ")
