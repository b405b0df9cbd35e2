"""A real portal server for these tests: uvicorn in a process of its own, over a real SQLite file."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environ
from django.conf import settings
from django.db import connections
from django.db.utils import load_backend
from openai import OpenAI

from endpoints.models import Backend, Endpoint
from endpoints.states import Status
from portal.tenancy.models import ApiKey, User, Workspace
from portal.tenancy.roles import Role, Scope
from tests.cast import make_cluster

ROOT = Path(__file__).resolve().parents[2]


def eventually(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """The first true value of `check`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.02)
    return value


def sqlite_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'portal.sqlite3'}"


def environment(folder: Path, url: str = "") -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DATABASE", "CELERY"))}
    return {
        **kept, "DATABASE_URL": url or sqlite_in(folder), "PORTAL_DATA_DIR": str(folder),
        "PORTAL_SECRET_KEY": settings.SECRET_KEY, "PORTAL_FIELD_KEYS": ",".join(settings.PORTAL_FIELD_KEYS),
        "DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_GATEWAY_FLUSH_SECONDS": "1", "PORTAL_GATEWAY_LOG_CALLS": "true",
        "PORTAL_GATEWAY_ENGINE_SECONDS": "8", "PORTAL_GATEWAY_BODY_SECONDS": "3",
        "PORTAL_GATEWAY_REFRESH_SECONDS": "0.2", "PORTAL_WRONG_KEYS": "1000000",
        "PORTAL_AWS_ENDPOINT": "http://127.0.0.1:1",  # nobody: no test calls AWS
    }


def migrate(folder: Path, url: str = "") -> None:
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=environment(folder, url),
                   check=True, timeout=120)


@dataclass
class Server:
    """The running server, and where its database and its log lie."""

    folder: Path
    port: int = 0
    database_url: str = ""
    process: subprocess.Popen[bytes] | None = None
    listener: socket.socket | None = None

    def start(self, application: str = "portal.asgi:application", **more: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self.listener.getsockname()[1]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.gateway.serve", application, str(self.listener.fileno())],
                env={**environment(self.folder, self.database_url), **more}, pass_fds=[self.listener.fileno()],
                stdout=subprocess.DEVNULL, stderr=log)

    def wait(self, seconds: float = 30) -> None:
        eventually(self._answers, seconds)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return self.raw(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 2).startswith(b"HTTP/1.1 401")

    def stop(self) -> int:
        assert self.process is not None
        assert self.listener is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()
            self.listener.close()

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, data: bytes, seconds: float = 5) -> bytes:
        """Send these bytes and return all that comes back until the server closes or is silent for `seconds`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            answer = b""
            try:
                connection.sendall(data)
                while part := connection.recv(65536):
                    answer += part
            except (TimeoutError, ConnectionError):
                pass
            return answer


@contextmanager
def database(folder: Path, url: str = "") -> Iterator[None]:
    """Let the default connection of this thread point to the server's database."""
    held = connections["default"]
    found = environ.Env.db_url_config(url or sqlite_in(folder))
    options = settings.MYSQL_OPTIONS if url.startswith("mysql:") else settings.SQLITE_OPTIONS
    values = {**held.settings_dict, **found, "OPTIONS": options}
    ours = load_backend(values["ENGINE"]).DatabaseWrapper(values, "default")
    connections["default"] = ours
    try:
        yield
    finally:
        ours.close()
        connections["default"] = held


@contextmanager
def running_server(folder: Path, template: Path, **more: str) -> Iterator[Server]:
    shutil.copy(template / "portal.sqlite3", folder / "portal.sqlite3")
    server = Server(folder)
    server.start(**more)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@dataclass
class Tenant:
    """A workspace of one test with its endpoints and keys, made in the server's database."""

    workspace: Workspace
    owner: User
    server: Server
    clients: list[OpenAI] = field(default_factory=list)

    def key(self, **values: Any) -> str:
        row = ApiKey(workspace=self.workspace, created_by=self.owner, name="test",
                     **{"scopes": [Scope.INFERENCE.value], **values})
        text = row.draw_secret()
        row.save()
        return text

    def endpoint(self, name: str, *urls: str, token: str = "", **values: Any) -> Endpoint:
        cluster = self._cluster()
        endpoint = Endpoint.objects.create(
            workspace=self.workspace, cluster=cluster, name=name.rpartition("/")[2].lower(), public_name=name,
            public_key=name.lower(), created_by=self.owner,
            **{"status": Status.INSERVICE if urls else Status.CREATING, **values})
        for number, url in enumerate(urls):
            backend = Backend(endpoint=endpoint, key=str(number), url=url, revision=1)
            backend.put_secret("token", token)
            backend.save()
        return endpoint

    def client(self, key: str = "", **values: Any) -> OpenAI:
        client = OpenAI(api_key=key or self.key(), base_url=f"{self.server.url}/v1", **{"max_retries": 0, **values})
        self.clients.append(client)
        return client

    def wait_for(self, name: str, *, ready: bool = True) -> OpenAI:
        """A client, once the gateway knows this endpoint."""
        client = self.client()
        eventually(lambda: any(m.id == name and m.model_dump()["ready"] is ready for m in client.models.list()))
        return client

    def _cluster(self) -> Any:
        from clusters.models import Cluster
        return Cluster.objects.filter(name="hosts").first() or make_cluster()


def make_tenant(server: Server, slug: str) -> Tenant:
    owner = User.objects.create(username=slug)
    workspace = Workspace.objects.create(name=slug, slug=slug)
    workspace.memberships.create(user=owner, role=Role.OWNER)
    return Tenant(workspace, owner, server)
