"""The whole portal as people meet it: its ASGI server in a process of its own, over a world of two workspaces."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.test import Client

from portal.tenancy.models import User
from tests.cast import make_cast
from tests.gateway.server import ROOT, Server, database, environment, migrate
from tests.portal.world import World, make_world


@dataclass
class Portal:
    """The running server, and what is in its database, which is open in this test too."""

    server: Server
    world: World

    def cookie(self, user: User) -> dict[str, Any]:
        """The session of this person, as a browser's context takes it."""
        client = Client()
        client.force_login(user)
        return {"name": settings.SESSION_COOKIE_NAME, "value": client.session.session_key,
                "domain": urlsplit(self.server.url).hostname, "path": "/"}


@contextmanager
def running_portal(folder: Path, **more: str) -> Iterator[Portal]:
    migrate(folder)
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v", "0"]
    subprocess.run(collect, cwd=ROOT, env=environment(folder), check=True, timeout=120)
    server = Server(folder)
    with database(folder):
        world = make_world(make_cast())
        server.start(**more)
        try:
            server.wait()
            yield Portal(server, world)
        finally:
            server.stop()
