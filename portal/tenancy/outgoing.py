"""One POST to an address that a tenant named (threats T17-T20): judged, bounded in time and bytes, never redirected.

The name is resolved once, and the connection goes to an address that was judged. Of the answer only its status is
read, so nothing of it can reach a page. Proxies of the environment are not used: they would connect in our place.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping

from .net import AddressRefused, Url, checked_addresses

SECONDS = 10.0
MOST_BYTES = 16 * 1024
AGENT = "inference-portal"
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?\r?")


class NotDelivered(Exception):
    """What went wrong, as one of a few words that tell nothing about the network of the portal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def post(url: Url, body: bytes, headers: Mapping[str, str], *, seconds: float = SECONDS) -> None:
    """Deliver `body`; only an answer of 2xx counts as delivered.

    Raises NotDelivered: "address not allowed", "dns", "refused", "timeout", "tls", "network", "no HTTP" or "status 404".
    """
    deadline = time.monotonic() + seconds
    try:
        addresses = checked_addresses(url.host, url.port, public_only=True)
        with _connected(url, addresses, deadline) as connection:
            connection.settimeout(_left(deadline))
            connection.sendall(_head(url, len(body), headers) + body)
            status = _status(connection, deadline)
    except (AddressRefused, OSError) as error:
        raise NotDelivered(reason_of(error)) from None
    if not 200 <= status < 300:
        raise NotDelivered(f"status {status}")


def reason_of(error: Exception) -> str:
    """The word for a failed connection."""
    for kind, reason in (
        (AddressRefused, "address not allowed"), (socket.gaierror, "dns"), (TimeoutError, "timeout"), (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
    ):
        if isinstance(error, kind):
            return reason
    return "network"


def _connected(url: Url, addresses: list[str], deadline: float) -> socket.socket:
    """The next address is tried only where the one before took no connection."""
    for address in addresses[:-1]:
        try:
            return _connect(url, address, deadline)
        except (ConnectionRefusedError, TimeoutError):
            continue
    return _connect(url, addresses[-1], deadline)


def _connect(url: Url, address: str, deadline: float) -> socket.socket:
    plain = socket.create_connection((address, url.port), _left(deadline))
    if url.scheme == "http":
        return plain
    try:
        plain.settimeout(_left(deadline))
        return ssl.create_default_context().wrap_socket(plain, server_hostname=url.host)
    except OSError:
        plain.close()
        raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _head(url: Url, length: int, headers: Mapping[str, str]) -> bytes:
    host = f"[{url.host}]" if ":" in url.host else url.host
    lines = [f"POST {url.path or '/'} HTTP/1.1", f"Host: {host}:{url.port}", f"User-Agent: {AGENT}",
             f"Content-Length: {length}", "Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _status(connection: socket.socket, deadline: float) -> int:
    """The status of the answer; interim answers (1xx) are passed over. Nothing after the status line is kept."""
    said = b""
    while True:
        line, newline, _rest = said.partition(b"\n")
        if newline:
            found = _STATUS.fullmatch(line)
            if found is None:
                break
            if not found[1].startswith(b"1"):
                return int(found[1])
            _interim, blank, rest = said.partition(b"\r\n\r\n")
            if blank:
                said = rest
                continue
        connection.settimeout(_left(deadline))
        chunk = connection.recv(MOST_BYTES)
        if not chunk or len(said) > MOST_BYTES:
            break
        said += chunk
    raise NotDelivered("no HTTP")
