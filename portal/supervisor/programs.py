"""The programs of a portal on one machine, and how each shows that it works."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from django.conf import settings
from django.db import DatabaseError, connection

from portal.tenancy import heartbeat

from .enrol import own_address, state_dir
from .program import Program

DEAF_SECONDS = 90.0
SWEEP = "sweep"


def everything() -> list[Program]:
    """Web with the gateway, worker, beat, this machine's agent, and processes for the gateway alone where set."""
    apart = [gateway()] if settings.PORTAL_GATEWAY_WORKERS else []
    return [web(), *apart, worker(), beat(), agent()]


def web() -> Program:
    return Program("web", manage("web"), ready=answers(settings.PORTAL_BIND, settings.PORTAL_PORT, "/healthz"), stop_seconds=12)


def gateway() -> Program:
    """Ended as soon as the portal is: who stops a portal by hand does not wait for streams."""
    ready = answers(settings.PORTAL_GATEWAY_ADMIN_BIND, settings.PORTAL_GATEWAY_ADMIN_PORT, "/livez")
    return Program("gateway", manage("gateway", "--drain", "8"), ready=ready, stop_seconds=22)


def worker() -> Program:
    argv = ("-m", "celery", "-A", "portal", "worker", "-P", "threads", "-c", "4", "--loglevel", "INFO",
            "--without-gossip", "--without-mingle", "--without-heartbeat")
    return Program("worker", python(*argv), stop_seconds=15)


def beat() -> Program:
    return Program("beat", python("-m", "celery", "-A", "portal", "beat", "--loglevel", "INFO", "--pidfile="))


def agent() -> Program:
    state = state_dir()
    argv = ("-m", "clusters.agent", "--server", own_address(), "--state-dir", str(state),
            "--engines-dir", str(settings.PORTAL_ENGINES_DIR), "--token-file", str(state / "token"),
            "--local", "--stop-engines-on-exit")
    return Program("agent", python(*argv), stop_seconds=40, after_ready_of="web")


def manage(*argv: str) -> tuple[str, ...]:
    return python(str(settings.BASE_DIR / "manage.py"), *argv)


def python(*argv: str) -> tuple[str, ...]:
    return (sys.executable, *argv)


def answers(host: str, port: int, path: str) -> Callable[[], Awaitable[bool]]:
    """Whether a process answers 200 at `path`, asked without blocking the supervisor."""

    async def ask() -> bool:
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in line

    return ask


def deaf() -> Sequence[str]:
    """Worker and beat, when the sweep that they do together has not ended for too long.

    Which of the two is deaf can't be seen from its missing work, and both lose nothing when they start again.
    A database that does not answer says nothing about them.
    """
    try:
        age = heartbeat.age(SWEEP)
    except DatabaseError:
        return ()
    finally:
        connection.close()
    return ("worker", "beat") if age is not None and age > DEAF_SECONDS else ()
