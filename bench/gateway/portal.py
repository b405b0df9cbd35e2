"""The candidate: the portal with its gateway, on a database of its own, started as the portal starts it."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .load import Aim
from .peers import Rig, free_port, serving
from .processes import Missing

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DATABASE = "portal.sqlite3"
NOBODY = "http://127.0.0.1:1"
WORKER = "endpoints.gateway.serving.worker"


@dataclass(frozen=True)
class Portal:
    """A database with a workspace, its limit, an endpoint and keys; `argv` starts the web program over it."""

    tree: Path
    environment: dict[str, str]
    argv: tuple[str, ...]
    port: int
    keys: tuple[str, ...]

    def booked(self) -> int:
        """Requests in the hours of usage."""
        path = Path(self.environment["PORTAL_DATA_DIR"]) / DATABASE
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT COALESCE(SUM(requests), 0) FROM endpoints_usagehour").fetchone()[0])


def prepare(folder: Path, engine_port: int, tree: Path = ROOT) -> Portal:
    """`tree`: the checkout to measure. Raises Missing where its database can't be made."""
    port = free_port()
    environment = _environment(folder, port, tree)
    done = subprocess.run([sys.executable, HERE / "rows.py", str(engine_port)], cwd=tree, env=environment,
                          capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise Missing(f"The portal's database can't be made:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Portal(tree, environment, tuple(said["argv"]), port, tuple(said["keys"]))


def _environment(folder: Path, port: int, tree: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DATABASE", "CELERY"))}
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return {**kept, "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}", "PYTHONSAFEPATH": "1",
            "DJANGO_SETTINGS_MODULE": "portal.settings", "DATABASE_URL": f"sqlite:///{folder / DATABASE}",
            "PORTAL_DATA_DIR": str(folder),
            "PORTAL_SECRET_KEY": secrets.token_urlsafe(48), "PORTAL_FIELD_KEYS": key, "PORTAL_PORT": str(port),
            "PORTAL_AWS_ENDPOINT": NOBODY}


@contextmanager
def whole(rig: Rig, portal: Portal) -> Iterator[Aim]:
    """The real path: key store, limits, routes, metering, error mapping."""
    with _served(rig, portal, "portal", portal.port, portal.argv) as aim:
        yield aim


@contextmanager
def bare(rig: Rig, portal: Portal) -> Iterator[Aim]:
    """The same relay without keys, limits and metering."""
    port = free_port()
    with _served(rig, portal, "bare", port, (sys.executable, "-m", "bench.gateway.bare", str(port))) as aim:
        yield aim


@contextmanager
def worker(rig: Rig, portal: Portal) -> Iterator[Aim]:
    """The gateway in a process of its own, with sockets as `manage.py gateway` gives them."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as callers, socket.create_server(("127.0.0.1", 0)) as admin:
        sockets = (callers.fileno(), admin.fileno())
        command = (sys.executable, "-m", WORKER, "--listen", str(sockets[0]), "--admin", str(sockets[1]), "--drain", "8")
        with _served(rig, portal, "worker", callers.getsockname()[1], command, pass_fds=sockets) as aim:
            yield aim


def _served(rig: Rig, portal: Portal, name: str, port: int, command: tuple[str, ...],
            pass_fds: tuple[int, ...] = ()) -> AbstractContextManager[Aim]:
    return serving(rig, name, port, command, portal.keys, env=portal.environment, cwd=portal.tree, pass_fds=pass_fds)
