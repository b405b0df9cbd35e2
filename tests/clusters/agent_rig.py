"""Real parts for tests of the agent: the portal in a process of its own, agents, and rows for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psutil
from django.conf import settings
from django.db import connection
from django.db.models import F

from clusters.agent.process import find_marked
from clusters.models import Cluster, Engine, Host
from clusters.services import make_enrolment_token
from portal.tenancy.actor import PORTAL
from portal.tenancy.rows import new_uid

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]


def until(look: Callable[[], T], seconds: float = 60.0, what: Callable[[], object] = str) -> T:
    """Wait for a real process; the first true answer of `look`. A busy disk can hold one up for many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.03)
    raise AssertionError(f"not in {seconds} s: {what() or look}")


def database_url() -> str:
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    return f"mysql://{values['USER']}:{values['PASSWORD']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


class Portal:
    """The portal's web process over the tests' own database."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self._environment, self.port = folder, environment, 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Portal:
        environment = os.environ | {
            "DATABASE_URL": database_url(), "PORTAL_DATA_DIR": str(self.folder), "SERVER_PORT": str(self.port),
            "PORTAL_SECRET_KEY": settings.SECRET_KEY, "PORTAL_FIELD_KEYS": ",".join(settings.PORTAL_FIELD_KEYS),
            "CELERY_BROKER_URL": "filesystem://", "PORT_FILE": str(self.folder / "port"), "PYTHONPATH": str(ROOT),
        } | self._environment
        (self.folder / "port").unlink(missing_ok=True)
        with (self.folder / "web.log").open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "tests.clusters.agent_server"], cwd=ROOT,
                                             env=environment, stdout=log, stderr=log)
        self.port = until(lambda: int((self.folder / "port").read_text() or 0)
                          if (self.folder / "port").exists() else 0, 30, "the portal's port")
        until(self._answers, what=lambda: "the portal answers")
        return self

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/agent/v1/wake?version=x", timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 422
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return (self.folder / "web.log").read_text()


@dataclass
class AgentProcess:
    """`python -m clusters.agent` with folders of its own."""

    folder: Path
    server: str
    token: str
    name: str
    options: tuple[str, ...] = ("--local",)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def engines_dir(self) -> Path:
        return self.folder / "engines"

    @property
    def state_id(self) -> str:
        path = self.state_dir / "state-id"
        return str(json.loads(path.read_text())) if path.exists() else ""

    def start(self) -> AgentProcess:
        self.engines_dir.mkdir(parents=True, exist_ok=True)
        (self.folder / "token").write_text(self.token)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8",
                       "SECRET_OF_THE_HOST": "not for engines", "PYTHONPATH": str(ROOT), **self.environment}
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clusters.agent", "--server", self.server, "--state-dir", str(self.state_dir),
                 "--engines-dir", str(self.engines_dir), "--token-file", str(self.folder / "token"), "--name", self.name,
                 *self.options], cwd=self.folder, env=environment, stdout=log, stderr=log)
        return self

    @property
    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def engine_pids(self) -> set[int]:
        return {running.pid for found in find_marked(self.state_id).values() for running in found} if self.state_id else set()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 60.0) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End the agent and whatever it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.kill()
            self.process.wait()
        for pid in self.engine_pids():
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()


def new_agent(folder: Path, portal: Portal, cluster: Cluster, name: str, *options: str) -> AgentProcess:
    folder.mkdir(parents=True, exist_ok=True)
    token = make_enrolment_token(PORTAL, cluster)[1]
    return AgentProcess(folder, portal.url, token, name, options or ("--local",))


def order_engine(host: Host, model: str, *argv: str, release: str = "small-1", endpoint: UUID | None = None,
                 start_seconds: int = 60, env: dict[str, str] | None = None, **launch: Any) -> Engine:
    engine = Engine(node=host.node, endpoint_uid=endpoint or new_uid(), label="alpha/test", revision=1, index=0, launch={
        "engine": "vllm", "release": release, "argv": ["--model", model, *argv], "env": env or {}, "devices": [],
        "start_seconds": start_seconds, **launch})
    engine.put_secret("token", "engine-token-0123456789")
    engine.save()
    ring(host)
    return engine


def stop_engine(engine: Engine) -> None:
    Engine.objects.filter(pk=engine.pk).update(stop=True)
    ring(Host.objects.get(node_id=engine.node_id))


def ring(host: Host) -> None:
    Host.objects.filter(pk=host.pk).update(wanted_version=F("wanted_version") + 1)


def identity_of(agent: AgentProcess) -> dict[str, str]:
    """What the agent keeps of its enrolment; it writes that a moment after the portal has made the host."""
    path = agent.state_dir / "agent.json"
    read: Callable[[], dict[str, str]] = lambda: json.loads(path.read_text()) if path.exists() else {}  # noqa: E731
    until(lambda: read().get("host"), what=lambda: "the agent's identity")
    return read()


def host_named(name: str) -> Host:
    return until(lambda: Host.objects.filter(node__name=name, node__cpu_millis__gt=0).first(), what=lambda: f"host {name}")


def phase_is(engine: Engine, *phases: str, seconds: float = 60.0) -> Engine:
    def look() -> Engine | None:
        engine.refresh_from_db()
        return engine if engine.phase in phases else None
    return until(look, seconds, lambda: f"phase {phases}, is {engine.phase} {engine.message}")
