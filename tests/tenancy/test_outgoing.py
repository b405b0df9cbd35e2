"""A POST on a tenant's word: only where the address may be called, once, and never for longer or more than allowed."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from portal.tenancy.net import AddressRefused, Url, check_url, checked_addresses
from portal.tenancy.outgoing import NotDelivered, post
from tests.rig.mailbox import free_port
from tests.rig.receiver import Receiver, receiver
from tests.simulators.kubernetes.certificates import Authority

HERE = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def here(settings: Settings) -> Iterator[Receiver]:
    """A receiver on this machine, and an operator who lets webhooks go there."""
    settings.PORTAL_ALLOW_LOOPBACK, settings.PORTAL_WEBHOOK_NETWORKS = True, HERE
    with receiver() as server:
        yield server


def url_of(server: Receiver, host: str = "127.0.0.1", scheme: str = "http") -> Url:
    return Url(scheme, host, server.port, "/hook")


def reason(url: Url, **more: Any) -> str:
    with pytest.raises(NotDelivered) as failure:
        post(url, b"{}", {}, **more)
    return failure.value.reason


def answers(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> list[str]:
    """A name server that gives these addresses, one list a question; the questions are kept."""
    asked: list[str] = []
    left, real = list(rounds), socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: Any, **named: Any) -> list[Any]:
        if host[0].isdigit() or ":" in host:
            return real(host, port, *rest, **named)  # an address needs no name server
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr("portal.tenancy.net.socket.getaddrinfo", getaddrinfo)
    return asked


# Threat T17: whatever is not of the internet, however it is spelt.
NOT_PUBLIC = [
    "10.0.0.1", "10.255.255.255", "172.16.0.9", "172.31.1.1", "192.168.1.1", "100.64.3.7", "169.254.169.254", "169.254.170.2",
    "168.63.129.16", "100.100.100.200", "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.8.9.10", "192.0.0.192", "192.0.2.7",
    "198.18.0.1", "198.51.100.2", "203.0.113.8", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::]", "[::1]", "[fe80::1]", "[fd12:3456::1]", "[fc00::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "[ff02::1]",
    "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:8.8.8.8]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::a00:1]",
    "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[fec0::1]",
    "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "127.0.0.1.", "localhost", "localhost.",
    "kube.localhost", "user@8.8.8.8", "8.8.8.8\\@10.0.0.1", "8.8.8.8:22", "8.8.8.8:6379", "8.8.8.8#x", "8.8.8.8?x",
]


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_a_tenant_can_name_nothing_but_the_internet(host: str, settings: Settings) -> None:
    settings.PORTAL_ALLOW_LOOPBACK = False
    for scheme in ("http", "https"):
        with pytest.raises(AddressRefused, match=r"\Aaddress not allowed\Z"):
            check_url(f"{scheme}://{host}/hook", schemes=("http", "https"), public_only=True)


def addresses() -> list[str]:
    """Those of the list that are addresses, as a name server would give them."""
    found = []
    for host in NOT_PUBLIC:
        try:
            found.append(str(ipaddress.ip_address(host.strip("[]"))))
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("address", addresses())
def test_a_name_that_leads_there_is_refused_before_anything_is_sent(
    address: str, settings: Settings, monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.PORTAL_ALLOW_LOOPBACK = False
    answers(monkeypatch, ["8.8.8.8", address])
    with pytest.raises(AddressRefused):
        checked_addresses("hooks.example", 443, public_only=True)


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]", "hooks.example", "[64:ff9b::808:808]"])
def test_the_internet_is_open(host: str) -> None:
    assert check_url(f"https://{host}/a", public_only=True).path == "/a"


def test_an_operator_can_open_a_network_to_webhooks_but_no_metadata(settings: Settings) -> None:
    settings.PORTAL_WEBHOOK_NETWORKS = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("169.254.0.0/16")]
    assert check_url("https://10.1.2.3", public_only=True).host == "10.1.2.3"
    for other in ("https://10.2.0.1", "https://169.254.169.254"):
        with pytest.raises(AddressRefused):
            check_url(other, public_only=True)


def test_it_is_delivered_whole_with_its_headers(here: Receiver) -> None:
    post(url_of(here), b'{"a": 1}', {"Content-Type": "application/json", "X-Id": "7"})
    (call,) = here.calls
    assert (call.line, call.body) == ("POST /hook HTTP/1.1", b'{"a": 1}')
    assert call.headers["x-id"] == "7"
    assert call.headers["host"] == f"127.0.0.1:{here.port}"


def test_a_second_answer_of_the_name_server_is_never_asked_for(here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding (T18): what was judged is what is called, whatever the name says a moment later."""
    asked = answers(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    post(url_of(here, "hooks.example"), b"{}", {})
    assert asked == ["hooks.example"]
    assert here.calls[0].headers["host"] == f"hooks.example:{here.port}"
    assert reason(url_of(here, "hooks.example")) == "address not allowed"
    assert len(here.calls) == 1


def test_where_operators_opened_nothing_this_machine_gets_no_call(here: Receiver, settings: Settings) -> None:
    settings.PORTAL_WEBHOOK_NETWORKS = []
    assert reason(url_of(here)) == "address not allowed"
    assert here.calls == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(here: Receiver, status: int) -> None:
    here.answers = [f"HTTP/1.1 {status} Go\r\nLocation: http://127.0.0.1:{here.port}/other\r\n\r\n".encode()]
    assert reason(url_of(here)) == f"status {status}"
    assert len(here.calls) == 1


@pytest.mark.parametrize(("said", "told"), [
    (b"HTTP/1.1 500 Secret stack trace\r\n\r\nmore", "status 500"), (b"HTTP/1.0 404 No\r\n\r\n", "status 404"),
    (b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 400 Bad\r\n\r\n", "status 400"), (b"", "no HTTP"),
    (b"SSH-2.0-OpenSSH\r\n", "no HTTP"), (b"HTTP/2 200 OK\r\n\r\n", "no HTTP"), (b"x" * 40_000, "no HTTP"),
    (b"HTTP/1.1 200", "no HTTP"), (b"HTTP/1.1 999 Odd\r\n\r\n", "no HTTP"),
])
def test_only_the_status_of_the_answer_is_told(here: Receiver, said: bytes, told: str) -> None:
    here.answers = [said]
    assert reason(url_of(here)) == told


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 202\r\n\r\n", b"HTTP/1.0 204 No Content\n\n",
                                  b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n"])
def test_any_success_will_do(here: Receiver, said: bytes) -> None:
    here.answers = [said]
    post(url_of(here), b"{}", {})


def test_an_endless_answer_is_not_read(here: Receiver) -> None:
    here.answers = [lambda session: endless(session, b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)]
    began = time.monotonic()
    post(url_of(here), b"{}", {})
    assert time.monotonic() - began < 5


def endless(session: Any, first: bytes, then: bytes, pause: float = 0.0) -> None:
    try:
        session.wfile.write(first)
        while True:
            session.wfile.write(then)
            time.sleep(pause)
    except OSError:
        return


@pytest.mark.parametrize("drip", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_one_who_drips_is_cut_after_the_time_in_all(here: Receiver, drip: bytes) -> None:
    here.answers = [lambda session: endless(session, b"", drip, 0.05)]
    began = time.monotonic()
    assert reason(url_of(here), seconds=0.5) == "timeout"
    assert time.monotonic() - began < 5


def test_nobody_there_is_told_in_a_word(here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason(Url("http", "127.0.0.1", free_port(), "/")) == "refused"

    def unknown(*_given: Any, **_named: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "nodename nor servname provided, 10.0.0.53")

    monkeypatch.setattr("portal.tenancy.net.socket.getaddrinfo", unknown)
    assert reason(url_of(here, "nowhere.example")) == "dns"


def test_the_next_address_is_taken_where_the_first_takes_no_connection(here: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    post(url_of(here, "hooks.example"), b"{}", {})
    assert len(here.calls) == 1


def test_a_certificate_is_checked_against_the_name_not_the_address(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.PORTAL_ALLOW_LOOPBACK, settings.PORTAL_WEBHOOK_NETWORKS = True, HERE
    authority, name = Authority(), "kubernetes.default.svc"
    pair = authority.server("127.0.0.1")
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "server.pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem")
    with receiver(context) as server:
        answers(monkeypatch, ["127.0.0.1"])
        assert reason(url_of(server, name, "https")) == "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        post(url_of(server, name, "https"), b"{}", {})
        assert reason(url_of(server, "other.example", "https")) == "tls"
        assert len(server.calls) == 1
