"""How a host comes in, and how every later call is known to be its own."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from clusters import services
from clusters.agent.messages import Enrol, Gpu, Inventory, encode
from clusters.agent.signing import HostKey
from clusters.models import Accelerator, AgentNonce, Cluster, EnrolmentToken, Host, Node
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import Invalid, NotAllowed
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_cluster

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
INVENTORY = Inventory(cpu_millis=8000, memory_bytes=32 * GIB, memory_used_by_others=GIB, disk_bytes=100 * GIB,
                      disk_free_bytes=50 * GIB, system="Linux", releases=("small-1",),
                      gpus=(Gpu(0, "GPU-1", "NVIDIA H100", 80 * GIB, GIB),))


class Agent:
    """Speaks the protocol by hand, so that a test can bend it."""

    def __init__(self, peer: str = "127.0.0.1") -> None:
        self.key, self.http, self.peer, self.host = HostKey.draw(), Client(), peer, ""

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
        headers = self.key.headers(self.host, method, path, body, time.time()) if headers is None else headers
        return self.http.generic(method, path, body, content_type="application/json", headers=headers,
                                 REMOTE_ADDR=self.peer)

    def enrol(self, token: str, name: str = "host-1", **values: Any) -> Any:
        message = Enrol(token=token, public_key=self.key.public, name=name, address="", local=True,
                        agent_version="0.1.0", inventory=INVENTORY)
        answer = self.send("POST", "/agent/v1/enrol", encode(replace(message, **values)))
        self.host = answer.json().get("host", "")
        return answer

    def sync(self, **values: Any) -> Any:
        body = {"epoch": 1, "agent_version": "0.1.0", "conditions": [], "engines": [], "inventory": None, **values}
        return self.send("POST", "/agent/v1/sync", json.dumps(body).encode())


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def cluster(db: None) -> Cluster:
    return make_cluster()


@pytest.fixture
def token(cluster: Cluster) -> str:
    return services.make_enrolment_token(PORTAL, cluster)[1]


def test_a_token_makes_one_host_with_what_its_machine_has(cluster: Cluster, token: str) -> None:
    agent = Agent()
    assert agent.enrol(token).status_code == 200
    host = Host.objects.get()
    assert (host.node.cluster, str(host), host.address, host.is_local) == (cluster, "host-1", "127.0.0.1", True)
    assert host.releases == ["small-1"]
    assert (host.node.cpu_millis, host.node.memory_bytes, host.node.memory_used_by_others) == (8000, 32 * GIB, GIB)
    gpu = Accelerator.objects.get()
    assert (gpu.index, gpu.model, gpu.memory_bytes, gpu.used_by_others) == (0, "NVIDIA H100", 80 * GIB, GIB)
    assert agent.sync().status_code == 200
    assert AuditEntry.objects.filter(verb="enrol host").exists()


def test_a_token_is_kept_as_a_digest_and_shown_once(cluster: Cluster) -> None:
    row, text = services.make_enrolment_token(PORTAL, cluster)
    assert timedelta(minutes=14) < row.expires_at - timezone.now() <= timedelta(minutes=15)
    assert text not in json.dumps([str(value) for value in row.__dict__.values()])
    entry = AuditEntry.objects.get(verb="make enrolment token")
    assert text not in json.dumps(entry.after)
    assert row.digest not in json.dumps(entry.after)


def test_only_operators_make_tokens(cast: Cast, cluster: Cluster) -> None:
    with pytest.raises(NotAllowed):
        services.make_enrolment_token(cast.actor("alice"), cluster)
    assert services.make_enrolment_token(cast.actor("operator"), cluster)[0].created_by == cast.operator


def test_only_a_place_of_hosts_takes_agents(db: None) -> None:
    with pytest.raises(Invalid):
        services.make_enrolment_token(PORTAL, make_cluster("eks", kind="kubernetes"))


def test_a_second_agent_cannot_use_the_token(token: str) -> None:
    assert Agent().enrol(token).status_code == 200
    assert code(Agent().enrol(token, "host-2")) == (401, "bad_token")
    assert Host.objects.count() == 1


def test_the_same_agent_may_repeat_its_enrolment(token: str) -> None:
    agent = Agent()
    first, second = agent.enrol(token), agent.enrol(token)
    assert (second.status_code, second.json()) == (200, first.json())
    assert Host.objects.count() == 1


@pytest.mark.parametrize("spoil", ["unknown", "expired"])
def test_no_host_without_a_good_token(token: str, spoil: str) -> None:
    if spoil == "expired":
        EnrolmentToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert code(Agent().enrol(token if spoil == "expired" else "agent-nonsense")) == (401, "bad_token")
    assert not Node.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_agents_that_race_with_one_token_make_one_host(cluster: Cluster, token: str) -> None:
    start, answers = threading.Barrier(2), []

    def race(name: str) -> None:
        agent = Agent()
        start.wait()
        answers.append(agent.enrol(token, name).status_code)
        connection.close()

    threads = [threading.Thread(target=race, args=(f"host-{n}",)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 401]
    assert Host.objects.count() == 1


def test_a_name_is_enrolled_once_and_the_attempt_is_noted(cluster: Cluster, token: str) -> None:
    Agent().enrol(token)
    second = services.make_enrolment_token(PORTAL, cluster)[1]
    answer = Agent().enrol(second)
    assert code(answer) == (409, "already_enrolled")
    assert "agent already enrolled" in answer.json()["error"]["message"]
    assert AuditEntry.objects.filter(verb="refuse enrolment").count() == 1
    assert Agent().enrol(second, "host-2").status_code == 200, "a refused attempt uses no token up"


@pytest.mark.parametrize(("peer", "address", "local", "made"), [
    ("192.0.2.7", "", False, "192.0.2.7"),
    ("192.0.2.7", "192.0.2.7", False, "192.0.2.7"),
    ("192.0.2.7", "192.0.2.8", False, ""),
    ("192.0.2.7", "169.254.169.254", False, ""),
    ("169.254.1.1", "", False, ""),
    ("127.0.0.1", "", False, ""),
    ("192.0.2.7", "", True, ""),
    ("127.0.0.1", "192.0.2.7", True, ""),
    ("::1", "", True, "127.0.0.1"),
])
def test_the_address_is_the_peer_or_loopback_here(token: str, peer: str, address: str, local: bool, made: str) -> None:
    answer = Agent(peer).enrol(token, address=address, local=local)
    assert answer.status_code == (200 if made else 422)
    assert list(Host.objects.values_list("address", flat=True)) == ([made] if made else [])


def test_a_token_may_name_another_address(cluster: Cluster) -> None:
    token = services.make_enrolment_token(PORTAL, cluster, address="198.51.100.9")[1]
    assert Agent("192.0.2.7").enrol(token, local=False).status_code == 200
    assert Host.objects.get().address == "198.51.100.9"
    with pytest.raises(Invalid):
        services.make_enrolment_token(PORTAL, cluster, address="169.254.169.254")


def test_an_enrolment_must_be_signed_with_the_key_that_it_brings(token: str) -> None:
    thief, victim = Agent(), Agent()
    assert code(thief.enrol(token, public_key=victim.key.public)) == (401, "bad_signature")
    assert code(thief.enrol(token, public_key="AAAA")) == (401, "bad_signature")
    assert not Host.objects.exists()


class TestSignedCalls:
    PATH = "/agent/v1/sync"
    BODY = b'{"epoch":1,"agent_version":"0.1.0","conditions":[],"engines":[]}'

    @pytest.fixture
    def agent(self, token: str) -> Agent:
        agent = Agent()
        agent.enrol(token)
        return agent

    def headers(self, agent: Agent, *, method: str = "POST", path: str = PATH, body: bytes = BODY,
                late: float = 0.0) -> dict[str, str]:
        return agent.key.headers(agent.host, method, path, body, time.time() + late)

    def test_a_captured_call_is_refused_as_replayed(self, agent: Agent) -> None:
        headers = self.headers(agent)
        assert agent.send("POST", self.PATH, self.BODY, headers).status_code == 200
        assert code(agent.send("POST", self.PATH, self.BODY, headers)) == (401, "replayed")

    @pytest.mark.parametrize("bend", [
        {"method": "GET"}, {"path": "/agent/v1/wake?version=0"}, {"body": b"{}"}])
    def test_the_signature_covers_method_path_and_body(self, agent: Agent, bend: dict[str, Any]) -> None:
        assert code(agent.send("POST", self.PATH, self.BODY, self.headers(agent, **bend))) == (401, "unknown_host")

    @pytest.mark.parametrize("name", ["X-Agent-Host", "X-Agent-Time", "X-Agent-Nonce", "X-Agent-Signature"])
    def test_every_header_counts(self, agent: Agent, name: str) -> None:
        assert agent.send("POST", self.PATH, self.BODY, self.headers(agent) | {name: "0" * 32}).status_code == 401
        headers = self.headers(agent)
        del headers[name]
        assert agent.send("POST", self.PATH, self.BODY, headers).status_code == 401

    @pytest.mark.parametrize("late", [-600.0, -70.0, 70.0, 600.0])
    def test_an_old_or_early_call_learns_the_time_and_nothing_else(self, agent: Agent, late: float) -> None:
        answer = agent.send("POST", self.PATH, self.BODY, self.headers(agent, late=late))
        assert code(answer) == (401, "clock")
        assert abs(answer.json()["error"]["now"] - time.time()) < 5
        assert not AgentNonce.objects.exists()

    def test_a_stranger_and_a_forger_get_the_same_answer(self, agent: Agent) -> None:
        forger, stranger = Agent(), Agent()
        forger.host, stranger.host = agent.host, "0" * 32
        answers = [each.send("POST", self.PATH, self.BODY) for each in (forger, stranger)]
        assert answers[0].content == answers[1].content
        assert code(answers[0]) == (401, "unknown_host")

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"epoch":1,"epoch":1}', b'{"epoch":NaN}', b"\xff",
                                      BODY[:-1] + b',"more":1}', BODY.replace(b"1,", b"true,", 1), b"[" * 100_000])
    def test_a_malformed_report_is_refused(self, agent: Agent, body: bytes) -> None:
        assert code(agent.send("POST", self.PATH, body)) == (422, "malformed")

    def test_a_report_that_is_too_long_is_refused(self, agent: Agent) -> None:
        body = b'{"epoch":1,"x":"' + b"x" * 2**21 + b'"}'
        assert code(agent.send("POST", self.PATH, body)) == (422, "malformed")

    def test_other_methods_are_refused(self, agent: Agent) -> None:
        assert agent.send("GET", self.PATH, b"").status_code == 405
        assert agent.send("POST", "/agent/v1/wake?version=1", b"").status_code == 405


def test_the_command_makes_the_place_of_this_machine_and_a_file_for_its_owner_only(tmp_path: Path, db: None,
                                                                                  capsys: Any) -> None:
    path = tmp_path / "agent" / "token"
    call_command("agent_token", "--local", "--write", str(path))
    call_command("agent_token", "--local", "--write", str(path))
    text = path.read_text().strip()
    assert text not in capsys.readouterr().out
    assert path.stat().st_mode & 0o777 == 0o600
    assert [(c.name, c.kind) for c in Cluster.objects.all()] == [("this-machine", "hosts")]
    assert Agent().enrol(text).status_code == 200
