"""Where a request comes from, as far as what is counted by address needs to know it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

NOWHERE = "0.0.0.0"  # noqa: S104 - where the server knows none, as behind a socket file
NETWORK_BITS = 64  # of an IPv6 address: one home's or one machine's network


def address_of(request: HttpRequest) -> str:
    """The caller's address, or NOWHERE."""
    return address(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))


def place_of(request: HttpRequest) -> str:
    """The caller's address, or of IPv6 its network; NOWHERE where it is not known."""
    return place(address_of(request))


def address(peer: str, forwarded: str) -> str:
    """The address at the other end of the line, or what the operator's proxy says of it; NOWHERE for what is none.

    Of a list of proxies only the last word is that of our own; whoever calls can write the others.
    """
    told = forwarded.rpartition(",")[2] if settings.PORTAL_BEHIND_PROXY else ""
    found = _read(told) or _read(peer)
    return str(found) if found else NOWHERE


def place(text: str) -> str:
    """Of an IPv6 address its network, since a caller has all addresses of it."""
    return str(ip_network(f"{text}/{NETWORK_BITS}", strict=False)) if ":" in text else text


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also in brackets or with a port, as some proxies write it."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
