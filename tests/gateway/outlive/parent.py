"""`manage.py gateway` as a process of its own, with its workers, and streams that know which worker serves them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

import httpx2 as httpx
import psutil

from tests.gateway.server import ROOT, Server, environment, eventually
from tests.rig.servers import free_port


@dataclass
class Parent(Server):
    """The parent of some gateway processes on ports of its own; `start` and `stop` as of every server."""

    workers: int = 2
    admin_port: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, application: str = "", **more: str) -> None:
        self.port, self.admin_port = self.port or free_port(), self.admin_port or free_port()
        command = [sys.executable, "manage.py", "gateway", "--workers", str(self.workers), "--port", str(self.port),
                   "--admin-port", str(self.admin_port)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**environment(self.folder, self.database_url), **self.environment, **more},
                stdout=subprocess.DEVNULL, stderr=log)

    def wait(self, seconds: float = 60) -> None:
        """Until each worker answers."""
        eventually(self._all_answer, seconds)

    def _all_answer(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return self.is_ready and self.figure("portal_gateway_workers") == self.workers

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def is_ready(self) -> bool:
        return self.readiness[0] == 200

    @property
    def readiness(self) -> tuple[int, str]:
        try:
            answer = httpx.get(f"{self.admin}/readyz")
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text.strip()

    def figures(self, name: str) -> dict[str, float]:
        """The samples of this series, by their labels as they are written."""
        lines = [line.rpartition(" ") for line in httpx.get(f"{self.admin}/metrics").text.splitlines()]
        return {series[len(name):]: float(value) for series, _space, value in lines if series.partition("{")[0] == name}

    def figure(self, name: str) -> float:
        """The sum of this series over all workers; -1 where there is none."""
        found = self.figures(name)
        return sum(found.values()) if found else -1.0

    @property
    def pids(self) -> set[int]:
        assert self.process is not None
        return {child.pid for child in psutil.Process(self.process.pid).children()
                if child.status() != psutil.STATUS_ZOMBIE}

    def serving(self, streams: list[Stream]) -> dict[int, list[Stream]]:
        """The streams by the worker that serves them, as the kernel knows its connections."""
        by_port = {stream.port: stream for stream in streams}
        return {pid: [by_port[one.raddr.port] for one in psutil.Process(pid).net_connections("tcp")
                      if one.raddr and one.raddr.port in by_port] for pid in self.pids}


class Stream(threading.Thread):
    """One streamed call on a connection of its own, read to its end in a thread."""

    def __init__(self, server: Server, key: str, **body: Any) -> None:
        super().__init__(daemon=True)
        self.lines: list[bytes] = []
        self.status = 0
        self.failure = ""
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._connection.connect()
        self.port = int(self._connection.sock.getsockname()[1])
        self._key = key
        self._body = json.dumps({"model": "m", "messages": [], "stream": True, **body})
        self.start()

    def run(self) -> None:
        try:
            self._connection.request("POST", "/v1/chat/completions", self._body, {
                "authorization": f"Bearer {self._key}", "content-type": "application/json"})
            answer = self._connection.getresponse()
            self.status = answer.status
            self.lines.extend(line.strip() for line in answer if line.strip())
        except (OSError, HTTPException) as error:
            self.failure = type(error).__name__
        finally:
            self._connection.close()

    @property
    def is_whole(self) -> bool:
        return not self.failure and self.lines[-1:] == [b"data: [DONE]"]
