"""Calls to the portal: signed, with time and size limits, and never redirected."""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from .messages import (
    MAX_ANSWER,
    MAX_CALLS_ANSWER,
    ApiAnswer,
    ApiRequests,
    Enrol,
    EnrolCluster,
    Enrolled,
    EnrolledCluster,
    Malformed,
    Orders,
    Sync,
    decode,
    encode,
)
from .signing import HostKey

T = TypeVar("T")
PREFIX = "/agent/v1"
CONNECT_SECONDS = 5.0


class Away(Exception):
    """The portal can't be reached, or answers nonsense; the call may be repeated."""


class Refused(Exception):
    """The portal understood and refuses; `code` is its stable word."""

    def __init__(self, status: int, code: str, message: str, epoch: int = 0) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.epoch = epoch


def is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


class Client:
    """One connection a call, so that a hung one harms no other. `wall` gives Unix time."""

    def __init__(self, server: str, key: HostKey, host: str = "", *, allow_http: bool = False,
                 wall: Callable[[], float] = time.time) -> None:
        url = urlsplit(server)
        if url.scheme not in ("http", "https") or not url.hostname or url.username:
            raise ValueError(f"the server's address must look like https://portal.example.org, not {server!r}")
        if url.scheme == "http" and not (allow_http or is_loopback(url.hostname)):
            raise ValueError("without https anybody on the way could give orders to this host; use https, "
                             "or --allow-http on a network that you trust")
        self._https, self._name, self._port = url.scheme == "https", url.hostname, url.port
        self._base = url.path.rstrip("/") + PREFIX
        self.key, self.host, self._wall = key, host, wall
        # What the portal's clock shows beyond ours, learned from its refusals.
        self._ahead = 0.0

    def enrol(self, message: Enrol) -> Enrolled:
        return decode(Enrolled, self._call("POST", "/enrol", encode(message)), most=MAX_ANSWER)

    def enrol_cluster(self, message: EnrolCluster) -> EnrolledCluster:
        return decode(EnrolledCluster, self._call("POST", "/cluster/enrol", encode(message)), most=MAX_ANSWER)

    def api_calls(self, version: int, seconds: float = 30.0) -> ApiRequests:
        """Wait for calls to the cluster's API that are newer than `version`; none after 20 s."""
        raw = self._call("GET", f"/cluster/calls?version={version}", b"", seconds, most=MAX_CALLS_ANSWER)
        return self._decoded(ApiRequests, raw, most=MAX_CALLS_ANSWER)

    def answer(self, message: ApiAnswer, seconds: float = 30.0) -> None:
        self._call("POST", "/cluster/answers", encode(message), seconds)

    def sync(self, message: Sync, seconds: float = 10.0) -> Orders:
        return self._decoded(Orders, self._call("POST", "/sync", encode(message), seconds))

    def wake(self, version: int, seconds: float = 30.0) -> int:
        """Wait until what should run here is newer than `version`; the newest number, after 20 s at most."""
        raw = self._call("GET", f"/wake?version={version}", b"", seconds)
        try:
            return int(json.loads(raw)["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise Away("the portal's answer has no version") from error

    def upgrade(self, path: str) -> tuple[str, dict[str, str]]:
        """Where a WebSocket at `path` opens, and the headers that sign its request."""
        name = f"[{self._name}]" if ":" in self._name else self._name
        address = f"{'wss' if self._https else 'ws'}://{name}{f':{self._port}' if self._port else ''}{self._base}{path}"
        return address, self.key.headers(self.host, "GET", self._base + path, b"", self._wall() + self._ahead)

    def dial(self, seconds: float) -> socket.socket:
        """A bare connection to the portal. Raises OSError."""
        opened = socket.create_connection((self._name, self._port or (443 if self._https else 80)), timeout=seconds)
        opened.settimeout(None)
        return opened

    @staticmethod
    def _decoded(kind: type[T], raw: bytes, *, most: int = MAX_ANSWER) -> T:
        try:
            return decode(kind, raw, most=most)
        except Malformed as error:
            raise Away(f"the portal's answer is not understood: {error}") from error

    def _call(self, method: str, path: str, body: bytes, seconds: float = 10.0, *, most: int = MAX_ANSWER) -> bytes:
        try:
            return self._once(method, self._base + path, body, seconds, most)
        except Refused as refusal:
            if refusal.code != "clock":
                raise
        return self._once(method, self._base + path, body, seconds, most)

    def _once(self, method: str, path: str, body: bytes, seconds: float, most: int) -> bytes:
        headers = self.key.headers(self.host, method, path, body, self._wall() + self._ahead)
        headers["Content-Type"] = "application/json"
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._name, self._port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
            connection.sock.settimeout(seconds)
            connection.request(method, path, body=body or None, headers=headers)
            answer = connection.getresponse()
            raw = answer.read(most + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"{type(error).__name__} while calling the portal") from error
        finally:
            connection.close()
        if answer.status == 200:
            return raw
        raise self.refusal(answer.status, raw)

    def refusal(self, status: int, raw: bytes) -> Refused | Away:
        """What an answer other than 200 means; learns the portal's time where our clock was refused."""
        try:
            error = json.loads(raw)["error"]
            refusal = Refused(status, str(error["code"])[:40], str(error["message"])[:300], int(error.get("epoch", 0)))
            if refusal.code == "clock":
                self._ahead = float(error["now"]) - self._wall()
        except (ValueError, KeyError, TypeError, AttributeError):
            return Away(f"the portal answered {status}")
        return Away(str(refusal)) if status >= 500 or status == 429 else refusal
