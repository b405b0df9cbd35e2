"""A portal of real processes (web, workers, beats) over a database and a broker of its own, for faults from outside."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from models_catalog.models import Profile
from portal.tenancy.roles import Scope
from tests.cast import GIB, Cast, make_cast, make_cluster, make_host, make_profile
from tests.gateway.server import ROOT, Server, environment, eventually
from tests.portal.apiclient import key_text
from tests.rig.servers import program, running

FILES = "filesystem://"


@dataclass
class World:
    """The rows that a deployment needs, and a key that may deploy."""

    cast: Cast
    key: str
    profile: Profile

    @classmethod
    def make(cls) -> World:
        cast = make_cast()
        make_host(make_cluster("here"), cpu_millis=10**7, memory_bytes=10_000 * GIB)
        profile = make_profile("tiny-chat-cpu")
        return cls(cast, key_text(cast.bob, cast.alpha, Scope.DEPLOY, Scope.READ), profile)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def order(self, name: str) -> dict[str, Any]:
        return {"workspace": "alpha", "name": name, "place": "here", "profile": self.profile.slug}


@dataclass
class Processes:
    """Starts them on demand and ends them all. `web` is there once `serve` was called."""

    folder: Path
    database_url: str = ""
    broker: str = FILES
    web: Server = field(init=False)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.web = Server(self.folder, database_url=self.database_url)

    def serve(self) -> Server:
        self.web.start(CELERY_BROKER_URL=self.broker)
        self.web.wait()
        return self.web

    def worker(self) -> subprocess.Popen[bytes]:
        return self._celery("worker", "-P", "threads", "-c", "2", "--without-gossip", "--without-mingle", "--without-heartbeat")

    def beat(self, name: str = "beat") -> subprocess.Popen[bytes]:
        return self._celery("beat", "-s", str(self.folder / name), "--pidfile=", log=name)

    def _celery(self, *words: str, log: str = "worker") -> subprocess.Popen[bytes]:
        values = {**environment(self.folder, self.database_url), "CELERY_BROKER_URL": self.broker}
        with (self.folder / f"{log}.log").open("ab") as out:
            process = subprocess.Popen([sys.executable, "-m", "celery", "-A", "portal", *words], cwd=ROOT, env=values,
                                       stdout=out, stderr=out)
        self.started.append(process)
        return process

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
        if self.web.process is not None:
            self.web.process.kill()
            self.web.process.wait()
        if self.web.listener is not None:
            self.web.listener.close()

    def deploy(self, world: World, name: str, seconds: float = 30) -> httpx.Response:
        return httpx.post(f"{self.web.url}/api/v1/endpoints", json=world.order(name), headers=world.headers, timeout=seconds)


@contextmanager
def redis_at(folder: Path, port: int) -> Iterator[None]:
    """A Redis on this port: the same broker comes back where it was, and empty."""
    binary = shutil.which("redis-server")
    if not binary:
        link = folder / "redis-server"
        if not link.exists():
            link.symlink_to(program("redis-check-rdb", "redis-tools"))
        binary = str(link)
    argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with running(argv, log=folder / "redis.log", ready=lambda: b"PONG" in redis_says(port, "PING")):
        yield


def redis_says(port: int, *words: str) -> bytes:
    argv = [program("redis-cli", "redis-tools"), "-p", str(port), *words]
    return subprocess.run(argv, capture_output=True, check=False).stdout


__all__ = ["FILES", "Processes", "World", "eventually", "redis_at", "redis_says"]
