"""Which addresses the portal may call on somebody's word (threats T17-T19).

Operators name API servers and other services by URL, tenants webhooks. Whatever could reach the portal's own machine, a cloud's
metadata service or another protocol is refused, with one sentence for all reasons. A name is resolved once,
all its addresses are judged, and the caller connects to a judged address, never to the name again. What tenants name
(`public_only`) must lie in the internet, or in a network that an operator opened to them.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from .errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 300
_URL = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
                  r"(?P<path>(?:/[A-Za-z0-9._~-]*)*)")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_DEFAULT_PORTS = {"https": 443, "http": 80}

# Ports of well-known services that speak something else: a request must not reach them by mistake or by trick.
# Below 1024 only the web's own are open.
_WEB_PORTS = frozenset({80, 443})
_OTHER_PROTOCOLS = frozenset({
    1433, 1521, 2049, 2375, 3128, 3306, 3389, 4369, 5432, 5672, 5900, 6000, 6379, 8009, 9042, 11211, 25672, 27017,
})

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_NEVER = tuple(map(ipaddress.ip_network, (
    "0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "168.63.129.16/32",    # Azure's wire server
    "100.100.100.200/32",  # Alibaba Cloud's metadata
    "::/96", "fe80::/10", "fec0::/10", "ff00::/8",
    "::ffff:0:0/96", "2002::/16", "2001::/32", "64:ff9b:1::/48",  # IPv4 inside IPv6: mapped, 6to4, Teredo, local NAT64
    "fd00:ec2::/32", "fd20:ce::/32",  # metadata of AWS and of Google Cloud over IPv6
)))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(Invalid):
    code = "address_not_allowed"

    def __init__(self, field: str = "") -> None:
        super().__init__(_("address not allowed"), field=field)


@dataclass(frozen=True)
class Url:
    """A checked URL; `host` is lower case and without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}{port}{self.path}"


def check_url(
    text: str, *, schemes: Collection[str] = ("https",), field: str = "", public_only: bool = False,
) -> Url:
    """Read a URL strictly: no user, query, fragment, escapes, backslashes or odd spellings of addresses.

    Nothing is resolved; an address in digits is judged at once. Raises AddressRefused.
    """
    found = _URL.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or found["scheme"] not in schemes:
        raise AddressRefused(field)
    host, path = found["host"].strip("[]").lower(), found["path"].rstrip("/")
    port = int(found["port"] or _DEFAULT_PORTS[found["scheme"]])
    if not _is_open(port) or {".", ".."} & set(path.split("/")):
        raise AddressRefused(field)
    address = _address_in(host)
    if found["host"].startswith("[") and not isinstance(address, ipaddress.IPv6Address):
        raise AddressRefused(field)
    if not (_is_name(host) if address is None else _judge(public_only)(address)):
        raise AddressRefused(field)
    return Url(found["scheme"], host, port, path)


def checked_addresses(host: str, port: int, *, public_only: bool = False) -> list[str]:
    """Resolve `host` once; every address that it has, in the resolver's order.

    Raises AddressRefused where any one of them is not allowed, and OSError where the name can't be resolved.
    """
    if not _is_open(port):
        raise AddressRefused()
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    may = _judge(public_only)
    if not all("%" not in text and may(ipaddress.ip_address(text)) for text in found):
        raise AddressRefused()
    return found


def is_allowed(address: Address) -> bool:
    """Whether the portal may connect there. Private networks are allowed: that is where clusters are."""
    if _is_in(address, _LOOPBACK):
        return bool(settings.PORTAL_ALLOW_LOOPBACK)
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner.is_global and is_allowed(inner)
    return not _is_in(address, _NEVER)


def is_public(address: Address) -> bool:
    """Whether the portal may connect there on a tenant's word: the portal's own network is none of a tenant's business."""
    return is_allowed(address) and (address.is_global or _is_in(address, settings.PORTAL_WEBHOOK_NETWORKS))


def _judge(public_only: bool) -> Callable[[Address], bool]:
    return is_public if public_only else is_allowed


def _is_in(address: Address, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _is_open(port: int) -> bool:
    if port < 1024:
        return port in _WEB_PORTS
    return port <= 65535 and port not in _OTHER_PROTOCOLS


def _address_in(host: str) -> Address | None:
    """The address that a host is in its one usual spelling: 127.1, 0x7f.0.0.1 and 2130706433 are none."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """A DNS name whose last part is no number: resolvers read digits there as an address."""
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return bool(settings.PORTAL_ALLOW_LOOPBACK)
    return not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1])
