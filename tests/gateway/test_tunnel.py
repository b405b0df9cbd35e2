"""Hosts that can't be reached: real agents call in, a real portal serves real engines through them."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx2 as httpx
import openai
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from clusters.agent.client import Client
from clusters.agent.signing import HostKey
from clusters.models import Engine, Host
from clusters.services import drain, forget_host, undrain
from clusters.states import HostState, Phase
from endpoints.models import Backend
from portal.tenancy.actor import PORTAL
from tests.clusters.agent_rig import AgentProcess, phase_is, stop_engine, until
from tests.gateway.server import Server, Tenant, eventually
from tests.gateway.tunnel_rig import HELLO, Rig, host_of, seen_by

pytestmark = pytest.mark.slow
NUMBERS = itertools.count(1)


@pytest.fixture
def rig(tmp_path: Path, server: Server, tenant: Tenant) -> Iterator[Rig]:
    rig = Rig(tmp_path, server, tenant)
    yield rig
    rig.end()
    eventually(lambda: rig.sockets("idle") + rig.sockets("used") == 0, 10)


@pytest.fixture
def name() -> str:
    return f"host-{next(NUMBERS)}"


def identity(agent: AgentProcess) -> dict[str, str]:
    found: dict[str, str] = json.loads((agent.state_dir / "agent.json").read_text())
    return found


def stream_lines(rig: Rig, key: str, model: str, begun: Event | None = None) -> list[str]:
    """All lines of a streamed answer; `begun` is set with the first one."""
    body = {"model": model, "messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{rig.server.url}/v1/chat/completions", json=body, timeout=30,
                      headers={"authorization": f"Bearer {key}"}) as answer:
        assert answer.status_code == 200, answer.read()
        lines = []
        for line in filter(None, answer.iter_lines()):
            lines.append(line)
            if begun is not None:
                begun.set()
        return lines


@contextmanager
def streaming(rig: Rig, key: str, model: str) -> Iterator[Future[list[str]]]:
    """A stream in the middle of its answer."""
    begun = Event()
    with ThreadPoolExecutor(1) as threads:
        lines = threads.submit(stream_lines, rig, key, model, begun)
        assert begun.wait(10)
        yield lines


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


def test_sockets_come_back_when_the_portal_does(rig: Rig, name: str) -> None:
    rig.agent(name)
    rig.endpoint("tiny", rig.engine(name))
    client = rig.tenant.wait_for("tiny")
    rig.wait_for_sockets(4)
    rig.server.stop()
    rig.server.start()
    rig.server.wait()
    rig.wait_for_sockets(4)
    assert client.chat.completions.create(model="tiny", messages=HELLO).choices


def test_a_port_that_is_no_engines_is_refused(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    host = until(lambda: Host.objects.filter(node__name=name).first(), 15)
    rig.wait_for_sockets(4)
    with socket.create_server(("127.0.0.1", 0)) as private:
        private.settimeout(0.2)
        rig.tenant.endpoint("spy", f"tunnel://{host.uid.hex}:{private.getsockname()[1]}")
        with pytest.raises(openai.InternalServerError) as refusal:
            rig.tenant.wait_for("spy").chat.completions.create(model="spy", messages=HELLO)
        assert refusal.value.code == "upstream_unavailable"
        with pytest.raises(TimeoutError):
            private.accept()
    assert "no engine's" in agent.log


def test_a_stopped_engines_port_is_refused(rig: Rig, name: str) -> None:
    rig.agent(name)
    engine = rig.engine(name)
    rig.endpoint("tiny", engine)
    client = rig.tenant.wait_for("tiny")
    stop_engine(engine)
    until(lambda: not Engine.objects.filter(pk=engine.pk).exists(), 15)
    with socket.create_server(("127.0.0.1", engine.port or 0)) as heir:
        heir.settimeout(0.2)
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="tiny", messages=HELLO)
        with pytest.raises(TimeoutError):
            heir.accept()


def test_one_host_never_answers_for_another(rig: Rig, name: str) -> None:
    ours, theirs = rig.agent(name), rig.agent(f"{name}-b")
    mine, other = rig.engine(name, word="mine"), rig.engine(f"{name}-b", word="other")
    rig.endpoint("tiny", mine)
    rig.tenant.endpoint("crossed", f"tunnel://{host_of(mine).uid.hex}:{other.port}")
    client = rig.tenant.wait_for("crossed")
    rig.wait_for_sockets(8)
    for _ in range(10):
        words = client.chat.completions.create(model="tiny", messages=HELLO).choices[0].message.content
        assert words is not None
        assert words.startswith("mine0")
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="crossed", messages=HELLO)
    ours.signal(signal.SIGKILL)
    ours.wait()
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="tiny", messages=HELLO)
    assert seen_by(other) == []
    assert theirs.process is not None
    assert theirs.process.poll() is None


class TestRefusals:
    """Who isn't the host gets no socket."""

    @staticmethod
    def opens(server: Server, key: HostKey, host: str, path: str = "/tunnel", **changed: str) -> int:
        """The status of the answer to an opening; 101 where it is let in."""
        address, headers = Client(server.url, key, host).upgrade(path)
        return TestRefusals.status(address, headers | changed)

    @staticmethod
    def status(address: str, headers: dict[str, str]) -> int:
        try:
            with connect(address, additional_headers=headers, proxy=None):
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code

    def test_keys_and_hosts_that_do_not_belong_together(self, rig: Rig, name: str) -> None:
        agents = [rig.agent(f"{name}-{letter}") for letter in "ab"]
        hosts = [until(lambda n=agent.name: Host.objects.filter(node__name=n).first(), 15) for agent in agents]
        keys = [HostKey.from_text(identity(agent)["key"]) for agent in agents]
        uids = [str(host.uid) for host in hosts]
        assert self.opens(rig.server, keys[0], uids[0]) == 101
        assert self.opens(rig.server, keys[1], uids[0]) == 401
        assert self.opens(rig.server, HostKey.draw(), uids[0]) == 401
        assert self.opens(rig.server, keys[0], "") == 401
        assert self.opens(rig.server, keys[0], uids[0], **{"X-Agent-Time": "1"}) == 401
        assert self.opens(rig.server, keys[0], uids[0], **{"X-Agent-Signature": "AAAA"}) == 401
        assert self.opens(rig.server, keys[0], uids[0], "/elsewhere") == 403

    def test_a_recorded_opening_is_good_for_once(self, rig: Rig, name: str) -> None:
        agent = rig.agent(name)
        host = until(lambda: Host.objects.filter(node__name=name).first(), 15)
        address, headers = Client(rig.server.url, HostKey.from_text(identity(agent)["key"]), str(host.uid)).upgrade("/tunnel")
        assert self.status(address, headers) == 101
        assert self.status(address, headers) == 401
        assert self.status(address + "?x=1", Client(rig.server.url, HostKey.from_text(
            identity(agent)["key"]), str(host.uid)).upgrade("/tunnel")[1]) == 401

    def test_a_host_that_was_not_enrolled_so(self, rig: Rig, name: str) -> None:
        agent = rig.agent(name, "--local")
        host = until(lambda: Host.objects.filter(node__name=name).first(), 15)
        assert not host.tunnel
        assert self.opens(rig.server, HostKey.from_text(identity(agent)["key"]), str(host.uid)) == 401

    def test_a_host_with_too_many_sockets(self, rig: Rig, name: str) -> None:
        agent = rig.agent(name)
        host = until(lambda: Host.objects.filter(node__name=name).first(), 15)
        key = HostKey.from_text(identity(agent)["key"])
        rig.wait_for_sockets(4)
        agent.signal(signal.SIGSTOP)
        opened = []
        try:
            for _ in range(76):
                address, headers = Client(rig.server.url, key, str(host.uid)).upgrade("/tunnel")
                opened.append(connect(address, additional_headers=headers, proxy=None, legacy=True))
            assert self.opens(rig.server, key, str(host.uid)) == 401
        finally:
            for one in opened:
                one.close()
            agent.signal(signal.SIGCONT)

    def test_an_agent_that_speaks_out_of_turn_is_cut_off(self, rig: Rig, name: str) -> None:
        agent = rig.agent(name)
        host = until(lambda: Host.objects.filter(node__name=name).first(), 15)
        address, headers = Client(rig.server.url, HostKey.from_text(identity(agent)["key"]), str(host.uid)).upgrade("/tunnel")
        with connect(address, additional_headers=headers, proxy=None) as rude:
            rude.send(b"HTTP/1.1 200 OK\r\n\r\n")
            assert list(itertools.islice(_messages(rude), 1)) == []
        assert rude.close_code == 1008


