"""Addresses that operators may name, and tricks that they may not (threats T17-T19)."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from pytest_django import Settings

from portal.tenancy.net import AddressRefused, check_url, checked_addresses

GOOD = {
    "https://10.0.0.1:6443": "https://10.0.0.1:6443",
    "https://192.168.49.2:8443": "https://192.168.49.2:8443",
    "https://172.16.0.9": "https://172.16.0.9",
    "https://100.64.3.7:6443": "https://100.64.3.7:6443",
    "https://203.0.113.8:443/": "https://203.0.113.8",
    "https://Kube.Example.ORG": "https://kube.example.org",
    "https://ABCDEF.gr7.eu-west-1.eks.amazonaws.com": "https://abcdef.gr7.eu-west-1.eks.amazonaws.com",
    "https://rancher.example.org/k8s/clusters/c-m-abc123": "https://rancher.example.org/k8s/clusters/c-m-abc123",
    "https://[fd12:3456::1]:6443": "https://[fd12:3456::1]:6443",
    "https://[2001:db8::1]": "https://[2001:db8::1]",
    "https://xn--bcher-kva.example:6443": "https://xn--bcher-kva.example:6443",
    "https://kubernetes.default.svc:443/": "https://kubernetes.default.svc",
    "https://[64:ff9b::0808:0808]:6443": "https://[64:ff9b::0808:0808]:6443",
}
BAD = [
    # other schemes and shapes
    "", "10.0.0.1:6443", "//10.0.0.1", "http://10.0.0.1:6443", "HTTPS://10.0.0.1", "ftp://10.0.0.1", "file:///etc/passwd",
    "gopher://10.0.0.1:6379/_x", "unix:///var/run/docker.sock", "s3://../", "s3://bucket/../../", "https:/10.0.0.1",
    "https://", "https:///x", "https://a b.example", " https://10.0.0.1", "https://10.0.0.1 ", "https://10.0.0.1\n",
    "https://kube.example\r\nX-Evil: 1", "https://kube.example/%0d%0aX-Evil", "https://kube.example\\@10.0.0.1",
    "https://10.0.0.1\\x", "https://kube.example/a\\b", "https://kübe.example", "https://kube.example/\u2028",
    # users, queries, fragments, paths that climb
    "https://user@kube.example", "https://user:pass@kube.example", "https://kube.example@169.254.169.254",
    "https://kube.example?x=1", "https://kube.example#x", "https://kube.example/../x", "https://kube.example/a/%2e%2e/x",
    "https://kube.example/a%2Fb", "https://kube.example/./x",
    # ports of other protocols, and none
    "https://10.0.0.1:22", "https://10.0.0.1:25", "https://10.0.0.1:6379", "https://10.0.0.1:3306", "https://10.0.0.1:0",
    "https://10.0.0.1:65536", "https://10.0.0.1:", "https://10.0.0.1:-1", "https://10.0.0.1:6443x", "https://10.0.0.1:5432",
    # metadata and link-local
    "https://169.254.169.254", "https://169.254.170.2", "https://[fd00:ec2::254]", "https://[fd00:ec2::23]",
    "https://[fd20:ce::254]", "https://168.63.129.16", "https://100.100.100.200", "https://192.0.0.192", "https://[fe80::1]",
    "https://[fe80::1%25eth0]", "https://[fe80::1%eth0]",
    # this machine by other spellings, unspecified, multicast, broadcast, reserved
    "https://0.0.0.0", "https://0.1.2.3", "https://[::]", "https://224.0.0.1", "https://[ff02::1]", "https://255.255.255.255",
    "https://240.0.0.1", "https://127.1", "https://127.0.1", "https://2130706433", "https://0x7f000001", "https://0x7f.0.0.1",
    "https://0177.0.0.1", "https://017700000001", "https://127.0.0.0x1", "https://127.0.0.1.", "https://localhost.",
    "https://1.2.3.4.5", "https://256.1.1.1", "https://0x", "https://kube.example.",
    # IPv4 inside IPv6
    "https://[::ffff:169.254.169.254]", "https://[::ffff:a9fe:a9fe]", "https://[::ffff:10.0.0.1]", "https://[::7f00:1]",
    "https://[::ffff:127.0.0.1]", "https://[64:ff9b::a9fe:a9fe]", "https://[64:ff9b::7f00:1]", "https://[64:ff9b::a00:1]",
    "https://[64:ff9b:1::1]", "https://[2002:7f00:1::]", "https://[2001:0:7f00:1::]", "https://[fec0::1]",
    # names that are none
    "https://-kube.example", "https://kube-.example", "https://ku_be.example", "https://.example", "https://a..b",
    "https://[kube.example]", "https://[10.0.0.1]", f"https://{'a' * 64}.example", f"https://{'a.' * 130}example",
    "https://kube.example/" + "a" * 300,
]
LOOPBACK = ["https://127.0.0.1:6443", "https://127.8.9.10", "https://[::1]:6443", "https://localhost:6443",
            "https://kube.localhost"]


@pytest.mark.parametrize("text", GOOD)
def test_an_honest_address_is_taken(text: str) -> None:
    assert str(check_url(text)) == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:60])
def test_a_trick_is_refused_with_one_sentence(text: str) -> None:
    with pytest.raises(AddressRefused, match=r"\Aaddress not allowed\Z"):
        check_url(text)


@pytest.mark.parametrize("text", LOOPBACK)
def test_this_machine_is_for_portals_of_this_machine(text: str, settings: Settings) -> None:
    settings.PORTAL_ALLOW_LOOPBACK = True
    check_url(text)
    settings.PORTAL_ALLOW_LOOPBACK = False
    with pytest.raises(AddressRefused):
        check_url(text)


def test_http_is_taken_only_where_the_caller_allows_it() -> None:
    assert str(check_url("http://prometheus.monitoring:9090", schemes=("http", "https"))).startswith("http://")


def answers(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Play a resolver; the list gets a line for each time that it is asked."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_how: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_name_is_resolved_once_and_all_its_addresses_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, "10.0.0.1", "10.0.0.2", "10.0.0.1")
    assert checked_addresses("kube.example", 6443) == ["10.0.0.1", "10.0.0.2"]
    assert asked == ["kube.example"]


@pytest.mark.parametrize("bad", ["169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "fe80::1%eth0", "127.0.0.1"])
def test_one_bad_answer_among_many_refuses_the_name(monkeypatch: pytest.MonkeyPatch, bad: str, settings: Settings) -> None:
    settings.PORTAL_ALLOW_LOOPBACK = False
    answers(monkeypatch, *["10.0.0.1"] * 20, bad)
    with pytest.raises(AddressRefused):
        checked_addresses("kube.example", 6443)


def test_a_name_that_nobody_knows_is_an_os_error() -> None:
    with pytest.raises(socket.gaierror):
        checked_addresses("nowhere.invalid", 6443)


def test_this_machine_resolves_here(settings: Settings) -> None:
    settings.PORTAL_ALLOW_LOOPBACK = True
    assert "127.0.0.1" in checked_addresses("localhost", 6443)
    with pytest.raises(AddressRefused):
        checked_addresses("localhost", 6379)
