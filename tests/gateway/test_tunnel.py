"""Hosts that can't be reached: real agents call in, a real portal serves real engines through them."""

from __future__ import annotations

import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import psutil
import pytest

from clusters.models import Engine, Host
from endpoints.models import Backend
from tests.clusters.agent_rig import until
from tests.gateway.server import Server, eventually
from tests.gateway.tunnel_rig import HELLO, Rig, host_of, identity, seen_by, stream_lines, streaming
from tests.gateway.tunnel_tls import tls_door

pytestmark = pytest.mark.slow


def test_a_call_reaches_the_engine_of_a_host_that_listens_nowhere(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    engine = rig.engine(name)
    rig.endpoint("tiny", engine)
    assert Backend.objects.get(endpoint__workspace=rig.tenant.workspace).url == f"tunnel://{host_of(engine).uid.hex}:{engine.port}"
    client = rig.tenant.wait_for("tiny")
    answer = client.chat.completions.create(model="tiny", messages=HELLO)
    assert answer.choices[0].message.content == "word0 word1 word2 word3 word4"
    text = [part.choices[0].delta.content for part in client.chat.completions.create(
        model="tiny", messages=HELLO, stream=True) if part.choices]
    assert "".join(filter(None, text)).split() == [f"word{n}" for n in range(5)]
    assert [(one["path"], one["authorization"]) for one in seen_by(engine)] == [("/v1/chat/completions", None)] * 2
    assert [c for c in psutil.Process(agent.pid).net_connections() if c.status == psutil.CONN_LISTEN] == []
    listening = [c for c in psutil.Process(engine.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening] == ["127.0.0.1"]


def test_fifty_streams_at_once_all_complete(rig: Rig, name: str) -> None:
    rig.agent(name)
    rig.endpoint("tiny", rig.engine(name, words=20, delay=0.05))
    key = rig.tenant.wait_for("tiny").api_key
    rig.wait_for_sockets(4)
    with ThreadPoolExecutor(50) as threads:
        all_lines = list(threads.map(lambda _n: stream_lines(rig, key, "tiny"), range(50)))
    assert [len(lines) for lines in all_lines] == [21] * 50
    assert all(lines[-1] == "data: [DONE]" for lines in all_lines)


def test_connections_are_kept_and_make_room_for_another_endpoint(rig: Rig, name: str) -> None:
    rig.agent(name)
    rig.endpoint("first", rig.engine(name, delay=0.3))
    rig.endpoint("second", rig.engine(name))
    client = rig.tenant.wait_for("second")
    rig.wait_for_sockets(4)

    def call(model: str) -> bool:
        return bool(client.chat.completions.create(model=model, messages=HELLO).choices)

    with ThreadPoolExecutor(64) as threads:
        assert all(threads.map(call, ["first"] * 64))
    assert rig.sockets("used") > 8
    assert call("second")


def test_a_request_and_an_answer_larger_than_every_window_arrive_whole(rig: Rig, name: str) -> None:
    rig.agent(name)
    engine = rig.engine(name, words=40, word="x" * 100_000)
    rig.endpoint("tiny", engine)
    client = rig.tenant.wait_for("tiny")
    answer = client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "y" * 3_000_000}])
    assert answer.choices[0].message.content == " ".join(f"{'x' * 100_000}{n}" for n in range(40))
    assert seen_by(engine)[0]["bytes"] > 3_000_000


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_caller_that_hangs_up_stops_the_engine_within_a_second(rig: Rig, name: str, is_stream: bool) -> None:
    rig.agent(name)
    engine = rig.engine(name, words=400, delay=0.05) if is_stream else rig.engine(name, delay=20.0)
    rig.endpoint("tiny", engine)
    client = rig.tenant.wait_for("tiny")
    body = json.dumps({"model": "tiny", "messages": HELLO, "stream": is_stream}).encode()
    with socket.create_connection(("127.0.0.1", rig.server.port)) as caller:
        caller.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.api_key}\r\n"
                        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body)
        eventually(lambda: [one for one in seen_by(engine) if one["open"]])
        if is_stream:
            caller.recv(100)
    hung_up = time.monotonic()
    eventually(lambda: not seen_by(engine)[0]["open"])
    assert seen_by(engine)[0]["hung_up_at"] - hung_up < 1