def _messages(socket: object) -> Iterator[object]:
    from websockets.exceptions import ConnectionClosed

    try:
        yield from socket  # type: ignore[misc]
    except ConnectionClosed:
        return


def test_a_forgotten_hosts_sockets_are_closed(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    engine = rig.engine(name, words=1000, delay=0.05)
    rig.endpoint("tiny", engine)
    client = rig.tenant.wait_for("tiny")
    with streaming(rig, client.api_key, "tiny") as lines:
        Host.objects.filter(node__name=name).update(state=HostState.LOST)
        forget_host(PORTAL, Host.objects.get(node__name=name))
        last = lines.result(15)
    assert json.loads(last[-1].removeprefix("data: "))["error"]["type"] == "upstream_interrupted"
    eventually(lambda: rig.sockets("idle") + rig.sockets("used") == 0, 10)
    assert "tunnel can't be opened" in agent.log


def test_a_drained_host_serves_its_engines_to_their_end_and_then_has_no_sockets(rig: Rig, name: str) -> None:
    rig.agent(name)
    engine = rig.engine(name)
    rig.endpoint("tiny", engine)
    client = rig.tenant.wait_for("tiny")
    host = drain(PORTAL, host_of(engine))
    time.sleep(2.5)  # longer than the gateway takes to look
    assert client.chat.completions.create(model="tiny", messages=HELLO).choices
    stop_engine(engine)
    eventually(lambda: rig.sockets("idle") + rig.sockets("used") == 0, 20)
    undrain(PORTAL, host)
    rig.wait_for_sockets(4)


def test_a_host_whose_key_changed_loses_its_sockets(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    until(lambda: Host.objects.filter(node__name=name).first(), 15)
    rig.wait_for_sockets(4)
    Host.objects.filter(node__name=name).update(public_key=HostKey.draw().public)
    eventually(lambda: rig.sockets("idle") == 0, 10)
    until(lambda: "tunnel can't be opened" in agent.log, 10)


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
    until(lambda: Host.objects.filter(node__name=name).first(), 15)
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


def test_a_ready_engine_on_a_tunnel_host_takes_no_key(rig: Rig, name: str) -> None:
    rig.agent(name)
    engine = phase_is(rig.engine(name), Phase.READY)
    assert "VLLM_API_KEY" not in psutil.Process(engine.pid).environ()
