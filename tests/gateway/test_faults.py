"""Engines and callers that go away, refuse, stall or talk nonsense (F30 to F33)."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import openai
import pytest

from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

HELLO = [{"role": "user", "content": "Hello"}]
BODY = {"model": "tiny-chat", "messages": HELLO}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def client(tenant: Tenant, engine: OpenAIBackend) -> openai.OpenAI:
    tenant.endpoint("tiny-chat", engine.url, token="engine-token")
    return tenant.wait_for("tiny-chat")


def stream_lines(tenant: Tenant, key: str) -> list[str]:
    with httpx.stream("POST", f"{tenant.server.url}/v1/chat/completions", json={**BODY, "stream": True},
                      headers={"authorization": f"Bearer {key}"}) as answer:
        assert answer.status_code == 200
        return [line for line in answer.iter_lines() if line]


@pytest.mark.parametrize("cut_after", [1, 3])
def test_a_cut_stream_ends_with_an_error_and_without_done(
    tenant: Tenant, client: openai.OpenAI, engine: OpenAIBackend, cut_after: int,
) -> None:
    engine.script.cut_after, engine.script.delay = cut_after, 0.01
    lines = stream_lines(tenant, client.api_key)
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["type"] == "upstream_interrupted"
    assert len(lines) == cut_after + 1
    assert not any("[DONE]" in line for line in lines)


def test_a_stream_that_is_whole_ends_with_done(tenant: Tenant, client: openai.OpenAI) -> None:
    assert stream_lines(tenant, client.api_key)[-1] == "data: [DONE]"


def test_the_openai_client_raises_on_a_cut_stream(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.cut_after, engine.script.delay = 2, 0.01
    with pytest.raises(openai.APIError, match="middle of the answer"):
        list(client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=True))


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_caller_that_hangs_up_stops_the_engine_within_a_second(
    tenant: Tenant, client: openai.OpenAI, engine: OpenAIBackend, is_stream: bool,
) -> None:
    engine.script.delay, engine.script.words = (0.05, 400) if is_stream else (20.0, 1)
    body = json.dumps({**BODY, "stream": is_stream}).encode()
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.api_key}\r\n"
               f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body
    with socket.create_connection(("127.0.0.1", tenant.server.port)) as caller:
        caller.sendall(request)
        eventually(lambda: engine.open_requests == 1)
        if is_stream:
            caller.recv(100)
    hung_up = time.monotonic()
    eventually(lambda: engine.requests[0].hung_up_at)
    assert (engine.requests[0].hung_up_at or 0) - hung_up < 1


def test_200_callers_that_hang_up_leave_nothing_open(tenant: Tenant, client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.delay, engine.script.words = 0.05, 400
    body = json.dumps({**BODY, "stream": True}).encode()
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.api_key}\r\n"
               f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body
    callers = [socket.create_connection(("127.0.0.1", tenant.server.port)) for _ in range(200)]
    for caller in callers:
        caller.sendall(request)
    eventually(lambda: len(engine.requests) == 200, 10)
    for caller in callers:
        caller.close()
    eventually(lambda: engine.open_requests == 0, 2)


def test_an_engine_that_dies_before_its_answer_is_asked_once_more(
    client: openai.OpenAI, engine: OpenAIBackend,
) -> None:
    engine.script.die_before_answer = 1
    assert client.chat.completions.create(model="tiny-chat", messages=HELLO).choices
    assert len(engine.requests) == 2


def test_an_engine_that_dies_twice_is_an_error_502(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.die_before_answer = 3
    with pytest.raises(openai.InternalServerError) as refusal:
        client.chat.completions.create(model="tiny-chat", messages=HELLO)
    assert refusal.value.status_code == 502
    assert refusal.value.code == "upstream_unavailable"
    assert len(engine.requests) == 2


def test_two_replicas_share_the_work_and_one_lost_is_not_seen(
    tenant: Tenant, engine: OpenAIBackend, second_engine: OpenAIBackend,
) -> None:
    tenant.endpoint("tiny-chat", engine.url, second_engine.url, token="engine-token")
    client = tenant.wait_for("tiny-chat")
    for _ in range(10):
        client.chat.completions.create(model="tiny-chat", messages=HELLO)
    assert len(engine.requests) == len(second_engine.requests) == 5
    engine.script.die_before_answer = 100
    for _ in range(10):
        client.chat.completions.create(model="tiny-chat", messages=HELLO)


def test_the_least_busy_replica_is_chosen(
    tenant: Tenant, engine: OpenAIBackend, second_engine: OpenAIBackend,
) -> None:
    tenant.endpoint("tiny-chat", engine.url, second_engine.url, token="engine-token")
    client = tenant.wait_for("tiny-chat")
    engine.script.delay = 5.0
    with ThreadPoolExecutor(12) as threads:
        slow = [threads.submit(client.chat.completions.create, model="tiny-chat", messages=HELLO) for _ in range(2)]
        eventually(lambda: engine.open_requests == 1)
        for _ in range(8):
            client.chat.completions.create(model="tiny-chat", messages=HELLO)
        assert len(engine.requests) == 1
        assert all(call.result().choices for call in slow)


def test_a_replica_that_refuses_connections_costs_no_error(tenant: Tenant, engine: OpenAIBackend) -> None:
    tenant.endpoint("tiny-chat", f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}", engine.url,
                    token="engine-token")
    client = tenant.wait_for("tiny-chat")
    for _ in range(6):
        client.chat.completions.create(model="tiny-chat", messages=HELLO)
    assert len(engine.requests) == 6


def test_nobody_listening_is_an_error_502(tenant: Tenant) -> None:
    tenant.endpoint("tiny-chat", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(openai.InternalServerError) as refusal:
        tenant.wait_for("tiny-chat").chat.completions.create(model="tiny-chat", messages=HELLO)
    assert refusal.value.status_code == 502
    assert refusal.value.response.headers["retry-after"] == "2"


def test_a_silent_engine_is_an_error_504(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.delay = 30  # the server of these tests waits 8 s
    with pytest.raises(openai.InternalServerError) as refusal:
        client.chat.completions.create(model="tiny-chat", messages=HELLO)
    assert refusal.value.status_code == 504
    assert len(engine.requests) == 1


def test_an_engine_restarted_between_calls_is_not_seen(tenant: Tenant) -> None:
    with OpenAIBackend() as first:
        port = int(first.url.rpartition(":")[2])
        tenant.endpoint("tiny-chat", first.url)
        client = tenant.wait_for("tiny-chat")
        client.chat.completions.create(model="tiny-chat", messages=HELLO)
    with OpenAIBackend(port=port):
        assert client.chat.completions.create(model="tiny-chat", messages=HELLO).choices


def test_an_engines_refusal_keeps_its_words(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.status = 400
    engine.script.body = json.dumps({"error": {"message": "too long by 7", "type": "BadRequestError", "param": None,
                                               "code": 400}}).encode()
    with pytest.raises(openai.BadRequestError, match="too long by 7"):
        client.chat.completions.create(model="tiny-chat", messages=HELLO)


@pytest.mark.parametrize(("status", "seen"), [(500, 500), (429, 429), (401, 502), (403, 502), (302, 502)])
def test_an_engines_other_refusals_get_our_shape(
    client: openai.OpenAI, engine: OpenAIBackend, status: int, seen: int,
) -> None:
    engine.script.status, engine.script.body, engine.script.content_type = status, b"<b>secret trace</b>", "text/html"
    with pytest.raises(openai.APIStatusError) as refusal:
        client.chat.completions.create(model="tiny-chat", messages=HELLO)
    assert refusal.value.status_code == seen
    assert refusal.value.response.json()["error"]["message"]
    assert "secret" not in refusal.value.response.text


def test_a_page_instead_of_json_is_never_passed_on(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.body, engine.script.content_type = b"<script>alert(1)</script>", "text/html"
    with pytest.raises(openai.InternalServerError) as refusal:
        client.chat.completions.create(model="tiny-chat", messages=HELLO)
    assert refusal.value.status_code == 502
    assert "script" not in refusal.value.response.text


def test_a_slow_reader_holds_the_engine_back_and_not_our_memory(
    tenant: Tenant, client: openai.OpenAI, engine: OpenAIBackend,
) -> None:
    engine.script.words, engine.script.word = 400, "x" * 100_000
    body = json.dumps({**BODY, "stream": True}).encode()
    assert tenant.server.process is not None
    before = resident(tenant.server.process.pid)
    with socket.create_connection(("127.0.0.1", tenant.server.port)) as caller:
        caller.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.api_key}\r\n"
                        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body)
        caller.recv(1000)
        time.sleep(1)  # 80 MB are on their way and nobody reads
        grown = resident(tenant.server.process.pid) - before
    assert grown < 20 * 1024 * 1024


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_200_streams_at_once_all_complete(tenant: Tenant, client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.words, engine.script.delay = 20, 0.02
    with ThreadPoolExecutor(200) as threads:
        all_lines = list(threads.map(lambda _n: stream_lines(tenant, client.api_key), range(200)))
    assert [len(lines) for lines in all_lines] == [21] * 200
    assert all(lines[-1] == "data: [DONE]" for lines in all_lines)
