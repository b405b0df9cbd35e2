"""Loaded before Django (``-p tests.rig.environment``): a data folder and secrets of the tests' own, closed sockets.

The portal of this checkout may be running: its database, queue and secrets must never be touched by a test.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import secrets
import shutil
import socket
import tempfile
from typing import Any

import pytest

OURS = "PORTAL_TEST_DATA_DIR"


def own_environment() -> str:
    """Set what settings read; returns the folder when this process made it, else nothing (a worker of xdist)."""
    made = ""
    if OURS not in os.environ:
        made = os.environ[OURS] = tempfile.mkdtemp(prefix="portal-tests-")
        os.environ["PORTAL_TEST_SECRET"] = secrets.token_urlsafe(48)
        os.environ["PORTAL_TEST_FIELD_KEY"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
    for name in [name for name in os.environ if name.startswith("PORTAL_") and not name.startswith("PORTAL_TEST_")]:
        del os.environ[name]
    os.environ["PORTAL_DATA_DIR"] = os.environ[OURS]
    os.environ["PORTAL_SECRET_KEY"] = os.environ["PORTAL_TEST_SECRET"]
    os.environ["PORTAL_FIELD_KEYS"] = os.environ["PORTAL_TEST_FIELD_KEY"]
    os.environ["PORTAL_WRONG_KEYS"] = "1000000"  # all tests call from one address
    return made


def close_sockets() -> None:
    """From now on this process connects to this machine only, and to who is let through."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not is_here(str(address[0])):
            raise OSError(f"tests may not connect to {address[0]}")

    def guarded(self: socket.socket, address: Any) -> None:
        refuse(self, address)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        refuse(self, address)
        return connect_ex(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
    socket.socket.connect_ex = guarded_ex  # type: ignore[method-assign]


_let_through: set[str] = set()


def let_through(host: str) -> None:
    """Open the sockets to the one host of a test against something real."""
    _let_through.update(str(found[4][0]) for found in socket.getaddrinfo(host, None))


def is_here(host: str) -> bool:
    if host in _let_through:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback or host in ("0.0.0.0", "::")
    except ValueError:
        return host in ("localhost", "")


_made = own_environment()
close_sockets()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _made:
        shutil.rmtree(_made, ignore_errors=True)
