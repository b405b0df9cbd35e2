"""moto's server, a process of its own, started with the first request that it must answer."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import quote

from tests.simulators.aws.messages import Answer, Request

# Ends with us, however we end: then its standard input does.
PROGRAM = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection", "server", "date"}


class Moto:
    """Sends requests on as they came; moto finds the service by the scope of their signatures."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """
        :raises RuntimeError: moto did not start.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            return self._port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _start(self) -> None:
        """Again on another port if somebody else took the free one meanwhile."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        for _ in range(3):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self._port = probe.getsockname()[1]
            self._process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(self._port)], stdin=subprocess.PIPE,
                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)  # fmt: skip
            if self._is_up(self._process):
                return
        raise RuntimeError("moto's server did not start")

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        until = time.monotonic() + 90  # importing moto takes long on a busy machine
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return process.poll() is None
            time.sleep(0.05)
        return False

    def forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        target = f"{request.path}?{request.query}" if request.query else request.path
        headers = {name: value for name, value in request.headers.items() if name not in (*HOP_BY_HOP, "expect")}
        try:
            connection.request(request.method, target, request.body, headers | {"content-length": str(len(request.body))})
            response = connection.getresponse()
            body = response.read()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
            return Answer(response.status, body, kept)
        finally:
            connection.close()

    def object(self, location: str) -> bytes | None:
        """What lies at s3://bucket/key, seen from inside AWS; None where nothing does."""
        answer = self.forward(_inside("GET", location))
        return answer.body if answer.status == 200 and isinstance(answer.body, bytes) else None

    def put_object(self, location: str, body: bytes) -> None:
        self.forward(_inside("PUT", location, body))

    def reset(self) -> None:
        if self._process is not None:
            self.forward(Request("POST", "/moto-api/reset", "", {"host": "127.0.0.1"}))

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=30)
            self._process = None


def _inside(method: str, location: str, body: bytes = b"") -> Request:
    """A request of AWS's own services; moto looks at the scope only."""
    scope = "AWS4-HMAC-SHA256 Credential=inside/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"
    path = "/" + location.removeprefix("s3://")
    return Request(method, quote(path), "", {"host": "127.0.0.1", "authorization": scope}, body)
