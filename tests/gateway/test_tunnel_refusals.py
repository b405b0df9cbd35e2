"""What a tunnel refuses: ports that are no engine's, openings that no host signed, hosts that are gone."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import time
from collections.abc import Iterator

import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from clusters.agent.client import Client
from clusters.agent.signing import HostKey
from clusters.models import Engine, Host
from clusters.services import drain, forget_host, undrain
from clusters.states import HostState
from portal.tenancy.actor import PORTAL
from tests.clusters.agent_rig import stop_engine, until
from tests.gateway.server import Server, eventually
from tests.gateway.tunnel_rig import HELLO, Rig, host_of, identity, seen_by, streaming

pytestmark = pytest.mark.slow


def test_a_port_that_is_no_engines_is_refused(rig: Rig, name: str) -> None:
    agent = rig.agent(name)
    host = until(lambda: Host.objects.filter(node__name=name).first())
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
    until(lambda: not Engine.objects.filter(pk=engine.pk).exists())
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
    until(lambda: Host.objects.filter(node__name=name).first())
    rig.wait_for_sockets(4)
    Host.objects.filter(node__name=name).update(public_key=HostKey.draw().public)
    eventually(lambda: rig.sockets("idle") == 0, 10)
    until(lambda: "tunnel can't be opened" in agent.log)


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
        hosts = [until(lambda n=agent.name: Host.objects.filter(node__name=n).first()) for agent in agents]
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
        host = until(lambda: Host.objects.filter(node__name=name).first())
        address, headers = Client(rig.server.url, HostKey.from_text(identity(agent)["key"]), str(host.uid)).upgrade("/tunnel")
        assert self.status(address, headers) == 101
        assert self.status(address, headers) == 401
        assert self.status(address + "?x=1", Client(rig.server.url, HostKey.from_text(
            identity(agent)["key"]), str(host.uid)).upgrade("/tunnel")[1]) == 401

    def test_a_host_that_was_not_enrolled_so(self, rig: Rig, name: str) -> None:
        agent = rig.agent(name, "--local")
        host = until(lambda: Host.objects.filter(node__name=name).first())
        assert not host.tunnel
        assert self.opens(rig.server, HostKey.from_text(identity(agent)["key"]), str(host.uid)) == 401

    def test_a_host_with_too_many_sockets(self, rig: Rig, name: str) -> None:
        agent = rig.agent(name)
        host = until(lambda: Host.objects.filter(node__name=name).first())
        key = HostKey.from_text(identity(agent)["key"])
        rig.wait_for_sockets(4)
        agent.signal(signal.SIGSTOP)
        opened = []
        try:
            for _ in range(76):
                address, headers = Client(rig.server.url, key, str(host.uid)).upgrade("/tunnel")
                opened.append(connect(address, additional_headers=headers, proxy=None, legacy=True))
            assert self.opens(rig.server, key, str(host.uid)) == 429
        finally:
            for one in opened:
                one.close()
            agent.signal(signal.SIGCONT)

    def test_an_agent_that_speaks_out_of_turn_is_cut_off(self, rig: Rig, name: str) -> None:
        agent = rig.agent(name)
        host = until(lambda: Host.objects.filter(node__name=name).first())
        address, headers = Client(rig.server.url, HostKey.from_text(identity(agent)["key"]), str(host.uid)).upgrade("/tunnel")
        with connect(address, additional_headers=headers, proxy=None) as rude:
            rude.send(b"HTTP/1.1 200 OK\r\n\r\n")
            assert list(itertools.islice(_messages(rude), 1)) == []
        assert rude.close_code == 1008


def _messages(tunnel: ClientConnection) -> Iterator[object]:
    try:
        yield from tunnel
    except ConnectionClosed:
        return
