"""Hosts whose agents open the connections: how they come in, where their engines are, and who may keep a socket."""

from __future__ import annotations

import time

import pytest

from clusters import services
from clusters.agent.signing import HostKey
from clusters.models import Cluster, Host
from clusters.services import Refusal, SignedCall, authenticate_tunnel, drain, tunnel_keys
from portal.tenancy.actor import PORTAL
from tests.cast import make_cluster, make_host
from tests.clusters.agent_rig import order_engine
from tests.clusters.test_enrolment import Agent, code

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
PATH = "/agent/v1/tunnel"


@pytest.fixture
def cluster(db: None) -> Cluster:
    return make_cluster()


@pytest.fixture
def key() -> HostKey:
    return HostKey.draw()


@pytest.fixture
def host(cluster: Cluster, key: HostKey) -> Host:
    host = make_host(cluster)
    Host.objects.update(is_local=False, tunnel=True, public_key=key.public)
    host.refresh_from_db()
    return host


def signed(host: Host, key: HostKey) -> SignedCall:
    head = key.headers(str(host.uid), "GET", PATH, b"", time.time())
    return SignedCall("GET", PATH, b"", *(head[f"X-Agent-{name}"] for name in ("Host", "Time", "Nonce", "Signature")))


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3", "2001:db8::1", "169.254.1.1"])
def test_it_comes_in_from_anywhere_and_has_no_address(cluster: Cluster, peer: str) -> None:
    token = services.make_enrolment_token(PORTAL, cluster)[1]
    answer = Agent(peer).enrol(token, local=False, tunnel=True)
    assert answer.json()["address"] == "127.0.0.1"
    host = Host.objects.get()
    assert (host.tunnel, host.is_local, host.address) == (True, False, "127.0.0.1")


@pytest.mark.parametrize("values", [{"local": True, "tunnel": True}, {"local": False, "tunnel": True, "address": "10.0.0.1"}])
def test_it_can_be_neither_local_nor_elsewhere(cluster: Cluster, values: dict[str, object]) -> None:
    token = services.make_enrolment_token(PORTAL, cluster)[1]
    assert code(Agent().enrol(token, **values)) == (422, "invalid")
    assert not Host.objects.exists()


def test_an_agent_of_before_the_tunnel_comes_in_as_before(cluster: Cluster) -> None:
    token = services.make_enrolment_token(PORTAL, cluster)[1]
    assert Agent("10.1.2.3").enrol(token, local=False).status_code == 200
    assert not Host.objects.get().tunnel


@pytest.mark.parametrize(("values", "url"), [
    ({"is_local": True}, "http://127.0.0.1:8000"), ({"address": "10.1.2.3"}, "http://10.1.2.3:8000"),
    ({"address": "2001:db8::1"}, "http://[2001:db8::1]:8000"), ({"tunnel": True}, "tunnel://{uid}:8000")])
def test_where_the_gateway_reaches_an_engine(values: dict[str, object], url: str) -> None:
    host = Host(**values)
    assert host.address_of(8000) == url.format(uid=host.uid.hex)


def test_its_own_signature_opens_a_socket_and_no_other(host: Host, key: HostKey) -> None:
    assert authenticate_tunnel(signed(host, key)) == (host.uid.hex, key.public)
    with pytest.raises(Refusal):
        authenticate_tunnel(signed(host, HostKey.draw()))
    Host.objects.update(tunnel=False)
    with pytest.raises(Refusal) as refusal:
        authenticate_tunnel(signed(host, key))
    assert refusal.value.code == "no_tunnel"


def test_a_drained_host_may_keep_its_sockets_as_long_as_it_has_an_engine(host: Host, key: HostKey) -> None:
    engine = order_engine(host, "/models/x")
    drain(PORTAL, host)
    assert tunnel_keys([host.uid.hex]) == {host.uid.hex: key.public}
    assert authenticate_tunnel(signed(host, key))
    engine.delete()
    assert tunnel_keys([host.uid.hex]) == {}
    with pytest.raises(Refusal) as refusal:
        authenticate_tunnel(signed(host, key))
    assert refusal.value.code == "drained"


def test_engines_on_loopback_get_no_token(host: Host) -> None:
    order_engine(host, "/models/x")
    agent = Agent()
    agent.key, agent.host = HostKey.draw(), str(host.uid)
    Host.objects.update(public_key=agent.key.public)
    assert [one["token"] for one in agent.sync().json()["engines"]] == [""]