def test_a_slow_reader_holds_the_engine_back_and_not_the_memory_of_the_portal_or_agent(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    rig.endpoint("tiny", rig.engine(name, words=800, word="x" * 100_000))
    client = rig.tenant.wait_for("tiny")
    assert rig.server.process is not None
    processes = [psutil.Process(pid) for pid in (agent.pid, rig.server.process.pid)]
    before = [process.memory_info().rss for process in processes]
    body = json.dumps({"model": "tiny", "messages": HELLO, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", rig.server.port)) as caller:
        caller.sendall((f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.api_key}\r\n"
                        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body)
        caller.recv(1000)
        time.sleep(1.5)  # 80 MB wait and nobody reads
        grown = [process.memory_info().rss - size for process, size in zip(processes, before, strict=True)]
        assert max(grown) < 20 * 1024 * 1024
        left, size = 5.0, 0
        end = time.monotonic() + left
        while size < 20_000_000 and time.monotonic() < end:
            size += len(caller.recv(1 << 20))
    assert size >= 20_000_000  # and it flows again when somebody reads


def test_an_agent_killed_in_the_middle_is_an_error_and_its_next_life_heals_it(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    engine = rig.engine(name, words=400, delay=0.02)
    rig.endpoint("tiny", engine)
    client = rig.tenant.wait_for("tiny")
    with streaming(rig, client.api_key, "tiny") as lines:
        agent.signal(signal.SIGKILL)
        agent.wait()
        last = lines.result(10)
    assert json.loads(last[-1].removeprefix("data: "))["error"]["type"] == "upstream_interrupted"
    assert not any("[DONE]" in line for line in last)
    eventually(lambda: not seen_by(engine)[0]["open"])
    with pytest.raises(openai.InternalServerError) as refusal:
        client.chat.completions.create(model="tiny", messages=HELLO)
    assert refusal.value.code == "upstream_unavailable"
    agent.start()
    rig.wait_for_sockets()
    assert len([line for line in stream_lines(rig, client.api_key, "tiny") if "word" in line]) == 400
    assert Engine.objects.get(pk=engine.pk).pid == engine.pid


def test_an_engine_killed_in_the_middle_is_an_error(rig: Rig, name: str) -> None:
    rig.agent(name)
    engine = rig.engine(name, words=400, delay=0.02)
    rig.endpoint("tiny", engine)
    client = rig.tenant.wait_for("tiny")
    with streaming(rig, client.api_key, "tiny") as lines:
        psutil.Process(engine.pid).kill()
        last = lines.result(10)
    assert json.loads(last[-1].removeprefix("data: "))["error"]["type"] == "upstream_interrupted"


def test_a_stop_lets_streams_end_and_sockets_come_back_when_the_portal_does(rig: Rig, name: str) -> None:
    rig.agent(name)
    rig.endpoint("tiny", rig.engine(name, words=60, delay=0.02))
    client = rig.tenant.wait_for("tiny")
    rig.wait_for_sockets(4)
    with streaming(rig, client.api_key, "tiny") as lines:
        rig.server.stop()
        assert lines.result(10)[-1] == "data: [DONE]"
    rig.server.start()
    rig.server.wait()
    rig.wait_for_sockets(4)
    assert client.chat.completions.create(model="tiny", messages=HELLO).choices


def test_logs_hold_no_secret(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    rig.endpoint("tiny", rig.engine(name))
    client = rig.tenant.wait_for("tiny")
    client.chat.completions.create(model="tiny", messages=HELLO)
    assert not [secret for secret in (agent.token, identity(agent)["key"], client.api_key)
                if secret in agent.log or secret in rig.server.log]
    assert "X-Agent" not in agent.log + rig.server.log
    for line in agent.log.splitlines():
        json.loads(line)


def test_an_agent_must_start_as_it_was_enrolled(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    until(lambda: Host.objects.filter(node__name=name).first())
    rig.wait_for_sockets()
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    agent.options = ("--local",)
    assert agent.start().wait() == 1
    assert "enrolled with --tunnel" in agent.log
    agent.options = ("--tunnel", "--local")
    assert agent.start().wait() == 2


def test_a_tunnel_to_a_gateway_of_its_own(rig: Rig, name: str, tmp_path: Path) -> None:
    apart = Server(rig.server.folder)
    apart.start("endpoints.gateway.asgi:application")
    try:
        apart.wait()
        rig.agent(name, "--tunnel", "--gateway-url", apart.url)
        rig.endpoint("tiny", rig.engine(name))
        client = openai.OpenAI(api_key=rig.tenant.key(), base_url=f"{apart.url}/v1", max_retries=0)
        with client:
            eventually(lambda: any(m.model_dump()["ready"] for m in client.models.list()))
            assert client.chat.completions.create(model="tiny", messages=HELLO).choices
        assert rig.sockets("idle") == 0
    finally:
        apart.stop()


def test_a_tunnel_through_a_proxy_with_tls(rig: Rig, name: str, tmp_path: Path) -> None:
    with tls_door(tmp_path, rig.server.port) as (url, certificate):
        agent = rig.agent(name, "--tunnel", server=url, SSL_CERT_FILE=str(certificate))
        engine = rig.engine(name)
        rig.endpoint("tiny", engine)
        client = rig.tenant.wait_for("tiny")
        assert client.chat.completions.create(model="tiny", messages=HELLO).choices
        assert "tunnel can't be opened" not in agent.log
        stranger = rig.agent(f"{name}-b", "--tunnel", server=url)
        until(lambda: "portal away" in stranger.log)  # it does not trust this certificate
    assert "VLLM_API_KEY" not in psutil.Process(engine.pid).environ()
