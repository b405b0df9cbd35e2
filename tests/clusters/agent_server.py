"""The portal's web process for tests of the agent: a port of its own, and leases that can be short."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

import uvicorn

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


def main() -> None:
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
    from clusters import states

    for name in ("LEASE", "LEASE_MARGIN", "HEARTBEAT"):
        if seconds := os.environ.get(f"{name}_SECONDS"):
            setattr(states, name, timedelta(seconds=float(seconds)))
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", int(os.environ.get("SERVER_PORT", "0"))))
    partial = Path(os.environ["PORT_FILE"] + ".new")
    partial.write_text(str(door.getsockname()[1]))
    partial.rename(os.environ["PORT_FILE"])
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_level="warning"))
    server.run(sockets=[door])


if __name__ == "__main__":
    main()
